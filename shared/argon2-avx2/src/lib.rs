//! Argon2id, which takes most of the time of a sign-in.
//!
//! The crate `argon2` computes it, on every processor and with every parameter. What stands here beside it computes the usual hash, of one
//! lane and 32 bytes, in half of the time on an x86-64 with AVX2, as Lambda's are. The crate has the last word: the tests
//! compare the two.
//!
//! <https://www.rfc-editor.org/rfc/rfc9106>

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod usual;

use argon2::{Algorithm, Argon2, Block, Error, Params, Version};

const ALGORITHM: Algorithm = Algorithm::Argon2id;
const VERSION: Version = Version::V0x13;

/// Hashes a password with Argon2id, version 0x13, into all of `output`. The memory has at least as many blocks as the parameters say; what was
/// left in them does not matter. What cannot be hashed is what `argon2` refuses.
pub fn hash_into(output: &mut [u8], params: &Params, password: &[u8], salt: &[u8], memory: &mut [Block]) -> Result<(), Error> {
    #[cfg(target_arch = "x86_64")]
    if output.len() == usual::OUTPUT_BYTES
        && let Some(hash) = usual::hash(params, password, salt, memory)
    {
        output.copy_from_slice(&hash);
        return Ok(());
    }
    Argon2::new(ALGORITHM, VERSION, params.clone()).hash_password_into_with_memory(password, salt, output, memory)
}

#[cfg(test)]
mod tests {
    use argon2::{AssociatedData, ParamsBuilder};

    use super::*;

    const PASSWORD: &[u8] = b"Correct-Horse-42";
    const SALT: &[u8] = b"0123456789abcdef";

    fn params(m: u32, t: u32, p: u32) -> Params {
        Params::new(m, t, p, None).expect("good parameters")
    }

    /// Memory that something else was left in.
    fn memory(blocks: usize) -> Vec<Block> {
        let mut memory = vec![Block::new(); blocks];
        for block in &mut memory {
            block.as_mut().fill(0x5A5A_5A5A_5A5A_5A5A);
        }
        memory
    }

    fn by_the_crate(params: &Params, password: &[u8], salt: &[u8], length: usize) -> Result<Vec<u8>, Error> {
        let mut output = vec![0; length];
        let argon2 = Argon2::new(ALGORITHM, VERSION, params.clone());
        argon2.hash_password_into_with_memory(password, salt, &mut output, memory(params.block_count())).map(|()| output)
    }

    fn by_us(params: &Params, password: &[u8], salt: &[u8], length: usize) -> Result<Vec<u8>, Error> {
        let mut output = vec![0; length];
        // More memory than is needed, as an earlier hash may have left it.
        hash_into(&mut output, params, password, salt, &mut memory(params.block_count() + 3)).map(|()| output)
    }

    #[test]
    fn hashes_are_those_of_the_crate_whatever_the_parameters() {
        // From two blocks a segment to the default, and a segment as long as a list of addresses, shorter, and longer.
        for m in [8, 9, 12, 15, 16, 64, 508, 511, 512, 516, 1024, 2000, 4099, 19_456] {
            for t in [1, 2, 3, 5] {
                let params = params(m, t, 1);
                assert_eq!(by_us(&params, PASSWORD, SALT, 32), by_the_crate(&params, PASSWORD, SALT, 32), "m={m},t={t}");
            }
        }
        for (m, t, p) in [(32, 1, 4), (64, 2, 3), (1024, 2, 2)] {
            let params = params(m, t, p);
            assert_eq!(by_us(&params, PASSWORD, SALT, 32), by_the_crate(&params, PASSWORD, SALT, 32), "m={m},t={t},p={p}");
        }
        let data = AssociatedData::new(b"data").expect("data");
        let with_data = ParamsBuilder::new().m_cost(64).data(data).build().expect("good parameters");
        assert_eq!(by_us(&with_data, PASSWORD, SALT, 32), by_the_crate(&with_data, PASSWORD, SALT, 32));
    }

    #[test]
    fn hashes_are_those_of_the_crate_whatever_is_hashed() {
        let params = params(64, 2, 1);
        for password in [&b""[..], b"\0", b"x", &[0xFF; 127], &[b'a'; 128], &[b'b'; 129], &[b'c'; 4096]] {
            for salt in [&b"01234567"[..], SALT, &[0; 16], &[7; 64]] {
                assert_eq!(
                    by_us(&params, password, salt, 32),
                    by_the_crate(&params, password, salt, 32),
                    "{password:?} {salt:?}"
                );
            }
        }
        for length in [4, 16, 31, 32, 33, 64, 65, 128] {
            assert_eq!(by_us(&params, PASSWORD, SALT, length), by_the_crate(&params, PASSWORD, SALT, length), "{length}");
        }
    }

    #[test]
    fn what_the_crate_refuses_is_refused() {
        let params = params(64, 1, 1);
        for (salt, length) in [(&b"0123456"[..], 32), (b"", 32), (SALT, 3), (SALT, 0)] {
            let refused = by_us(&params, PASSWORD, salt, length);
            assert_eq!(refused, by_the_crate(&params, PASSWORD, salt, length));
            assert!(refused.is_err());
        }
        let mut output = [0; 32];
        let shorter = Params::new(64, 1, 1, Some(16)).expect("good parameters");
        assert_eq!(hash_into(&mut output, &shorter, PASSWORD, SALT, &mut memory(64)), Err(Error::OutputTooLong));
        assert_eq!(hash_into(&mut output, &params, PASSWORD, SALT, &mut memory(63)), Err(Error::MemoryTooLittle));
        assert_eq!(output, [0; 32]);
    }

    /// Else the tests above would compare the crate with itself.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_usual_hash_is_not_left_to_the_crate_where_there_is_avx2() {
        let is_taken = |params: &Params| usual::hash(params, PASSWORD, SALT, &mut memory(64)).is_some();
        assert_eq!(is_taken(&params(64, 2, 1)), std::arch::is_x86_feature_detected!("avx2"));
        assert!(!is_taken(&params(64, 2, 2)));
    }
}
