//! Time of a hash by this crate, by the crate `argon2` and by the reference implementation in C:
//! `cargo bench -p argon2-avx2`.

#![expect(clippy::expect_used, reason = "a benchmark that cannot run fails")]

use argon2::{Algorithm, Argon2, Block, Params, Version};
use argon2_sys::{ARGON2_OK, argon2id_hash_raw};
use divan::{Bencher, black_box};

const PASSWORD: &[u8] = b"Correct-Horse-42";
const SALT: &[u8] = b"0123456789abcdef";
/// Memory in KiB and passes, as the OWASP Password Storage Cheat Sheet recommends them for one
/// lane.
const PARAMETERS: [(u32, u32); 3] = [(19_456, 2), (12_288, 3), (47_104, 1)];

fn main() {
    divan::main();
}

fn params((m, t): (u32, u32)) -> Params {
    Params::new(m, t, 1, None).expect("valid parameters")
}

#[divan::bench(args = PARAMETERS, sample_count = 30, sample_size = 1)]
fn this_crate(bencher: Bencher, parameters: (u32, u32)) {
    let params = params(parameters);
    let mut memory = vec![Block::new(); params.block_count()];
    bencher.bench_local(|| {
        let mut output = [0; 32];
        argon2_avx2::hash_into(&mut output, &params, black_box(PASSWORD), SALT, &mut memory)
            .expect("a hash");
        output
    });
}

#[divan::bench(args = PARAMETERS, sample_count = 30, sample_size = 1)]
fn crate_argon2(bencher: Bencher, parameters: (u32, u32)) {
    let params = params(parameters);
    let mut memory = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    bencher.bench_local(|| {
        let mut output = [0; 32];
        argon2
            .hash_password_into_with_memory(black_box(PASSWORD), SALT, &mut output, &mut memory)
            .expect("a hash");
        output
    });
}

/// Unlike the others, it allocates and frees the memory of each hash.
#[divan::bench(args = PARAMETERS, sample_count = 30, sample_size = 1)]
#[expect(unsafe_code, reason = "the reference implementation is C")]
fn reference_in_c(bencher: Bencher, (m, t): (u32, u32)) {
    bencher.bench_local(|| {
        let mut output = [0; 32];
        let password = black_box(PASSWORD).as_ptr().cast();
        let salt = SALT.as_ptr().cast();
        let output_start = output.as_mut_ptr().cast();
        // SAFETY: Each pointer is passed with the length of its slice, and C keeps none of them.
        let code = unsafe {
            argon2id_hash_raw(
                t,
                m,
                1,
                password,
                PASSWORD.len(),
                salt,
                SALT.len(),
                output_start,
                output.len(),
            )
        };
        assert_eq!(code, ARGON2_OK);
        output
    });
}

/// The parameters of the self-test (516 KiB, two passes), with the allocation of its memory.
#[divan::bench(sample_count = 100, sample_size = 1)]
fn self_test() -> [u8; 32] {
    let params = params((516, 2));
    let mut output = [0; 32];
    argon2_avx2::hash_into(
        &mut output,
        &params,
        black_box(PASSWORD),
        SALT,
        &mut vec![Block::new(); 516],
    )
    .expect("a hash");
    output
}
