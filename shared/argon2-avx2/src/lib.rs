//! Argon2id (RFC 9106), version 0x13, computed with AVX2 instructions if the processor has them.
//!
//! On an x86-64 processor with AVX2, [`hash_into`] computes a hash of one lane and 32 bytes of
//! output in about half the time that the crate `argon2` takes. The crate `argon2` computes every
//! other hash, and all hashes if the [`self_test`] fails.
//!
//! <https://www.rfc-editor.org/rfc/rfc9106>

#![warn(missing_docs)]

#[cfg(target_arch = "x86_64")]
mod avx2;
mod kernel;
#[cfg(target_arch = "x86_64")]
mod single_lane;

use argon2::{Algorithm, Argon2, Block, Error, Params, Version};
use kernel::{KERNEL, Kernel};

pub use kernel::SelfTest;

/// Runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

const ALGORITHM: Algorithm = Algorithm::Argon2id;
const VERSION: Version = Version::V0x13;
/// Length of the output that this crate computes itself, in bytes.
const OUTPUT_BYTES: usize = 32;

/// Hashes a password and fills `output` with the hash. `memory` must have at least
/// [`Params::block_count`] blocks of 1024 bytes; their content does not affect the hash.
///
/// The first call in a process runs the self-test.
///
/// # Errors
///
/// Returns the same errors as [`Argon2::hash_password_into_with_memory`], under the same
/// conditions.
pub fn hash_into(
    output: &mut [u8],
    params: &Params,
    password: &[u8],
    salt: &[u8],
    memory: &mut [Block],
) -> Result<(), Error> {
    hash_with(&KERNEL, output, params, password, salt, memory)
}

/// Returns the result of the self-test, which runs once per process: the AVX2 code hashes a fixed
/// input, and the output is compared with the known one. It takes a fortieth of the time of a hash
/// with `m=19456,t=2`, and 516 KiB of memory while it runs. [`hash_into`] runs it if it has not run
/// yet; call this function to run it earlier or to report its result.
pub fn self_test() -> SelfTest {
    KERNEL.self_test()
}

fn hash_with(
    kernel: &Kernel,
    output: &mut [u8],
    params: &Params,
    password: &[u8],
    salt: &[u8],
    memory: &mut [Block],
) -> Result<(), Error> {
    if output.len() == OUTPUT_BYTES
        && let Some(hash) = kernel.hash(params, password, salt, memory)
    {
        output.copy_from_slice(&hash);
        return Ok(());
    }
    Argon2::new(ALGORITHM, VERSION, params.clone())
        .hash_password_into_with_memory(password, salt, output, memory)
}

#[cfg(test)]
mod tests {
    use argon2::{AssociatedData, ParamsBuilder};

    use super::*;

    const PASSWORD: &[u8] = b"Correct-Horse-42";
    const SALT: &[u8] = b"0123456789abcdef";

    fn params(m: u32, t: u32, p: u32) -> Params {
        Params::new(m, t, p, None).expect("valid parameters")
    }

    /// Memory that contains data of an earlier use.
    fn memory(blocks: usize) -> Vec<Block> {
        let mut memory = vec![Block::new(); blocks];
        for block in &mut memory {
            block.as_mut().fill(0x5A5A_5A5A_5A5A_5A5A);
        }
        memory
    }

    fn by_argon2(
        params: &Params,
        password: &[u8],
        salt: &[u8],
        length: usize,
    ) -> Result<Vec<u8>, Error> {
        let mut output = vec![0; length];
        let argon2 = Argon2::new(ALGORITHM, VERSION, params.clone());
        argon2
            .hash_password_into_with_memory(
                password,
                salt,
                &mut output,
                memory(params.block_count()),
            )
            .map(|()| output)
    }

    fn by_this_crate(
        params: &Params,
        password: &[u8],
        salt: &[u8],
        length: usize,
    ) -> Result<Vec<u8>, Error> {
        let mut output = vec![0; length];
        // More memory than required, as after a hash with larger parameters.
        hash_into(
            &mut output,
            params,
            password,
            salt,
            &mut memory(params.block_count() + 3),
        )
        .map(|()| output)
    }

