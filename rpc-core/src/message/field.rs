//! What a field of a message may be: the traits that let types, and not their spelling, decide.
//!
//! [`Field`] is anything that may stand in a `#[message]` struct. [`Value`] is a single value: what may also stand in an
//! `Option`, a `Vec`, a map or a variant. The split is what makes `Option<Vec<_>>` or `Vec<Option<_>>`, which protobuf
//! cannot express, compile errors.
//!
//! A message is read into slots, one a field, because its type need not have a default: `read` fills a slot with each
//! occurrence, `finish` makes the field of it.
//!
//! Values are read into their places, empty `Option`s, and not passed on: a message may hold itself, and on the way down to
//! the innermost one each function by which a message is passed on has room for it on the stack.

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::{Deserializer, Error, MapAccess};
use serde::ser::{SerializeMap, Serializer};

use super::wire::{key_len, put_key, put_varint, varint_len};
use super::{DecodeError, Message};

pub use super::container::MapKey;
pub use super::enumeration::{Enumeration, UnknownNumber, wire as enumeration};
pub use super::json;
pub use super::schema::{EnumSchema, FieldSchema, Label, MessageSchema, Type};
pub use super::wire::{Input, Parts, Reader, Wire};
pub use crate::{
    __enum_field as enum_field, __message_field as message_field, __single_field as single_field,
};

/// What may stand in a message as a field.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a message",
    label = "not a type that travels",
    note = "a field is `bool`, `i32`, `i64`, `u32`, `u64`, `f32`, `f64`, `String`, `Bytes`, `Vec<u8>`, or a type \
            with `#[message]`; or an `Option`, a `Vec`, a `HashMap` or a `BTreeMap` of these, or a `Box` of a message",
    note = "put `#[message]` on the type if it is yours, or convert it to one of these"
)]
pub trait Field: Sized {
    /// What was read of the field so far.
    type Slot<'a>: Default;
    /// How often it may occur, for the schema.
    const LABEL: Label;
    /// What it holds, for the schema.
    const TYPE: Type;

    /// How many bytes [`encode`](Self::encode) appends.
    fn encoded_len(&self, tag: u32) -> usize;
    /// Appends the field with its key, or nothing if absence says the same.
    fn encode(&self, tag: u32, out: &mut BytesMut);
    /// Takes an occurrence of the field in.
    fn read<'a>(slot: &mut Self::Slot<'a>, wire: Wire, reader: &mut Reader<'a>) -> Result<(), DecodeError>;
    /// Puts the field into `place`, once the message was read.
    fn finish<'a>(
        slot: Self::Slot<'a>,
        input: Input<'a>,
        place: &mut Option<Self>,
    ) -> Result<(), DecodeError>;

    /// The field of a message that has no other, if the bytes are one occurrence of it and nothing else, and it can take
    /// them as they are; otherwise the bytes, to be read as any.
    ///
    /// # Errors
    /// The bytes.
    #[inline]
    fn alone(_tag: u32, bytes: Bytes) -> Result<Self, Bytes> {
        Err(bytes)
    }

    /// Whether JSON leaves it out.
    fn is_omitted(&self) -> bool;
    /// The field if it is absent from JSON, or null; `None` if it must be there.
    fn absent() -> Option<Self>;
    /// Writes it in JSON's shape.
    fn to_json<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    /// Reads it from JSON's shape into `place`, which is empty.
    fn from_json<'de, D: Deserializer<'de>>(
        deserializer: D,
        place: &mut Option<Self>,
    ) -> Result<(), D::Error>;

    /// Writes it as an entry of a JSON object, unless it is left out.
    #[inline]
    fn to_entry<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        if self.is_omitted() { Ok(()) } else { map.serialize_entry(name, &json::Json(self)) }
    }

    /// Takes the value behind its key in a JSON object.
    #[inline]
    fn from_entry<'de, A: MapAccess<'de>>(
        slot: &mut json::Slot<Self>,
        name: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        slot.read(name, map)
    }

    /// The field, once the JSON object was read.
    #[inline]
    fn finish_entry<E: Error>(
        slot: json::Slot<Self>,
        message: &'static str,
        name: &'static str,
    ) -> Result<Self, E> {
        slot.finish(message, name)
    }
}

