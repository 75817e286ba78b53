//! Numbers, `bool`, strings and bytes as values of a message.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserializer, Serializer};

use super::DecodeError;
use super::field::{Value, put_delimiter, single_field};
use super::json;
use super::schema::Type;
use super::wire::{Input, Reader, Wire, put_varint, varint_len};

/// What is the same for all: a slot is an option, and the last occurrence wins.
macro_rules! last_wins {
    () => {
        type Slot<'a> = Option<Self>;

        #[inline]
        fn fill<'a>(slot: &mut Option<Self>, wire: Wire, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
            reader.expect(wire, Self::WIRE)?;
            Self::read(reader, slot)
        }

        #[inline]
        fn take(slot: Option<Self>, _: Input<'_>, place: &mut Option<Self>) -> Result<(), DecodeError> {
            *place = slot;
            Ok(())
        }
    };
}

macro_rules! number {
    ($(
        $type:ident: $kind:ident, $wire:ident,
        len $len:expr, write $write:expr, read $read:expr, default $default:expr, json $to_json:path;
    )*) => {$(
        impl Value for $type {
            last_wins!();
            const WIRE: Wire = Wire::$wire;
            const TYPE: Type = Type::$kind;

            #[inline]
            fn size(&self) -> usize {
                $len(*self)
            }

            #[inline]
            fn write(&self, out: &mut BytesMut) {
                $write(*self, out);
            }

            #[inline]
            fn read(reader: &mut Reader<'_>, place: &mut Option<Self>) -> Result<(), DecodeError> {
                let value: Result<_, DecodeError> = $read(reader);
                *place = Some(value?);
                Ok(())
            }

            #[inline]
            fn is_default(&self) -> bool {
                $default(*self)
            }

            #[inline]
            fn absent() -> Option<Self> {
                Some(Self::default())
            }

            #[inline]
            fn to_json<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $to_json(*self, serializer)
            }

            #[inline]
            fn from_json<'de, D: Deserializer<'de>>(deserializer: D, place: &mut Option<Self>) -> Result<(), D::Error> {
                *place = Some(json::$type(deserializer)?);
                Ok(())
            }
        }

        single_field!($type);
    )*};
}

// Integers are cut to their width on reading, as protobuf has it; negative ones take ten bytes, as they are extended
// to 64 bits first. Minus zero is not the default: it is another number.
number! {
    bool: Bool, Varint,
        len |_| 1, write |v, out: &mut BytesMut| out.put_u8(u8::from(v)),
        read |r: &mut Reader<'_>| Ok(r.varint()? != 0), default |v: bool| !v, json json::write_bool;
    i32: Int32, Varint,
        len |v| varint_len(i64::from(v) as u64), write |v, out| put_varint(i64::from(v) as u64, out),
        read |r: &mut Reader<'_>| Ok(r.varint()? as i32), default |v| v == 0, json json::write_i32;
    i64: Int64, Varint,
        len |v| varint_len(v as u64), write |v, out| put_varint(v as u64, out),
        read |r: &mut Reader<'_>| Ok(r.varint()? as i64), default |v| v == 0, json json::write_i64;
    u32: Uint32, Varint,
        len |v| varint_len(u64::from(v)), write |v, out| put_varint(u64::from(v), out),
        read |r: &mut Reader<'_>| Ok(r.varint()? as u32), default |v| v == 0, json json::write_u32;
    u64: Uint64, Varint,
        len varint_len, write put_varint,
        read |r: &mut Reader<'_>| r.varint(), default |v| v == 0, json json::write_u64;
    f32: Float, Fixed32,
        len |_| 4, write |v, out: &mut BytesMut| out.put_f32_le(v),
        read |r: &mut Reader<'_>| Ok(f32::from_le_bytes(r.take()?)), default |v: f32| v.to_bits() == 0,
        json json::write_f32;
    f64: Double, Fixed64,
        len |_| 8, write |v, out: &mut BytesMut| out.put_f64_le(v),
        read |r: &mut Reader<'_>| Ok(f64::from_le_bytes(r.take()?)), default |v: f64| v.to_bits() == 0,
        json json::write_f64;
}