    #[test]
    fn hashes_equal_those_of_argon2_for_all_parameters() {
        // From two blocks per segment to the default. Segments are shorter than, as long as and
        // longer than one block of generated addresses.
        for m in [
            8, 9, 12, 15, 16, 64, 508, 511, 512, 516, 1024, 2000, 4099, 19_456,
        ] {
            for t in [1, 2, 3, 5] {
                let params = params(m, t, 1);
                let expected = by_argon2(&params, PASSWORD, SALT, 32);
                assert_eq!(
                    by_this_crate(&params, PASSWORD, SALT, 32),
                    expected,
                    "m={m},t={t}"
                );
            }
        }
        for (m, t, p) in [(32, 1, 4), (64, 2, 3), (1024, 2, 2)] {
            let params = params(m, t, p);
            let expected = by_argon2(&params, PASSWORD, SALT, 32);
            assert_eq!(
                by_this_crate(&params, PASSWORD, SALT, 32),
                expected,
                "m={m},t={t},p={p}"
            );
        }
        let data = AssociatedData::new(b"data").expect("associated data");
        let with_data = ParamsBuilder::new()
            .m_cost(64)
            .data(data)
            .build()
            .expect("valid parameters");
        assert_eq!(
            by_this_crate(&with_data, PASSWORD, SALT, 32),
            by_argon2(&with_data, PASSWORD, SALT, 32)
        );
    }

    #[test]
    fn hashes_equal_those_of_argon2_for_all_inputs_and_output_lengths() {
        let params = params(64, 2, 1);
        for password in [
            &b""[..],
            b"\0",
            b"x",
            &[0xFF; 127],
            &[b'a'; 128],
            &[b'b'; 129],
            &[b'c'; 4096],
        ] {
            for salt in [&b"01234567"[..], SALT, &[0; 16], &[7; 64]] {
                let expected = by_argon2(&params, password, salt, 32);
                assert_eq!(
                    by_this_crate(&params, password, salt, 32),
                    expected,
                    "{password:?} {salt:?}"
                );
            }
        }
        for length in [4, 16, 31, 32, 33, 64, 65, 128] {
            let expected = by_argon2(&params, PASSWORD, SALT, length);
            assert_eq!(
                by_this_crate(&params, PASSWORD, SALT, length),
                expected,
                "{length}"
            );
        }
    }

    #[test]
    fn input_that_argon2_rejects_is_rejected_with_the_same_error() {
        let params = params(64, 1, 1);
        for (salt, length) in [(&b"0123456"[..], 32), (b"", 32), (SALT, 3), (SALT, 0)] {
            let rejected = by_this_crate(&params, PASSWORD, salt, length);
            assert_eq!(rejected, by_argon2(&params, PASSWORD, salt, length));
            assert!(rejected.is_err());
        }
        let mut output = [0; 32];
        let shorter = Params::new(64, 1, 1, Some(16)).expect("valid parameters");
        assert_eq!(
            hash_into(&mut output, &shorter, PASSWORD, SALT, &mut memory(64)),
            Err(Error::OutputTooLong)
        );
        assert_eq!(
            hash_into(&mut output, &params, PASSWORD, SALT, &mut memory(63)),
            Err(Error::MemoryTooLittle)
        );
        assert_eq!(output, [0; 32]);
    }

    /// Without this, the tests above could compare the crate `argon2` with itself.
    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_avx2_code_computes_single_lane_hashes_if_the_processor_has_avx2() {
        let has_avx2 = std::arch::is_x86_feature_detected!("avx2");
        let is_computed = |params: &Params| {
            KERNEL
                .hash(params, PASSWORD, SALT, &mut memory(64))
                .is_some()
        };
        assert_eq!(
            self_test(),
            if has_avx2 {
                SelfTest::Passed
            } else {
                SelfTest::Unsupported
            }
        );
        assert_eq!(is_computed(&params(64, 2, 1)), has_avx2);
        assert!(!is_computed(&params(64, 2, 2)));
    }

