//! Filling of the memory with AVX2 instructions, four words of 64 bits at a time.
//!
//! It is faster than compiled portable Rust for two reasons. Columns are mixed in memory order, two
//! at a time, instead of being gathered. The next reference block is prefetched as soon as its
//! position is known, which is after five eighths of the work on a block.

use std::{
    arch::{
        is_x86_feature_detected,
        x86_64::{
            __m256i, _MM_HINT_T0, _mm_prefetch, _mm_setr_epi8, _mm256_add_epi64,
            _mm256_alignr_epi8, _mm256_broadcastsi128_si256, _mm256_extract_epi64,
            _mm256_mul_epu32, _mm256_permute4x64_epi64, _mm256_setr_epi64x, _mm256_setzero_si256,
            _mm256_shuffle_epi8, _mm256_shuffle_epi32, _mm256_srli_epi64, _mm256_xor_si256,
        },
    },
    array, ptr,
};

use argon2::Block;

use crate::ALGORITHM;

const WORDS: usize = Block::SIZE / size_of::<u64>();
/// Number of slices of a lane.
const SLICES: usize = 4;

/// Four words.
type Vector = __m256i;
/// A block: eight rows of sixteen words, and so of four vectors each.
type Vectors = [Vector; WORDS / 4];

/// Fills the memory of one lane whose first two blocks are written. Returns `None` if the processor
/// has no AVX2. RFC 9106, section 3.2, steps 5 and 6.
#[expect(
    unsafe_code,
    reason = "AVX2 is detected at run time, and the crate `argon2` has no safe view of its blocks as vectors"
)]
pub(crate) fn fill(memory: &mut [Block], passes: u32) -> Option<()> {
    if !is_x86_feature_detected!("avx2") {
        return None;
    }
    let memory = vectors(memory);
    // SAFETY: The processor has AVX2, as detected above.
    unsafe { fill_vectors(memory, passes) };
    Some(())
}

#[expect(
    unsafe_code,
    reason = "the crate `argon2` has no safe view of its blocks as vectors"
)]
fn vectors(memory: &mut [Block]) -> &mut [Vectors] {
    const {
        assert!(
            size_of::<Block>() == size_of::<Vectors>()
                && align_of::<Block>() >= align_of::<Vectors>()
        );
    };
    let count = memory.len();
    // SAFETY: A block is 1024 bytes of integers without padding, and every bit pattern is valid for
    // a block and for vectors.
    let (prefix, vectors, suffix) = unsafe { memory.align_to_mut::<Vectors>() };
    // `align_to_mut` may omit any part of the slice. Omitted blocks would not be filled, and the
    // hash would be wrong.
    assert!(
        prefix.is_empty() && suffix.is_empty() && vectors.len() == count,
        "blocks could not be viewed as vectors"
    );
    vectors
}

#[target_feature(enable = "avx2")]
fn fill_vectors(memory: &mut [Vectors], passes: u32) {
    let length = memory.len() / SLICES;
    for pass in 0..passes {
        for slice in 0..SLICES {
            Segment {
                pass,
                slice,
                length,
            }
            .fill(memory, passes);
        }
    }
}

/// The blocks of one slice in one pass.
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
        // J1 and J2 of section 3.4.1: from the generated addresses if there are any, otherwise from
        // the first word of the previous block.
        let random = |index: usize, word| addresses.get(index).copied().unwrap_or(word);
        let first = if self.pass == 0 && self.slice == 0 {
            2
        } else {
            0
        };
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

    /// Generated addresses for the first half of the first pass, where references must not depend
    /// on the password; none for other segments. Sections 3.4.1.2 and 3.4.1.3.
    #[target_feature(enable = "avx2")]
    fn addresses(self, blocks: usize, passes: u32) -> Vec<u64> {
        let mut addresses = Vec::new();
        if self.pass > 0 || self.slice >= SLICES / 2 {
            return addresses;
        }
        let [lane, pass, passes, kind] = [0, self.pass, passes, ALGORITHM as u32].map(i64::from);
        let [slice, blocks] =
            [self.slice, blocks].map(|number| i64::try_from(number).unwrap_or_default());
        for counter in 1.. {
            let zero = [_mm256_setzero_si256(); WORDS / 4];
            let mut input = zero;
            input[0] = _mm256_setr_epi64x(pass, lane, slice, blocks);
            input[1] = _mm256_setr_epi64x(passes, kind, counter, 0);
            let mut scratch = [zero, input];
            compress(&mut scratch, [0, 1, 1], false, |_| 0);
            compress(&mut scratch, [0, 1, 1], false, |_| 0);
            scratch[1]
                .iter()
                .for_each(|&vector| addresses.extend(words(vector)));
            // At least one address more than blocks, so that the prefetch after the last block does
            // not depend on its content.
            if addresses.len() > self.length {
                break;
            }
        }
        addresses
    }

    /// Position of the reference block for the block with this index. Section 3.4.2.
    fn reference(self, index: usize, random: u64) -> usize {
        let finished = if self.pass == 0 {
            self.slice
        } else {
            SLICES - 1
        } * self.length;
        let area = finished + index - 1;
        let start = if self.pass == 0 {
            0
        } else {
            (self.slice + 1) * self.length
        };
        let low = usize::try_from(random & u64::from(u32::MAX)).unwrap_or_default();
        let distance = (area * ((low * low) >> 32)) >> 32;
        (start + area - 1 - distance) % (SLICES * self.length)
    }
}

