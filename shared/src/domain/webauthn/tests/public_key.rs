use authenticator::{cbor, cose};

use super::*;

fn parse(parameters: &[(i64, Vec<u8>)]) -> Result<Algorithm, Refusal> {
    PublicKey::from_cose(&cose(parameters)).map(|key| key.algorithm())
}

/// A key with one parameter replaced.
fn with(key: &Key, label: i64, value: Vec<u8>) -> Result<Algorithm, Refusal> {
    let mut parameters = key.parameters();
    let parameter = parameters.iter_mut().find(|it| it.0 == label).unwrap();
    parameter.1 = value;
    parse(&parameters)
}

/// The bytes of a parameter.
fn bytes_of(key: &Key, label: i64) -> Vec<u8> {
    let parameters = key.parameters();
    let (_, value) = parameters.into_iter().find(|it| it.0 == label).unwrap();
    let length = match value[0] & 0x1f {
        24 => 2,
        25 => 3,
        _ => 1,
    };
    value[length..].to_vec()
}

const INVALID: Result<Algorithm, Refusal> = Err(Refusal::PublicKey);

#[test]
fn a_key_is_stored_as_it_was_sent() {
    for key in Key::all() {
        let parsed = PublicKey::from_cose(&key.cose()).unwrap();
        assert_eq!(parsed.as_cose(), key.cose());
        assert_eq!(PublicKey::from_cose(parsed.as_cose()), Ok(parsed));
    }
    let [first, second, _] = Key::all().map(|key| PublicKey::from_cose(&key.cose()).unwrap());
    assert_ne!(first, second);
    assert_eq!(format!("{first:?}"), "PublicKey(Es256, ..)");
}

#[test]
fn the_parameters_have_any_order_but_are_exactly_those_of_the_type() {
    for key in Key::all() {
        let parameters = key.parameters();
        let mut reversed = parameters.clone();
        reversed.reverse();
        assert!(parse(&reversed).is_ok());
        for place in 0..parameters.len() {
            let mut fewer = parameters.clone();
            fewer.remove(place);
            assert_eq!(parse(&fewer), INVALID);
            let mut twice = parameters.clone();
            twice.push(parameters[place].clone());
            assert_eq!(parse(&twice), INVALID);
        }
        for label in [2, 4, 5, 0, -4, -12] {
            let mut more = parameters.clone();
            more.push((label, cbor::bytes(b"x")));
            assert_eq!(parse(&more), INVALID);
        }
        let longer = [key.cose(), vec![0]].concat();
        assert_eq!(PublicKey::from_cose(&longer), Err(Refusal::PublicKey));
        let complete = key.cose();
        for end in 0..complete.len() {
            let result = PublicKey::from_cose(&complete[..end]);
            assert_eq!(result, Err(Refusal::PublicKey));
        }
    }
    for key in [Key::eddsa(), Key::rs256()] {
        let mut more = key.parameters();
        more.push((-3, cbor::bytes(&[1; 32])));
        assert_eq!(parse(&more), INVALID);
    }
}

#[test]
fn key_type_algorithm_and_curve_agree() {
    for key in Key::all() {
        for other in [0, 1, 2, 3, 4, 6, -1] {
            for label in [1, -1] {
                let same = matches!(
                    (&key, label, other),
                    (Key::Es256(_), 1, 2)
                        | (Key::Es256(_), -1, 1)
                        | (Key::EdDsa(_), 1, 1)
                        | (Key::EdDsa(_), -1, 6)
                        | (Key::Rs256(_), 1, 3)
                );
                let result = with(&key, label, cbor::integer(other));
                assert_eq!(result.is_ok(), same, "{label} {other}");
            }
        }
        for other in [-35, -36, -37, -47, -65535, 0, 7, i64::MIN] {
            let result = with(&key, 3, cbor::integer(other));
            assert_eq!(result, Err(Refusal::Algorithm));
        }
        assert_eq!(with(&key, 3, cbor::bytes(b"x")), INVALID);
    }
    assert_eq!(with(&Key::es256(), 3, cbor::integer(-8)), INVALID);
    assert_eq!(with(&Key::eddsa(), 3, cbor::integer(-7)), INVALID);
    assert_eq!(with(&Key::rs256(), 3, cbor::integer(-7)), INVALID);
}