    mod fallback {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

        use super::*;
        use crate::kernel::{Hash, KNOWN_ANSWER, known_params};

        /// Hashes twice with a kernel that counts its calls, and returns the number of calls by
        /// each hash.
        fn hash_twice(kernel: &Kernel, calls: &AtomicUsize, expected: &[u8]) -> [usize; 2] {
            [(); 2].map(|()| {
                let before = calls.load(Relaxed);
                let mut output = [0; OUTPUT_BYTES];
                let params = params(64, 2, 1);
                hash_with(
                    kernel,
                    &mut output,
                    &params,
                    PASSWORD,
                    SALT,
                    &mut memory(64),
                )
                .expect("a hash");
                assert_eq!(output, expected);
                calls.load(Relaxed) - before
            })
        }

        fn expected_hash() -> Vec<u8> {
            by_argon2(&params(64, 2, 1), PASSWORD, SALT, OUTPUT_BYTES).expect("a hash")
        }

        #[test]
        fn argon2_computes_all_hashes_after_the_self_test_got_a_wrong_hash() {
            static CALLS: AtomicUsize = AtomicUsize::new(0);
            // Each hash differs from the correct one by one bit.
            fn wrong(
                params: &Params,
                password: &[u8],
                salt: &[u8],
                memory: &mut [Block],
            ) -> Option<Hash> {
                CALLS.fetch_add(1, Relaxed);
                let mut hash = [0; OUTPUT_BYTES];
                let argon2 = Argon2::new(ALGORITHM, VERSION, params.clone());
                argon2
                    .hash_password_into_with_memory(password, salt, &mut hash, memory)
                    .ok()?;
                hash[31] ^= 1;
                Some(hash)
            }
            let kernel = Kernel::new(|| true, wrong);
            // One call by the self-test, and no other.
            assert_eq!(hash_twice(&kernel, &CALLS, &expected_hash()), [1, 0]);
            assert_eq!(kernel.self_test(), SelfTest::Failed);
        }

        #[test]
        fn argon2_computes_all_hashes_after_the_self_test_got_no_hash() {
            static CALLS: AtomicUsize = AtomicUsize::new(0);
            let kernel = Kernel::new(
                || true,
                |_, _, _, _| {
                    CALLS.fetch_add(1, Relaxed);
                    None
                },
            );
            assert_eq!(hash_twice(&kernel, &CALLS, &expected_hash()), [1, 0]);
            assert_eq!(kernel.self_test(), SelfTest::Failed);
        }

        #[test]
        fn the_avx2_code_is_not_called_without_avx2() {
            static CALLS: AtomicUsize = AtomicUsize::new(0);
            let kernel = Kernel::new(
                || false,
                |_, _, _, _| {
                    CALLS.fetch_add(1, Relaxed);
                    Some(KNOWN_ANSWER)
                },
            );
            assert_eq!(hash_twice(&kernel, &CALLS, &expected_hash()), [0, 0]);
            assert_eq!(kernel.self_test(), SelfTest::Unsupported);
        }

        #[test]
        fn the_self_test_runs_once() {
            static CALLS: AtomicUsize = AtomicUsize::new(0);
            let kernel = Kernel::new(
                || true,
                |_, _, _, _| {
                    CALLS.fetch_add(1, Relaxed);
                    Some(KNOWN_ANSWER)
                },
            );
            // The self-test and the first hash, then the second hash.
            assert_eq!(hash_twice(&kernel, &CALLS, &KNOWN_ANSWER), [2, 1]);
            assert_eq!(kernel.self_test(), SelfTest::Passed);
        }

        #[test]
        fn the_known_answer_equals_the_hash_by_argon2() {
            let params = known_params().expect("valid parameters");
            let expected =
                by_argon2(&params, kernel::PASSWORD, kernel::SALT, OUTPUT_BYTES).expect("a hash");
            assert_eq!(KNOWN_ANSWER.as_slice(), expected);
        }
    }
}