/// What is the same for all that have a length.
macro_rules! delimited {
    ($kind:ident, read $read:expr, to_json $to_json:path, from_json $from_json:path) => {
        last_wins!();
        const WIRE: Wire = Wire::Len;
        const TYPE: Type = Type::$kind;

        #[inline]
        fn size(&self) -> usize {
            let len = <[u8]>::len(self.as_ref());
            varint_len(len as u64) + len
        }

        #[inline]
        fn write(&self, out: &mut BytesMut) {
            let bytes: &[u8] = self.as_ref();
            put_varint(bytes.len() as u64, out);
            out.put_slice(bytes);
        }

        #[inline]
        fn put(&self, tag: u32, out: &mut BytesMut) {
            let bytes: &[u8] = self.as_ref();
            put_delimiter(tag, bytes.len(), out);
            out.put_slice(bytes);
        }

        #[inline]
        fn read(reader: &mut Reader<'_>, place: &mut Option<Self>) -> Result<(), DecodeError> {
            let part = reader.delimited()?;
            let value: Result<_, DecodeError> = $read(part, reader.input);
            *place = Some(value?);
            Ok(())
        }

        #[inline]
        fn is_default(&self) -> bool {
            self.is_empty()
        }

        #[inline]
        fn absent() -> Option<Self> {
            Some(Self::new())
        }

        #[inline]
        fn to_json<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            $to_json(self, serializer)
        }

        #[inline]
        fn from_json<'de, D: Deserializer<'de>>(
            deserializer: D,
            place: &mut Option<Self>,
        ) -> Result<(), D::Error> {
            *place = Some($from_json(deserializer)?);
            Ok(())
        }
    };
}

impl Value for String {
    delimited!(String, read text, to_json json::write_string, from_json json::string);
}

/// A slice of the input, not a copy.
impl Value for Bytes {
    delimited!(
        Bytes, read |part, input: Input<'_>| Ok(input.share(part)),
        to_json json::write_bytes, from_json json::shared_bytes
    );

    /// The input itself, behind key and length: what is not shared need not be counted (120 instructions less).
    #[inline]
    fn alone(tag: u32, mut bytes: Bytes) -> Result<Self, Bytes> {
        match only(tag, &bytes) {
            Some(len) => {
                bytes.advance(bytes.len() - len);
                Ok(bytes)
            }
            None => Err(bytes),
        }
    }
}

impl Value for Vec<u8> {
    delimited!(
        Bytes, read |part: &[u8], _| Ok(part.to_vec()),
        to_json json::write_bytes, from_json json::bytes
    );
}

single_field!(String);
single_field!(Bytes);
single_field!(Vec<u8>);

/// The length of the value, if the bytes are one field of this number, which has a length, and nothing else.
#[inline]
fn only(tag: u32, bytes: &Bytes) -> Option<usize> {
    let [key, rest @ ..] = &bytes[..] else { return None };
    if *key >= 0x80 || u32::from(*key) != tag << 3 | Wire::Len as u32 {
        // Not this field, or one of those that are rare: above 15 a number takes two bytes.
        return None;
    }
    match rest {
        [len, value @ ..] if usize::from(*len) == value.len() && *len < 0x80 => Some(value.len()),
        _ => only_long(rest, bytes),
    }
}

fn only_long(rest: &[u8], bytes: &Bytes) -> Option<usize> {
    let mut reader = Reader::new(rest, Input::new(bytes));
    let part = reader.delimited().ok()?;
    reader.is_empty().then_some(part.len())
}

#[inline]
fn text(part: &[u8], _: Input<'_>) -> Result<String, DecodeError> {
    match str::from_utf8(part) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(not_utf8(error)),
    }
}

#[cold]
fn not_utf8(error: std::str::Utf8Error) -> DecodeError {
    DecodeError::new(format!("a string that is not UTF-8: {error}"))
}