/// A single value: what may stand in an `Option`, a `Vec`, a map or a variant, and not only by itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in an `Option`, a `Vec`, a map or a variant of a message",
    label = "not a single value that travels",
    note = "protobuf has no optional list, no list of options and no list of lists: put `#[message]` on a struct that \
            holds the inner one and use that",
    note = "a single value is `bool`, `i32`, `i64`, `u32`, `u64`, `f32`, `f64`, `String`, `Bytes`, `Vec<u8>`, or a \
            type with `#[message]`, or a `Box` of one"
)]
pub trait Value: Sized {
    /// What was read of a lone value so far.
    type Slot<'a>: Default;
    /// How it is delimited.
    const WIRE: Wire;
    /// What it is, for the schema.
    const TYPE: Type;

    /// How many bytes [`write`](Self::write) appends.
    fn size(&self) -> usize;
    /// Appends the value, with its length if it has one, without a key.
    fn write(&self, out: &mut BytesMut);
    /// Reads one into `place`, which is empty; its wire type was checked.
    fn read(reader: &mut Reader<'_>, place: &mut Option<Self>) -> Result<(), DecodeError>;
    /// Takes an occurrence of a lone value in: the last scalar wins, messages merge.
    fn fill<'a>(slot: &mut Self::Slot<'a>, wire: Wire, reader: &mut Reader<'a>) -> Result<(), DecodeError>;
    /// Puts the value into `place`, which stays empty if there was no occurrence.
    fn take<'a>(slot: Self::Slot<'a>, input: Input<'a>, place: &mut Option<Self>) -> Result<(), DecodeError>;

    /// What [`Field::alone`] is, of a field of this value.
    ///
    /// # Errors
    /// The bytes.
    #[inline]
    fn alone(_tag: u32, bytes: Bytes) -> Result<Self, Bytes> {
        Err(bytes)
    }

    /// Whether absence says the same.
    fn is_default(&self) -> bool;
    /// What absence says; `None` if it says nothing.
    fn absent() -> Option<Self>;
    /// Writes it in JSON's shape.
    fn to_json<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
    /// Reads it from JSON's shape into `place`, which is empty. Null is not among what it reads.
    fn from_json<'de, D: Deserializer<'de>>(
        deserializer: D,
        place: &mut Option<Self>,
    ) -> Result<(), D::Error>;

    /// How many bytes [`put`](Self::put) appends.
    #[inline]
    fn keyed_len(&self, tag: u32) -> usize {
        key_len(tag) + self.size()
    }

    /// Appends a key and the value, default or not.
    #[inline]
    fn put(&self, tag: u32, out: &mut BytesMut) {
        put_key(tag, Self::WIRE, out);
        self.write(out);
    }

    /// Writes it as an entry of a JSON object, default or not.
    #[inline]
    fn to_entry<M: SerializeMap>(&self, name: &'static str, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry(name, &json::One(self))
    }

    /// Takes the value behind its key in a JSON object, as a variant of `O`; null is none.
    #[inline]
    fn from_entry<'de, O, A: MapAccess<'de>>(
        map: &mut A,
        place: &mut Option<O>,
        wrap: fn(Self) -> O,
        message: &'static str,
    ) -> Result<(), A::Error> {
        json::member(map, place, wrap, message)
    }
}

/// How many bytes a key, a length and this much behind them take.
#[inline]
pub fn delimited_len(tag: u32, len: usize) -> usize {
    key_len(tag) + varint_len(len as u64) + len
}

/// Appends the key and the length of something that the caller appends next.
#[inline]
pub fn put_delimiter(tag: u32, len: usize, out: &mut BytesMut) {
    let key = tag << 3 | Wire::Len as u32;
    if key < 0x80 && len < 0x80 {
        // One look at the buffer's room, in place of two.
        out.put_slice(&[key as u8, len as u8]);
        return;
    }
    put_varint(u64::from(key), out);
    put_varint(len as u64, out);
}

/// Makes a [`Value`] a [`Field`] by itself. Not a blanket implementation, for that would collide with `Vec`'s.
#[doc(hidden)]
#[macro_export]
macro_rules! __single_field {
    (impl [$($generics:tt)*] $type:ty) => {
        impl<$($generics)*> $crate::private::field::Field for $type {
            type Slot<'a> = <$type as $crate::private::field::Value>::Slot<'a>;
            const LABEL: $crate::private::field::Label = $crate::private::field::Label::Single;
            const TYPE: $crate::private::field::Type = <$type as $crate::private::field::Value>::TYPE;

            #[inline]
            fn encoded_len(&self, tag: u32) -> usize {
                use $crate::private::field::Value;
                if self.is_default() { 0 } else { self.keyed_len(tag) }
            }

            #[inline]
            fn encode(&self, tag: u32, out: &mut $crate::private::BytesMut) {
                use $crate::private::field::Value;
                if !self.is_default() {
                    self.put(tag, out);
                }
            }

            #[inline]
            fn read<'a>(
                slot: &mut Self::Slot<'a>,
                wire: $crate::private::field::Wire,
                reader: &mut $crate::private::field::Reader<'a>,
            ) -> $crate::private::result::Result<(), $crate::private::DecodeError> {
                <$type as $crate::private::field::Value>::fill(slot, wire, reader)
            }

            #[inline]
            fn finish<'a>(
                slot: Self::Slot<'a>,
                input: $crate::private::field::Input<'a>,
                place: &mut $crate::private::option::Option<Self>,
            ) -> $crate::private::result::Result<(), $crate::private::DecodeError> {
                $crate::private::field::finish_single(slot, input, place)
            }

            #[inline]
            fn alone(
                tag: u32,
                bytes: $crate::private::Bytes,
            ) -> $crate::private::result::Result<Self, $crate::private::Bytes> {
                <$type as $crate::private::field::Value>::alone(tag, bytes)
            }

            #[inline]
            fn is_omitted(&self) -> bool {
                <$type as $crate::private::field::Value>::is_default(self)
            }

            #[inline]
            fn absent() -> $crate::private::option::Option<Self> {
                <$type as $crate::private::field::Value>::absent()
            }

            #[inline]
            fn to_json<__S: $crate::private::serde::Serializer>(
                &self,
                serializer: __S,
            ) -> $crate::private::result::Result<__S::Ok, __S::Error> {
                <$type as $crate::private::field::Value>::to_json(self, serializer)
            }

            #[inline]
            fn from_json<'de, __D: $crate::private::serde::Deserializer<'de>>(
                deserializer: __D,
                place: &mut $crate::private::option::Option<Self>,
            ) -> $crate::private::result::Result<(), __D::Error> {
                <$type as $crate::private::field::Value>::from_json(deserializer, place)
            }
        }
    };
    ($type:ty) => {
        $crate::private::field::single_field!(impl [] $type);
    };
}

