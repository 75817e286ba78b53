//! Protobuf's bytes: keys, varints and lengths, written to a buffer and read from one.
//!
//! ```text
//!   message := field*
//!   field   := key value          key := varint(tag << 3 | wire type)
//!   value   := varint | 8 bytes | 4 bytes | length bytes | fields until the group's end
//! ```
//!
//! Bytes come from a peer. Every length is held against what is really there before anything is taken, and nothing
//! is allocated for a length that was only claimed.

use bytes::{BufMut, Bytes, BytesMut};

use super::DecodeError;

/// How deep messages may stand in each other: protobuf's own limit in most languages. Reading recurses.
pub(crate) const MAX_DEPTH: u32 = 100;

/// What is said of a message at a greater depth.
pub(crate) const TOO_DEEP: &str = "messages stand in each other more than 100 deep";

/// How much of the stack reading may take, in bytes: half of what a thread has by default, which is what tokio gives its
/// workers too. Who reads has the other half.
pub(crate) const STACK: u32 = 1 << 20;

/// How much of the stack it takes, at most, to read a message that has a `T` in it: that is passed on by value through
/// several functions, each of which has room for it in a build without optimizations. The test `deep` holds it against
/// what happens. One fits, however large it is: then it is not the bytes that make it so.
pub(crate) const fn stack_of<T>() -> u32 {
    let bytes = size_of::<T>().saturating_mul(10).saturating_add(2560);
    if bytes < STACK as usize { bytes as u32 } else { STACK }
}

/// What is said of a message that would be read too deep on the stack.
pub(crate) const TOO_LARGE: &str =
    "messages of this size stand in each other deeper than the stack could hold";

/// How a value is delimited: the lower three bits of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Seven bits a byte, lowest first.
    Varint = 0,
    /// Eight bytes, little-endian.
    Fixed64 = 1,
    /// A varint that says how many bytes follow.
    Len = 2,
    /// The first half of proto2's groups, which are only ever skipped.
    Open = 3,
    /// The second half.
    Close = 4,
    /// Four bytes, little-endian.
    Fixed32 = 5,
}

/// How many bytes a varint takes: one for every seven bits that are in use, and one for zero.
#[inline]
pub(super) const fn varint_len(value: u64) -> usize {
    // ceil(bits / 7) without a division: 9 / 64 is just above 1 / 7 and exact up to 64 bits.
    (((value | 1).ilog2() * 9 + 73) / 64) as usize
}

/// How many bytes a key takes.
#[inline]
pub(super) const fn key_len(tag: u32) -> usize {
    varint_len((tag << 3) as u64)
}

/// Appends a varint.
#[inline]
pub(super) fn put_varint(value: u64, out: &mut BytesMut) {
    if value < 0x80 {
        out.put_u8(value as u8);
    } else {
        put_long_varint(value, out);
    }
}

fn put_long_varint(mut value: u64, out: &mut BytesMut) {
    let mut bytes = [0; 10];
    let mut len = 0;
    while value >= 0x80 {
        bytes[len] = value as u8 | 0x80;
        value >>= 7;
        len += 1;
    }
    bytes[len] = value as u8;
    out.put_slice(&bytes[..=len]);
}

/// Appends a field's key.
#[inline]
pub(super) fn put_key(tag: u32, wire: Wire, out: &mut BytesMut) {
    put_varint(u64::from(tag << 3 | wire as u32), out);
}

/// What a reader at any depth knows of its surroundings.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The buffer that everything is read from: `Bytes` fields become slices of it.
    whole: &'a Bytes,
    /// How many messages stand around this one.
    depth: u32,
    /// What is left of the stack.
    stack: u32,
}

impl<'a> Input<'a> {
    /// The input of an outermost message.
    #[inline]
    pub fn new(whole: &'a Bytes) -> Self {
        Self { whole, depth: 0, stack: STACK }
    }

    /// The input of a `T` that stands in this message.
    #[inline]
    pub fn deeper<T>(self) -> Result<Self, DecodeError> {
        if self.depth == MAX_DEPTH {
            return Err(DecodeError::new(TOO_DEEP));
        }
        match self.stack.checked_sub(const { stack_of::<T>() }) {
            Some(stack) => Ok(Self { depth: self.depth + 1, stack, ..self }),
            None => Err(DecodeError::new(TOO_LARGE)),
        }
    }

    /// A part of the buffer, without copying it.
    #[inline]
    pub fn share(self, part: &[u8]) -> Bytes {
        self.whole.slice_ref(part)
    }
}

/// The bytes of one message: one part as a rule, several where the field came more than once.
///
/// Protobuf has such occurrences merge, and defines that as reading them one after the other as if they were one. So
/// they are only collected while the surrounding message is read. Merging then costs nothing more, goes all the way
/// down, and a field that must be there may be in any of them.
#[derive(Debug, Default)]
pub struct Parts<'a> {
    first: Option<&'a [u8]>,
    more: Vec<&'a [u8]>,
}