#[test]
fn a_p256_point_is_on_the_curve_and_not_compressed() {
    let key = Key::es256();
    for label in [-2, -3] {
        let coordinate = bytes_of(&key, label);
        for place in [0, 31] {
            let mut other = coordinate.clone();
            other[place] ^= 1;
            assert_eq!(with(&key, label, cbor::bytes(&other)), INVALID);
        }
        let longer = [&[0], &coordinate[..]].concat();
        for other in [&longer, &coordinate[1..], &[][..], &[0; 32], &[0xff; 32]] {
            assert_eq!(with(&key, label, cbor::bytes(other)), INVALID);
        }
    }
    // A compressed point has a sign instead of y.
    for sign in [0xf4, 0xf5] {
        assert_eq!(with(&key, -3, vec![sign]), INVALID);
    }
    // The point at infinity has no coordinates; 0, 0 is a usual spelling.
    let mut parameters = key.parameters();
    parameters[3].1 = cbor::bytes(&[0; 32]);
    parameters[4].1 = cbor::bytes(&[0; 32]);
    assert_eq!(parse(&parameters), INVALID);
}

/// The eight points whose order divides 8, and the encodings that reduce to a smaller number.
#[test]
fn an_ed25519_point_is_canonical_and_not_of_low_order() {
    let order_8 = [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ]
    .map(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap());
    let little_endian = |first: u8, middle: u8, last: u8| {
        let mut point = vec![middle; 32];
        point[0] = first;
        point[31] = last;
        point
    };
    let small = [little_endian(0, 0, 0), little_endian(1, 0, 0)];
    let large = (0xec..=0xff).map(|first| little_endian(first, 0xff, 0x7f));
    for point in small.into_iter().chain(large).chain(order_8) {
        for sign in [0, 0x80] {
            let mut signed = point.clone();
            signed[31] |= sign;
            let result = with(&Key::eddsa(), -2, cbor::bytes(&signed));
            assert_eq!(result, INVALID, "{signed:02x?}");
        }
    }
}

#[test]
fn an_ed25519_point_has_32_bytes() {
    let point = bytes_of(&Key::eddsa(), -2);
    for other in [&point[1..], &[&point[..], &[0]].concat(), &[]] {
        assert_eq!(with(&Key::eddsa(), -2, cbor::bytes(other)), INVALID);
    }
}

/// Such a key would make signatures valid for every message.
#[test]
fn a_key_of_low_order_verifies_forged_signatures_in_other_libraries() {
    let zero_scalar = [&[1], &[0; 63][..]].concat();
    let identity = [&[1], &[0; 31][..]].concat();
    let key =
        aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, identity);
    assert!(key.verify(b"any message", &zero_scalar).is_ok());
}

#[test]
fn an_rsa_key_has_2048_to_4096_bits_and_a_small_odd_exponent() {
    let key = Key::rs256();
    let modulus = |bits: usize| {
        let mut modulus = vec![0xa5; bits.div_ceil(8)];
        modulus[0] = 1 << ((bits - 1) % 8);
        modulus
    };
    for (bits, is_valid) in [
        (1024, false),
        (2040, false),
        (2047, false),
        (2048, true),
        (2049, true),
        (3072, true),
        (4096, true),
        (4097, false),
        (8192, false),
    ] {
        let result = with(&key, -1, cbor::bytes(&modulus(bits)));
        assert_eq!(result.is_ok(), is_valid, "{bits}");
    }
    let mut even = modulus(2048);
    even[255] = 0xa4;
    let zero_first = [&[0], &modulus(2048)[..]].concat();
    for other in [&even[..], &zero_first, &[]] {
        assert_eq!(with(&key, -1, cbor::bytes(other)), INVALID);
    }
    for (exponent, is_valid) in [
        (&[3][..], true),
        (&[1, 0, 1], true),
        (&[0xff, 0xff, 0xff, 0xff], true),
        (&[], false),
        (&[0], false),
        (&[1], false),
        (&[2], false),
        (&[1, 0, 0], false),
        (&[0, 1, 0, 1], false),
        (&[1, 0, 0, 0, 1], false),
    ] {
        let result = with(&key, -2, cbor::bytes(exponent));
        assert_eq!(result.is_ok(), is_valid, "{exponent:?}");
    }
}
