//! The filling of the memory, four words of 64 bits at once.
//!
//! It is faster than what a compiler makes of the same in plain Rust for two reasons. Columns are mixed as they lie in memory, two at a time,
//! instead of being gathered. And which block is mixed in next is known when little more than half of the work on a block is done, so its
//! memory is asked for then, and comes meanwhile.

use std::{
    arch::{
        is_x86_feature_detected,
        x86_64::{
            __m256i, _MM_HINT_T0, _mm_prefetch, _mm_setr_epi8, _mm256_add_epi64, _mm256_alignr_epi8, _mm256_broadcastsi128_si256,
            _mm256_extract_epi64, _mm256_mul_epu32, _mm256_permute4x64_epi64, _mm256_setr_epi64x, _mm256_setzero_si256,
            _mm256_shuffle_epi8, _mm256_shuffle_epi32, _mm256_srli_epi64, _mm256_xor_si256,
        },
    },
    array, ptr,
};

use argon2::Block;

use crate::ALGORITHM;

const WORDS: usize = Block::SIZE / size_of::<u64>();
/// Parts of the memory that are filled one after the other.
const SLICES: usize = 4;

/// Four words.
type Vector = __m256i;
/// A block: eight rows of sixteen words, each of four vectors.
type Vectors = [Vector; WORDS / 4];

/// Fills the memory of the one lane, of which the first two blocks are there; `None` where the processor has no AVX2. RFC 9106, section 3.2,
/// steps 5 and 6.
#[expect(unsafe_code, reason = "not every processor has AVX2; a block is 128 integers, but its crate has no way to say so")]
pub(crate) fn fill(memory: &mut [Block], passes: u32) -> Option<()> {
    if !is_x86_feature_detected!("avx2") {
        return None;
    }
    // SAFETY: Whatever is in a block, it is integers to both.
    let (_, memory, _) = unsafe { memory.align_to_mut() };
    // SAFETY: The processor has AVX2.
    unsafe { fill_vectors(memory, passes) };
    Some(())
}

#[target_feature(enable = "avx2")]
fn fill_vectors(memory: &mut [Vectors], passes: u32) {
    let length = memory.len() / SLICES;
    for pass in 0..passes {
        for slice in 0..SLICES {
            Segment { pass, slice, length }.fill(memory, passes);
        }
    }
}

/// The blocks of one slice, in one pass.
#[derive(Clone, Copy)]
struct Segment {
    pass: u32,
    slice: usize,
    /// In blocks.
    length: usize,
}

impl Segment {
    #[target_feature(enable = "avx2")]
    fn fill(self, memory: &mut [Vectors], passes: u32) {
        let addresses = self.addresses(memory.len(), passes);
        let random = |index: usize, word| addresses.get(index).copied().unwrap_or(word);
        let first = if self.pass == 0 && self.slice == 0 { 2 } else { 0 };
        let start = self.slice * self.length;
        let before = (start + first).checked_sub(1).unwrap_or(memory.len() - 1);
        let mut previous = before;
        let mut reference = self.reference(first, random(first, words(memory[before][0])[0]));
        for index in first..self.length {
            let target = start + index;
            let next = |word| self.reference(index + 1, random(index + 1, word));
            reference = compress(memory, [previous, reference, target], self.pass > 0, next);
            previous = target;
        }
    }

    /// What the first half of the first pass goes by instead of what is in the blocks, so that its way through the memory tells nothing of
    /// the password; of other segments, nothing. Section 3.4.1.2.
    #[target_feature(enable = "avx2")]
    fn addresses(self, blocks: usize, passes: u32) -> Vec<u64> {
        let mut addresses = Vec::new();
        if self.pass > 0 || self.slice >= SLICES / 2 {
            return addresses;
        }
        let [lane, pass, passes, kind] = [0, self.pass, passes, ALGORITHM as u32].map(i64::from);
        let [slice, blocks] = [self.slice, blocks].map(|number| i64::try_from(number).unwrap_or_default());
        for counter in 1.. {
            let zero = [_mm256_setzero_si256(); WORDS / 4];
            let mut input = zero;
            input[0] = _mm256_setr_epi64x(pass, lane, slice, blocks);
            input[1] = _mm256_setr_epi64x(passes, kind, counter, 0);
            let mut scratch = [zero, input];
            compress(&mut scratch, [0, 1, 1], false, |_| 0);
            compress(&mut scratch, [0, 1, 1], false, |_| 0);
            scratch[1].iter().for_each(|&vector| addresses.extend(words(vector)));
            // One more than there are blocks: what is asked for early, after the last one, must not go by what is in it.
            if addresses.len() > self.length {
                break;
            }
        }
        addresses
    }