/// A lone value, once the message around it was read.
#[inline]
pub fn finish_single<'a, T: Value>(
    slot: T::Slot<'a>,
    input: Input<'a>,
    place: &mut Option<T>,
) -> Result<(), DecodeError> {
    T::take(slot, input, place)?;
    if place.is_none() {
        *place = T::absent();
    }
    if place.is_some() { Ok(()) } else { Err(DecodeError::absent()) }
}

/// What was put into a place: who reads and has no error has put something there.
#[inline]
pub fn there<T>(place: Option<T>) -> Result<T, DecodeError> {
    place.ok_or_else(DecodeError::absent)
}

/// Reads the member of a oneof, and puts what `wrap` makes of it into `place`.
#[inline]
pub fn member<T, O>(
    place: &mut Option<O>,
    wrap: fn(T) -> O,
    read: impl FnOnce(&mut Option<T>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut value = None;
    read(&mut value)?;
    *place = value.map(wrap);
    Ok(())
}

/// Makes a message a [`Value`] and a [`Field`].
///
/// `#[message]` calls it; for a message of prost's, which is a [`Message`] already, it is all that is missing. The type
/// must have serde's traits.
#[doc(hidden)]
#[macro_export]
macro_rules! __message_field {
    ($type:ty) => {
        $crate::private::field::message_field!($type, foreign);
    };
    ($type:ty, $read:ident) => {
        impl $crate::private::field::Value for $type {
            type Slot<'a> = $crate::private::field::Parts<'a>;
            const WIRE: $crate::private::field::Wire = $crate::private::field::Wire::Len;
            const TYPE: $crate::private::field::Type =
                $crate::private::field::Type::Message(<$type as $crate::private::Message>::schema);

            #[inline]
            fn size(&self) -> usize {
                $crate::private::field::message_len(self)
            }

            #[inline]
            fn write(&self, out: &mut $crate::private::BytesMut) {
                $crate::private::field::write_message(self, out);
            }

            #[inline]
            fn read(
                reader: &mut $crate::private::field::Reader<'_>,
                place: &mut $crate::private::option::Option<Self>,
            ) -> $crate::private::result::Result<(), $crate::private::DecodeError> {
                $crate::private::field::read_message(reader, place)
            }

            #[inline]
            fn fill<'a>(
                slot: &mut Self::Slot<'a>,
                wire: $crate::private::field::Wire,
                reader: &mut $crate::private::field::Reader<'a>,
            ) -> $crate::private::result::Result<(), $crate::private::DecodeError> {
                slot.fill(wire, reader)
            }

            #[inline]
            fn take<'a>(
                slot: Self::Slot<'a>,
                input: $crate::private::field::Input<'a>,
                place: &mut $crate::private::option::Option<Self>,
            ) -> $crate::private::result::Result<(), $crate::private::DecodeError> {
                $crate::private::field::take_message(slot, input, place)
            }

            #[inline]
            fn is_default(&self) -> bool {
                false
            }

            #[inline]
            fn absent() -> $crate::private::option::Option<Self> {
                $crate::private::option::Option::None
            }

            #[inline]
            fn to_json<__S: $crate::private::serde::Serializer>(
                &self,
                serializer: __S,
            ) -> $crate::private::result::Result<__S::Ok, __S::Error> {
                $crate::private::serde::Serialize::serialize(self, serializer)
            }

            #[inline]
            fn from_json<'de, __D: $crate::private::serde::Deserializer<'de>>(
                deserializer: __D,
                place: &mut $crate::private::option::Option<Self>,
            ) -> $crate::private::result::Result<(), __D::Error> {
                $crate::private::field::json::$read(deserializer, place)
            }
        }

        $crate::private::field::single_field!($type);
    };
}