/// The compression function G (section 3.5) of two blocks. The result is written to the target, or
/// added to it by XOR if `adds` is set; the target may be one of the two blocks. As soon as the
/// first word of the target is known, `ahead` maps it to the position of the block to prefetch,
/// which is returned.
#[inline]
#[target_feature(enable = "avx2")]
fn compress(
    memory: &mut [Vectors],
    [previous, reference, target]: [usize; 3],
    adds: bool,
    ahead: impl Fn(u64) -> usize,
) -> usize {
    let mut mixed: Vectors =
        array::from_fn(|at| _mm256_xor_si256(memory[previous][at], memory[reference][at]));
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
            let kept = if adds {
                _mm256_xor_si256(both, memory[target][at])
            } else {
                both
            };
            memory[target][at] = _mm256_xor_si256(vector, kept);
        }
        if column == 0 {
            next = ahead(words(memory[target][0])[0]);
            prefetch(&memory[next]);
        }
    }
    next
}

/// Two vectors that go through the same operations.
type Pair = [Vector; 2];

/// Mixes two rows of a block (permutation P, section 3.6). Each is a matrix of four by four words;
/// a vector is a line of it.
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

/// Mixes two columns of a block. Each is a matrix of four by four words; half of a vector is half
/// of a line of it.
#[inline]
#[target_feature(enable = "avx2")]
fn mix_columns(columns: [Pair; 4]) -> [Pair; 4] {
    let [a, b, c, d] = mix(columns);
    let [a, b, c, d] = mix([a, turned_left(b), swapped(c), turned_right(d)]);
    [a, turned_right(b), swapped(c), turned_left(d)]
}

/// GB (section 3.6) of four lines, word by word.
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

/// `a + b + 2 * low(a) * low(b)`, where `low` is the lower half of a word.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_add([a, e]: Pair, [b, f]: Pair) -> Pair {
    let product = _mm256_mul_epu32(a, b);
    let other = _mm256_mul_epu32(e, f);
    let sum = _mm256_add_epi64(a, b);
    let others = _mm256_add_epi64(e, f);
    [
        _mm256_add_epi64(sum, _mm256_add_epi64(product, product)),
        _mm256_add_epi64(others, _mm256_add_epi64(other, other)),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor([a, e]: Pair, [b, f]: Pair) -> Pair {
    [_mm256_xor_si256(a, b), _mm256_xor_si256(e, f)]
}

/// Each word rotated right by 32 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn rotated_32([a, b]: Pair) -> Pair {
    [
        _mm256_shuffle_epi32::<0b10_11_00_01>(a),
        _mm256_shuffle_epi32::<0b10_11_00_01>(b),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotated_24([a, b]: Pair) -> Pair {
    let bytes = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10,
    ));
    [_mm256_shuffle_epi8(a, bytes), _mm256_shuffle_epi8(b, bytes)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotated_16([a, b]: Pair) -> Pair {
    let bytes = _mm256_broadcastsi128_si256(_mm_setr_epi8(
        2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9,
    ));
    [_mm256_shuffle_epi8(a, bytes), _mm256_shuffle_epi8(b, bytes)]
}

#[inline]
#[target_feature(enable = "avx2")]
fn rotated_63([a, b]: Pair) -> Pair {
    let top = _mm256_srli_epi64::<63>(a);
    let other = _mm256_srli_epi64::<63>(b);
    [
        _mm256_xor_si256(top, _mm256_add_epi64(a, a)),
        _mm256_xor_si256(other, _mm256_add_epi64(b, b)),
    ]
}

/// The words of each vector, permuted.
#[inline]
#[target_feature(enable = "avx2")]
fn turned<const ORDER: i32>([a, b]: Pair) -> Pair {
    [
        _mm256_permute4x64_epi64::<ORDER>(a),
        _mm256_permute4x64_epi64::<ORDER>(b),
    ]
}

/// The words of each line rotated left by one. A pair holds both halves of two lines.
#[inline]
#[target_feature(enable = "avx2")]
fn turned_left([a, b]: Pair) -> Pair {
    [_mm256_alignr_epi8::<8>(b, a), _mm256_alignr_epi8::<8>(a, b)]
}

/// The words of each line rotated by two.
#[inline]
#[target_feature(enable = "avx2")]
fn swapped([a, b]: Pair) -> Pair {
    [b, a]
}

/// The words of each line rotated right by one.
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

/// Prefetches a block into the cache.
#[inline]
#[target_feature(enable = "avx2")]
fn prefetch(block: &Vectors) {
    // A cache line holds two vectors.
    for line in block.iter().step_by(2) {
        _mm_prefetch::<_MM_HINT_T0>(ptr::from_ref(line).cast());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(unsafe_code, reason = "AVX2 is detected at run time")]
    fn only_the_first_half_of_the_first_pass_uses_generated_addresses() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        for length in [2, 127, 128, 129, 4864] {
            // SAFETY: The processor has AVX2, as detected above.
            let addresses = |pass, slice| unsafe {
                Segment {
                    pass,
                    slice,
                    length,
                }
                .addresses(length * SLICES, 2)
                .len()
            };
            assert!(
                addresses(0, 0) > length && addresses(0, 1) > length,
                "{length}"
            );
            assert_eq!(
                (addresses(0, 2), addresses(0, 3), addresses(1, 0)),
                (0, 0, 0),
                "{length}"
            );
        }
    }

    #[test]
    fn the_view_as_vectors_contains_all_blocks_in_order() {
        for count in [0, 1, 8, 517] {
            let mut memory = vec![Block::new(); count];
            let first = memory.as_ptr().addr();
            for (number, block) in (0..).zip(&mut memory) {
                block.as_mut().fill(number);
            }
            let vectors = vectors(&mut memory);
            assert_eq!((vectors.len(), vectors.as_ptr().addr()), (count, first));
            // Also from the second block on, whose address is aligned to a block and to nothing
            // larger.
            assert_eq!(
                super::vectors(memory.get_mut(1..).unwrap_or_default()).len(),
                count.saturating_sub(1)
            );
        }
    }
}