    /// Where the block is that is mixed into the one of this index. Section 3.4.2.
    fn reference(self, index: usize, random: u64) -> usize {
        let finished = if self.pass == 0 { self.slice } else { SLICES - 1 } * self.length;
        let area = finished + index - 1;
        let start = if self.pass == 0 { 0 } else { (self.slice + 1) * self.length };
        let low = usize::try_from(random & u64::from(u32::MAX)).unwrap_or_default();
        let distance = (area * ((low * low) >> 32)) >> 32;
        (start + area - 1 - distance) % (SLICES * self.length)
    }
}

/// Mixes two blocks into a third one, to what it holds if that `stays`; it may be one of the two. When the first word of it is there, `ahead`
/// says which block is asked for next, and so does the result. Section 3.5.
#[inline]
#[target_feature(enable = "avx2")]
fn compress(
    memory: &mut [Vectors],
    [previous, reference, target]: [usize; 3],
    stays: bool,
    ahead: impl Fn(u64) -> usize,
) -> usize {
    let mut mixed: Vectors = array::from_fn(|at| _mm256_xor_si256(memory[previous][at], memory[reference][at]));
    for row in (0..WORDS / 4).step_by(8) {
        let pairs = mix_rows([0, 1, 2, 3].map(|at| [mixed[row + at], mixed[row + at + 4]]));
        for (at, [vector, other]) in (row..).zip(pairs) {
            (mixed[at], mixed[at + 4]) = (vector, other);
        }
    }
    let mut next = 0;
    for column in 0..4 {
        let pair = |at: usize| [mixed[at + column], mixed[at + column + 4]];
        let columns = mix_columns([0, 8, 16, 24].map(pair));
        for (row, &vector) in columns.as_flattened().iter().enumerate() {
            let at = 4 * row + column;
            let both = _mm256_xor_si256(memory[previous][at], memory[reference][at]);
            let kept = if stays { _mm256_xor_si256(both, memory[target][at]) } else { both };
            memory[target][at] = _mm256_xor_si256(vector, kept);
        }
        if column == 0 {
            next = ahead(words(memory[target][0])[0]);
            prefetch(&memory[next]);
        }
    }
    next
}

/// Two vectors that the same is done to.
type Pair = [Vector; 2];

/// Mixes two rows of a block. Each is four by four words; a vector is a line of them. Section 3.6.
#[inline]
#[target_feature(enable = "avx2")]
fn mix_rows(rows: [Pair; 4]) -> [Pair; 4] {
    const ONE: i32 = 0b00_11_10_01;
    const TWO: i32 = 0b01_00_11_10;
    const THREE: i32 = 0b10_01_00_11;
    let [a, b, c, d] = mix(rows);
    let [a, b, c, d] = mix([a, turned::<ONE>(b), turned::<TWO>(c), turned::<THREE>(d)]);
    [a, turned::<THREE>(b), turned::<TWO>(c), turned::<ONE>(d)]
}

/// Mixes two columns of a block. Each is four by four words; a half of a vector is the half of a line of them.
#[inline]
#[target_feature(enable = "avx2")]
fn mix_columns(columns: [Pair; 4]) -> [Pair; 4] {
    let [a, b, c, d] = mix(columns);
    let [a, b, c, d] = mix([a, turned_left(b), swapped(c), turned_right(d)]);
    [a, turned_right(b), swapped(c), turned_left(d)]
}

/// Each line of words with the others, word by word.
#[inline]
#[target_feature(enable = "avx2")]
fn mix([a, b, c, d]: [Pair; 4]) -> [Pair; 4] {
    let a = multiply_add(a, b);
    let d = rotated_32(xor(d, a));
    let c = multiply_add(c, d);
    let b = rotated_24(xor(b, c));
    let a = multiply_add(a, b);
    let d = rotated_16(xor(d, a));
    let c = multiply_add(c, d);
    let b = rotated_63(xor(b, c));
    [a, b, c, d]
}

