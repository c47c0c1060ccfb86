//! An encoder of CBOR (RFC 8949), in the shortest form.

/// The first bytes of an item: its major type, and its value or length.
#[must_use]
pub fn head(major: u8, value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let (information, length) = match value {
        0..=23 => (bytes[7], 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    let mut head = vec![major << 5 | information];
    head.extend_from_slice(&bytes[8 - length..]);
    head
}

/// An integer.
#[must_use]
pub fn integer(value: i64) -> Vec<u8> {
    if value < 0 {
        head(1, !value.cast_unsigned())
    } else {
        head(0, value.cast_unsigned())
    }
}

/// A byte string.
#[must_use]
pub fn bytes(value: &[u8]) -> Vec<u8> {
    [head(2, value.len() as u64), value.to_vec()].concat()
}

/// A text string.
#[must_use]
pub fn text(value: &str) -> Vec<u8> {
    [head(3, value.len() as u64), value.as_bytes().to_vec()].concat()
}

/// A map of encoded keys and values, in the given order.
#[must_use]
pub fn map(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut map = head(5, entries.len() as u64);
    for (key, value) in entries {
        map.extend_from_slice(key);
        map.extend_from_slice(value);
    }
    map
}