/// How many bytes a message takes with its length before it.
#[inline]
pub fn message_len<T: Message>(message: &T) -> usize {
    let len = message.encoded_len();
    varint_len(len as u64) + len
}

/// Appends a message with its length before it.
#[inline]
pub fn write_message<T: Message>(message: &T, out: &mut BytesMut) {
    put_varint(message.encoded_len() as u64, out);
    message.encode(out);
}

/// Reads a message with its length before it.
#[inline]
pub fn read_message<T: Message>(reader: &mut Reader<'_>, place: &mut Option<T>) -> Result<(), DecodeError> {
    let part = reader.delimited()?;
    T::decode_parts(Parts::new(part), reader.input.deeper::<T>()?, place)
}

/// A message from what was collected of it, if anything was.
#[inline]
pub fn take_message<'a, T: Message>(
    parts: Parts<'a>,
    input: Input<'a>,
    place: &mut Option<T>,
) -> Result<(), DecodeError> {
    if parts.is_absent() {
        return Ok(());
    }
    T::decode_parts(parts, input.deeper::<T>()?, place)
}

/// Reads an outermost message.
#[inline]
pub fn decode<T: Message>(bytes: &Bytes) -> Result<T, DecodeError> {
    let mut place = None;
    T::decode_parts(Parts::new(bytes), Input::new(bytes), &mut place)?;
    there(place)
}

/// None of a oneof's members came, or only such as are unknown.
#[cold]
pub fn no_member(message: &'static str) -> DecodeError {
    DecodeError::new("none of the members is present, of which one must be").within(message, "")
}