/// `a + b + 2 * low(a) * low(b)`, low being the lower half of a word.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_add([a, e]: Pair, [b, f]: Pair) -> Pair {
    let (product, other) = (_mm256_mul_epu32(a, b), _mm256_mul_epu32(e, f));
    let (sum, others) = (_mm256_add_epi64(a, b), _mm256_add_epi64(e, f));
    [_mm256_add_epi64(sum, _mm256_add_epi64(product, product)), _mm256_add_epi64(others, _mm256_add_epi64(other, other))]
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor([a, e]: Pair, [b, f]: Pair) -> Pair {
    [_mm256_xor_si256(a, b), _mm256_xor_si256(e, f)]
}

/// Words rotated by so many bits to the right.
#[inline]
#[target_feature(enable = "avx2")]
fn rotated_32([a, b]: Pair) -> Pair {
    [_mm256_shuffle_epi32::<0b10_11_00_01>(a), _mm256_shuffle_epi32::<0b10_11_00_01>(b)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotated_24([a, b]: Pair) -> Pair {
    let bytes = _mm256_broadcastsi128_si256(_mm_setr_epi8(3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10));
    [_mm256_shuffle_epi8(a, bytes), _mm256_shuffle_epi8(b, bytes)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotated_16([a, b]: Pair) -> Pair {
    let bytes = _mm256_broadcastsi128_si256(_mm_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9));
    [_mm256_shuffle_epi8(a, bytes), _mm256_shuffle_epi8(b, bytes)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotated_63([a, b]: Pair) -> Pair {
    let (top, other) = (_mm256_srli_epi64::<63>(a), _mm256_srli_epi64::<63>(b));
    [_mm256_xor_si256(top, _mm256_add_epi64(a, a)), _mm256_xor_si256(other, _mm256_add_epi64(b, b))]
}

/// The words of each vector in another order.
#[inline]
#[target_feature(enable = "avx2")]
fn turned<const ORDER: i32>([a, b]: Pair) -> Pair {
    [_mm256_permute4x64_epi64::<ORDER>(a), _mm256_permute4x64_epi64::<ORDER>(b)]
}

/// The words of each line, of which a pair has two halves, one further to the left.
#[inline]
#[target_feature(enable = "avx2")]
fn turned_left([a, b]: Pair) -> Pair {
    [_mm256_alignr_epi8::<8>(b, a), _mm256_alignr_epi8::<8>(a, b)]
}

/// Two further.
#[inline]
#[target_feature(enable = "avx2")]
fn swapped([a, b]: Pair) -> Pair {
    [b, a]
}

/// One further to the right.
#[inline]
#[target_feature(enable = "avx2")]
fn turned_right([a, b]: Pair) -> Pair {
    [_mm256_alignr_epi8::<8>(a, b), _mm256_alignr_epi8::<8>(b, a)]
}

#[target_feature(enable = "avx2")]
fn words(vector: Vector) -> [u64; 4] {
    [
        _mm256_extract_epi64::<0>(vector),
        _mm256_extract_epi64::<1>(vector),
        _mm256_extract_epi64::<2>(vector),
        _mm256_extract_epi64::<3>(vector),
    ]
    .map(i64::cast_unsigned)
}

/// Has a block brought closer, without waiting for it.
#[inline]
#[target_feature(enable = "avx2")]
fn prefetch(block: &Vectors) {
    // Two vectors are a line of the cache.
    for line in block.iter().step_by(2) {
        _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(line).cast());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "not every processor has AVX2")]
    fn nothing_that_is_asked_for_goes_by_the_password_in_the_first_half_of_the_first_pass_and_all_after_it_does() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        for length in [2, 127, 128, 129, 4864] {
            // SAFETY: The processor has AVX2.
            let known = |pass, slice| unsafe { Segment { pass, slice, length }.addresses(length * SLICES, 2).len() };
            assert!(known(0, 0) > length && known(0, 1) > length, "{length}");
            assert_eq!((known(0, 2), known(0, 3), known(1, 0)), (0, 0, 0), "{length}");
        }
    }
}
