use authenticator::cbor::{bytes, head, integer, map, text};

use super::super::cbor::{Decoder, Invalid};

/// Whether the input is exactly one map.
fn is_map(input: &[u8]) -> bool {
    let mut decoder = Decoder::new(input);
    decoder.skip_map() == Ok(()) && decoder.finish() == Ok(())
}

/// A map with one value.
fn containing(value: Vec<u8>) -> Vec<u8> {
    map(&[(integer(0), value)])
}

#[test]
fn items_of_each_type_are_skipped() {
    for value in [
        integer(23),
        integer(-1),
        integer(i64::MAX),
        integer(i64::MIN),
        head(0, u64::MAX),
        head(1, u64::MAX),
        bytes(&[0; 300]),
        text("é"),
        [head(4, 2), integer(1), text("x")].concat(),
        map(&[(text("k"), bytes(b"v"))]),
        vec![0xf4],
        vec![0xf6],
        vec![0xf9, 0, 0],
        vec![0xfb, 0, 0, 0, 0, 0, 0, 0, 0],
    ] {
        assert!(is_map(&containing(value.clone())), "{value:02x?}");
        let (_, shorter) = value.split_last().unwrap();
        assert!(!is_map(&containing(shorter.to_vec())), "{value:02x?}");
    }
}

#[test]
fn indefinite_lengths_tags_and_reserved_values_are_refused() {
    for value in [
        vec![0x5f, 0x41, 0x00, 0xff],
        vec![0x7f, 0x61, b'x', 0xff],
        vec![0x9f, 0xff],
        vec![0xbf, 0xff],
        vec![0xc0, 0x60],
        vec![0xd8, 0x18, 0x40],
        vec![0x1c],
        vec![0x5c],
        vec![0xe0],
        vec![0xf8, 0x20],
        vec![0xff],
        vec![0x61, 0xff],
    ] {
        assert!(!is_map(&containing(value.clone())), "{value:02x?}");
    }
}

/// A length that is larger than the input neither reserves memory nor costs time.
#[test]
fn announced_lengths_are_not_believed() {
    for major in 2..=5 {
        for length in [1, 255, 1 << 32, u64::MAX / 2, u64::MAX] {
            assert!(!is_map(&containing(head(major, length))));
            assert!(!is_map(&head(5, length)));
        }
    }
}

#[test]
fn the_nesting_is_limited() {
    let nested = |depth: usize| {
        let mut value = integer(0);
        for _ in 0..depth {
            value = containing(value);
        }
        value
    };
    assert!(is_map(&nested(8)));
    for depth in [9, 100, 5000] {
        assert!(!is_map(&nested(depth)));
        let arrays = [vec![0x81; depth], integer(0)].concat();
        assert!(!is_map(&containing(arrays)));
    }
}

#[test]
fn items_of_another_type_are_refused() {
    for input in [&[][..], &[0x80], &[0x60], &[0xf6], &[0x1c]] {
        assert_eq!(Decoder::new(input).map(), Err(Invalid));
        assert_eq!(Decoder::new(input).bytes(), Err(Invalid));
        assert_eq!(Decoder::new(input).integer(), Err(Invalid));
        assert_eq!(Decoder::new(input).skip_map(), Err(Invalid));
    }
    assert_eq!(Decoder::new(&bytes(b"x")).text(), Err(Invalid));
    assert_eq!(Decoder::new(&text("x")).bytes(), Err(Invalid));
    assert_eq!(Decoder::new(&head(0, u64::MAX)).integer(), Err(Invalid));
}
