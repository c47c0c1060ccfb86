//! A decoder of CBOR (RFC 8949) for hostile input: it borrows from the input, allocates nothing, and
//! limits the depth. Indefinite lengths and tags are refused, as in the CTAP2 canonical form; the
//! order of map keys and the length of integers are free.

use std::convert::Infallible;

use cbor4ii::core::{
    dec::{Decode, IgnoredAny, Read, Reference, if_major},
    major,
    types::{Array, Bytes, Map},
};

/// The deepest nesting of arrays and maps. CTAP2 allows four levels.
const DEPTH: usize = 8;

/// The input is not the expected CBOR.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// The input after the items decoded so far.
pub(super) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(super) const fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// The bytes after the items decoded so far.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Refuses bytes after the last item.
    pub(super) const fn finish(self) -> Result<(), Invalid> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    /// The major type of the next item.
    pub(super) fn major(&self) -> Result<u8, Invalid> {
        self.rest.first().map(|&byte| if_major(byte)).ok_or(Invalid)
    }

    /// The number of entries of a map.
    pub(super) fn map(&mut self) -> Result<usize, Invalid> {
        Map::len(self).map_err(|_| Invalid)?.ok_or(Invalid)
    }

    pub(super) fn integer(&mut self) -> Result<i64, Invalid> {
        i64::decode(self).map_err(|_| Invalid)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Invalid> {
        let Bytes(bytes) = Bytes::decode(self).map_err(|_| Invalid)?;
        Ok(bytes)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Invalid> {
        Decode::decode(self).map_err(|_| Invalid)
    }

    /// Skips one map with its content.
    pub(super) fn skip_map(&mut self) -> Result<(), Invalid> {
        match self.major()? {
            major::MAP => self.skip(DEPTH),
            _ => Err(Invalid),
        }
    }

    /// Skips one item. Every item takes a byte of the input, so an announced length does not
    /// determine the work.
    fn skip(&mut self, depth: usize) -> Result<(), Invalid> {
        let items = match self.major()? {
            major::BYTES => return self.bytes().map(drop),
            major::STRING => return self.text().map(drop),
            major::TAG => return Err(Invalid),
            major::ARRAY => Array::len(self).map_err(|_| Invalid)?.ok_or(Invalid)?,
            major::MAP => self.map()?.checked_mul(2).ok_or(Invalid)?,
            _ => return IgnoredAny::decode(self).map(drop).map_err(|_| Invalid),
        };
        let inner = depth.checked_sub(1).ok_or(Invalid)?;
        (0..items).try_for_each(|_| self.skip(inner))
    }
}

impl<'a> Read<'a> for Decoder<'a> {
    type Error = Infallible;

    fn fill<'short>(&'short mut self, want: usize) -> Result<Reference<'a, 'short>, Infallible> {
        Ok(Reference::Long(&self.rest[..want.min(self.rest.len())]))
    }

    fn advance(&mut self, count: usize) {
        self.rest = &self.rest[count.min(self.rest.len())..];
    }
}
