//! Argon2id with one lane and 32 bytes of output: the steps before and after filling the memory.

use argon2::{Block, MIN_SALT_LEN, Params};
use blake2::{Blake2b256, Blake2b512, Digest};

use crate::{ALGORITHM, OUTPUT_BYTES, VERSION, avx2, kernel::Hash};

/// Computes a hash. Returns `None` if the processor has no AVX2, the parameters are not supported,
/// or the crate `argon2` would return an error. RFC 9106, section 3.2.
pub(crate) fn hash(
    params: &Params,
    password: &[u8],
    salt: &[u8],
    memory: &mut [Block],
) -> Option<Hash> {
    let is_supported = params.p_cost() == 1
        && params
            .output_len()
            .is_none_or(|length| length == OUTPUT_BYTES)
        && params.keyid().is_empty()
        && params.data().is_empty()
        && salt.len() >= MIN_SALT_LEN;
    if !is_supported {
        return None;
    }
    let blocks = memory.get_mut(..params.block_count())?;
    let seed = seed(params, password, salt)?;
    for (block, number) in blocks.iter_mut().zip(0..2) {
        write_first(block, &seed, number);
    }
    avx2::fill(blocks, params.t_cost())?;
    let last = blocks.last()?;
    let length = le32(OUTPUT_BYTES)?;
    let hash = last
        .as_ref()
        .iter()
        .fold(Blake2b256::new_with_prefix(length), |hash, word| {
            hash.chain_update(word.to_le_bytes())
        });
    Some(hash.finalize().into())
}

/// H0 of section 3.2: a hash of all parameters and inputs.
fn seed(params: &Params, password: &[u8], salt: &[u8]) -> Option<[u8; 64]> {
    let numbers = [
        params.p_cost(),
        OUTPUT_BYTES.try_into().ok()?,
        params.m_cost(),
        params.t_cost(),
        VERSION.into(),
        ALGORITHM as u32,
    ];
    let mut hash = Blake2b512::new_with_prefix(numbers.map(u32::to_le_bytes).as_flattened());
    // The last two fields are the secret and the associated data, which are empty.
    for field in [password, salt, &[], &[]] {
        hash.update(le32(field.len())?);
        hash.update(field);
    }
    Some(hash.finalize().into())
}

/// Writes one of the first two blocks: a variable-length hash (H', section 3.3) of 1024 bytes.
fn write_first(block: &mut Block, seed: &[u8; 64], number: u32) {
    const HALF: usize = 32;
    let length = 1024_u32;
    let lane = 0_u32;
    let mut hash = Blake2b512::new()
        .chain_update(length.to_le_bytes())
        .chain_update(seed)
        .chain_update(number.to_le_bytes())
        .chain_update(lane.to_le_bytes())
        .finalize();
    // Each round appends a whole hash, whose second half the next round overwrites.
    let mut bytes = [0; Block::SIZE];
    for start in (0..Block::SIZE - HALF).step_by(HALF) {
        bytes[start..start + 2 * HALF].copy_from_slice(&hash);
        hash = Blake2b512::digest(hash);
    }
    for (word, bytes) in block.as_mut().iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
}

fn le32(number: usize) -> Option<[u8; 4]> {
    u32::try_from(number).ok().map(u32::to_le_bytes)
}
