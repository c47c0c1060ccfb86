//! Comparison of hashes with those of the reference implementation in C.

use argon2::{Block, Params};
use argon2_sys::{ARGON2_OK, argon2id_hash_raw};

#[expect(unsafe_code, reason = "the reference implementation is C")]
fn by_reference(params: &Params, password: &[u8], salt: &[u8]) -> [u8; 32] {
    let mut output = [0; 32];
    // SAFETY: Each pointer is passed with the length of its slice, and C keeps none of them.
    let code = unsafe {
        argon2id_hash_raw(
            params.t_cost(),
            params.m_cost(),
            params.p_cost(),
            password.as_ptr().cast(),
            password.len(),
            salt.as_ptr().cast(),
            salt.len(),
            output.as_mut_ptr().cast(),
            output.len(),
        )
    };
    assert_eq!(code, ARGON2_OK);
    output
}

fn by_this_crate(params: &Params, password: &[u8], salt: &[u8]) -> [u8; 32] {
    let mut output = [0; 32];
    let mut memory = vec![Block::new(); params.block_count()];
    let hashed = argon2_avx2::hash_into(&mut output, params, password, salt, &mut memory);
    assert_eq!(hashed, Ok(()));
    output
}

#[test]
fn hashes_equal_those_of_the_reference_implementation() {
    for (m, t, p) in [
        (8, 1, 1),
        (15, 3, 1),
        (516, 2, 1),
        (4099, 2, 1),
        (19_456, 2, 1),
        (12_288, 3, 1),
        (1024, 2, 2),
    ] {
        let params = Params::new(m, t, p, None).expect("valid parameters");
        for (password, salt) in [
            (&b""[..], &b"01234567"[..]),
            (b"Correct-Horse-42", b"0123456789abcdef"),
            (&[0xFF; 129], &[0; 64]),
        ] {
            let expected = by_reference(&params, password, salt);
            assert_eq!(
                by_this_crate(&params, password, salt),
                expected,
                "m={m},t={t},p={p}"
            );
        }
    }
}

/// Input and output are those of the self-test; the output is `KNOWN_ANSWER` in `src/kernel.rs`.
#[test]
fn the_known_answer_equals_the_hash_by_the_reference_implementation() {
    let params = Params::new(516, 2, 1, None).expect("valid parameters");
    let expected = [
        0xbe, 0xca, 0x78, 0xf3, 0x47, 0xa2, 0x2f, 0x43, 0x0a, 0xc0, 0x53, 0x08, 0x7a, 0x1a, 0x9d,
        0x43, //
        0x27, 0x1c, 0x0d, 0xae, 0xa8, 0x81, 0xd5, 0xe9, 0x4f, 0x5a, 0x5f, 0x7f, 0xc0, 0x3b, 0x79,
        0x2f,
    ];
    assert_eq!(
        by_reference(&params, b"known answer", b"of argon2-avx2"),
        expected
    );
}
