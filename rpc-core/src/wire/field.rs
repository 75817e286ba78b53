//! The fields of a header: key, length, value, one after the other (§4).
//!
//! A key is one byte. A length is one byte below 255; 255 is followed by the length in two bytes. Numbers are
//! little-endian without leading zeroes, zero is empty. Whoever does not know a key passes over it.
//!
//! ```
//! use bytes::BytesMut;
//! use rpc_core::wire::field::{Reader, put_bytes, put_number};
//!
//! let mut out = BytesMut::new();
//! put_number(&mut out, 1, 300);
//! put_bytes(&mut out, 2, b"abc");
//! assert_eq!(&out[..], [1, 2, 0x2C, 0x01, 2, 3, b'a', b'b', b'c']);
//!
//! let fields: Vec<_> = Reader::new(&out).collect::<Result<_, _>>()?;
//! assert_eq!(fields[0].number(), Some(300));
//! assert_eq!(fields[1].value, b"abc");
//! # Ok::<(), rpc_core::wire::field::Truncated>(())
//! ```

use std::time::Duration;

use bytes::{BufMut, BytesMut};

/// A length of this or more is written in three bytes.
const LONG: usize = 255;

/// Appends a number.
#[inline]
pub fn put_number(out: &mut BytesMut, key: u8, number: u64) {
    let len = (8 - number.leading_zeros() / 8) as usize;
    // An append of a fixed size and a cut is a few instructions, where one of any length is a call.
    let mut field = [0; 10];
    field[0] = key;
    field[1] = len as u8;
    field[2..].copy_from_slice(&number.to_le_bytes());
    out.put_slice(&field);
    out.truncate(out.len() - (8 - len));
}

/// The numbers of a head, gathered to be appended at once: an append of a fixed size with a cut behind it costs as much for
/// five numbers as for one. `ROOM` is ten bytes for each.
#[derive(Debug)]
pub(crate) struct Numbers<const ROOM: usize> {
    bytes: [u8; ROOM],
    len: usize,
}

impl<const ROOM: usize> Numbers<ROOM> {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { bytes: [0; ROOM], len: 0 }
    }

    /// Adds a number.
    #[inline]
    pub(crate) fn put(&mut self, key: u8, number: u64) {
        let rest = self.bytes.get_mut(self.len..).and_then(<[u8]>::first_chunk_mut::<10>);
        debug_assert!(rest.is_some(), "more numbers than there is room for");
        let Some([first, second, value @ ..]) = rest else { return };
        let len = (8 - number.leading_zeros() / 8) as usize;
        (*first, *second, *value) = (key, len as u8, number.to_le_bytes());
        self.len += 2 + len;
    }

    /// Appends what there is, and begins anew.
    #[inline]
    pub(crate) fn flush(&mut self, out: &mut BytesMut) {
        out.put_slice(&self.bytes);
        out.truncate(out.len() - (ROOM - self.len));
        self.len = 0;
    }
}

/// A duration as a field says it: in whole microseconds.
#[inline]
pub(crate) fn micros(duration: Duration) -> u64 {
    // In 64 bits: `as_micros` reckons in 128.
    duration.as_secs().saturating_mul(1_000_000).saturating_add(u64::from(duration.subsec_micros()))
}

/// Appends bytes; the caller has seen to it that they are at most 65,535.
pub fn put_bytes(out: &mut BytesMut, key: u8, value: &[u8]) {
    put_length(out, key, value.len());
    out.put_slice(value);
}

/// Appends the key and the length of a value that the caller appends next.
pub fn put_length(out: &mut BytesMut, key: u8, len: usize) {
    out.put_u8(key);
    if len < LONG {
        out.put_u8(len as u8);
    } else {
        out.put_u8(LONG as u8);
        out.put_u16_le(len as u16);
    }
}

/// A field, as read.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// The key.
    pub key: u8,
    /// The value.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// The value as a number; `None` if it is longer than eight bytes.
    #[inline]
    pub fn number(&self) -> Option<u64> {
        // Most are of few bytes: a copy of a length that is not known is a call, and a loop costs twice as much.
        match *self.value {
            [] => Some(0),
            [a] => Some(u64::from(a)),
            [a, b] => Some(u64::from(u16::from_le_bytes([a, b]))),
            [a, b, c] => Some(u64::from(u32::from_le_bytes([a, b, c, 0]))),
            [a, b, c, d] => Some(u64::from(u32::from_le_bytes([a, b, c, d]))),
            _ if self.value.len() > 8 => None,
            _ => Some(self.value.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))),
        }
    }
}

/// A header that ends in the middle of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Truncated;

impl std::fmt::Display for Truncated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the header ends in the middle of a field")
    }
}

impl std::error::Error for Truncated {}

/// Reads the fields of a header.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of this header.
    pub fn new(header: &'a [u8]) -> Self {
        Self(header)
    }
}

impl<'a> Iterator for Reader<'a> {
    type Item = Result<Field<'a>, Truncated>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (key, len, rest) = match *self.0 {
            [] => return None,
            [key, len, ref rest @ ..] if len < LONG as u8 => (key, usize::from(len), rest),
            [key, _, l0, l1, ref rest @ ..] => (key, usize::from(u16::from_le_bytes([l0, l1])), rest),
            _ => return self.truncated(),
        };
        match rest.split_at_checked(len) {
            Some((value, rest)) => {
                self.0 = rest;
                Some(Ok(Field { key, value }))
            }
            None => self.truncated(),
        }
    }
}

impl<'a> Reader<'a> {
    fn truncated(&mut self) -> Option<Result<Field<'a>, Truncated>> {
        self.0 = &[];
        Some(Err(Truncated))
    }
}