impl<'a> Parts<'a> {
    /// A message in one part.
    #[inline]
    pub fn new(part: &'a [u8]) -> Self {
        Self { first: Some(part), more: Vec::new() }
    }

    /// Takes in an occurrence of a message-typed field.
    #[inline]
    pub fn fill(&mut self, wire: Wire, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        reader.expect(wire, Wire::Len)?;
        let part = reader.delimited()?;
        match self.first {
            None => self.first = Some(part),
            Some(_) => self.more.push(part),
        }
        Ok(())
    }

    /// Whether there was no occurrence.
    #[inline]
    pub fn is_absent(&self) -> bool {
        self.first.is_none()
    }

    /// The parts in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> {
        self.first.into_iter().chain(self.more.iter().copied())
    }

    /// All parts as one buffer; copied only if there are several.
    pub fn join(&self, input: Input<'a>) -> Bytes {
        match (self.first, self.more.is_empty()) {
            (Some(part), true) => input.share(part),
            _ => self
                .iter()
                .fold(BytesMut::new(), |mut all, part| {
                    all.put_slice(part);
                    all
                })
                .freeze(),
        }
    }
}

/// Reads fields from a part of the input.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Where this reader stands.
    pub input: Input<'a>,
}

impl<'a> Reader<'a> {
    /// A reader of this part.
    #[inline]
    pub fn new(part: &'a [u8], input: Input<'a>) -> Self {
        Self { rest: part, input }
    }

    /// Whether everything was read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The key of the next field, `None` after the last one.
    #[inline]
    pub fn field(&mut self) -> Result<Option<(u32, Wire)>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let wire = match key & 7 {
            0 => Wire::Varint,
            1 => Wire::Fixed64,
            2 => Wire::Len,
            3 => Wire::Open,
            4 => Wire::Close,
            5 => Wire::Fixed32,
            other => return Err(DecodeError::new(format!("{other} is no wire type"))),
        };
        match u32::try_from(key >> 3) {
            Ok(tag @ 1..=0x1fff_ffff) => Ok(Some((tag, wire))),
            _ => Err(DecodeError::new(format!("{} is no field number", key >> 3))),
        }
    }

    /// Refuses a value that is delimited in another way than its type is.
    #[inline]
    pub fn expect(&self, wire: Wire, expected: Wire) -> Result<(), DecodeError> {
        if wire == expected { Ok(()) } else { Err(wrong_wire(wire, expected)) }
    }

    /// Takes a varint.
    #[inline]
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if *byte < 0x80 {
                // The tenth byte holds the 64th bit and nothing else.
                if at == 9 && *byte > 1 {
                    break;
                }
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 {
            truncated()
        } else {
            DecodeError::new("a varint of more than 64 bits")
        })
    }

    /// Takes this many bytes.
    #[inline]
    pub fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or_else(truncated)?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// Takes a length and as many bytes.
    #[inline]
    pub fn delimited(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.varint()?;
        let part = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (part, rest) = part.ok_or_else(|| too_long(len, self.rest.len()))?;
        self.rest = rest;
        Ok(part)
    }

    /// Passes over a field that the type does not have.
    pub fn skip(&mut self, tag: u32, wire: Wire) -> Result<(), DecodeError> {
        self.skip_within(tag, wire, self.input)
    }

    fn skip_within(&mut self, tag: u32, wire: Wire, input: Input<'a>) -> Result<(), DecodeError> {
        match wire {
            Wire::Varint => self.varint().map(drop),
            Wire::Fixed64 => self.take::<8>().map(drop),
            Wire::Fixed32 => self.take::<4>().map(drop),
            Wire::Len => self.delimited().map(drop),
            Wire::Open => {
                let input = input.deeper::<()>()?;
                loop {
                    match self.field()?.ok_or_else(truncated)? {
                        (inner, Wire::Close) if inner == tag => return Ok(()),
                        (inner, wire) => self.skip_within(inner, wire, input)?,
                    }
                }
            }
            Wire::Close => Err(DecodeError::new(format!("group {tag} ends here, but is not open"))),
        }
    }
}

#[cold]
fn truncated() -> DecodeError {
    DecodeError::new("the bytes end within a value")
}

#[cold]
fn too_long(claimed: u64, left: usize) -> DecodeError {
    DecodeError::new(format!("a value of {claimed} bytes, but only {left} are left"))
}

#[cold]
fn wrong_wire(wire: Wire, expected: Wire) -> DecodeError {
    DecodeError::new(format!("wire type {wire:?} where the type has {expected:?}"))
}
