//! `Option`, `Vec`, the maps and `Box` as fields of a message.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::hash::{BuildHasher, Hash};

use bytes::{Bytes, BytesMut};
use serde::{Deserializer, Serializer};

use super::DecodeError;
use super::field::{Field, Value, delimited_len, finish_single, put_delimiter, single_field};
use super::json;
use super::schema::{Label, Type};
use super::wire::{Input, Reader, Wire, key_len, put_key, put_varint};

/// A value that may be absent; the default is not absent.
impl<T: Value> Field for Option<T> {
    type Slot<'a> = T::Slot<'a>;
    const LABEL: Label = Label::Optional;
    const TYPE: Type = T::TYPE;

    #[inline]
    fn encoded_len(&self, tag: u32) -> usize {
        self.as_ref().map_or(0, |value| value.keyed_len(tag))
    }

    #[inline]
    fn encode(&self, tag: u32, out: &mut BytesMut) {
        if let Some(value) = self {
            value.put(tag, out);
        }
    }

    #[inline]
    fn read<'a>(slot: &mut T::Slot<'a>, wire: Wire, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        T::fill(slot, wire, reader)
    }

    #[inline]
    fn finish<'a>(slot: T::Slot<'a>, input: Input<'a>, place: &mut Option<Self>) -> Result<(), DecodeError> {
        T::take(slot, input, place.insert(None))
    }

    #[inline]
    fn alone(tag: u32, bytes: Bytes) -> Result<Self, Bytes> {
        T::alone(tag, bytes).map(Some)
    }

    #[inline]
    fn is_omitted(&self) -> bool {
        self.is_none()
    }

    #[inline]
    fn absent() -> Option<Self> {
        Some(None)
    }

    #[inline]
    fn to_json<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Some(value) => value.to_json(serializer),
            None => serializer.serialize_none(),
        }
    }

    #[inline]
    fn from_json<'de, D: Deserializer<'de>>(
        deserializer: D,
        place: &mut Option<Self>,
    ) -> Result<(), D::Error> {
        T::from_json(deserializer, place.insert(None))
    }
}

/// A list. Numbers are packed behind one key, the others have a key each; both forms are read, even mixed.
impl<T: Value> Field for Vec<T> {
    type Slot<'a> = Self;
    const LABEL: Label = Label::Repeated;
    const TYPE: Type = T::TYPE;

    #[inline]
    fn encoded_len(&self, tag: u32) -> usize {
        if self.is_empty() {
            0
        } else if is_packed::<T>() {
            delimited_len(tag, packed_len(self))
        } else {
            self.len() * key_len(tag) + packed_len(self)
        }
    }

    #[inline]
    fn encode(&self, tag: u32, out: &mut BytesMut) {
        if !is_packed::<T>() {
            return self.iter().for_each(|value| value.put(tag, out));
        }
        if !self.is_empty() {
            put_key(tag, Wire::Len, out);
            put_varint(packed_len(self) as u64, out);
            self.iter().for_each(|value| value.write(out));
        }
    }

    #[inline]
    fn read<'a>(slot: &mut Self, wire: Wire, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        if is_packed::<T>() && wire == Wire::Len {
            let mut packed = Reader::new(reader.delimited()?, reader.input);
            while !packed.is_empty() {
                push(slot, &mut packed)?;
            }
            return Ok(());
        }
        reader.expect(wire, T::WIRE)?;
        push(slot, reader)
    }

    #[inline]
    fn finish(slot: Self, _: Input<'_>, place: &mut Option<Self>) -> Result<(), DecodeError> {
        *place = Some(slot);
        Ok(())
    }

    #[inline]
    fn is_omitted(&self) -> bool {
        self.is_empty()
    }

    #[inline]
    fn absent() -> Option<Self> {
        Some(Self::new())
    }

    #[inline]
    fn to_json<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json::write_list(self, serializer)
    }

    #[inline]
    fn from_json<'de, D: Deserializer<'de>>(
        deserializer: D,
        place: &mut Option<Self>,
    ) -> Result<(), D::Error> {
        json::list(deserializer, place.insert(Self::new()))
    }
}

/// Reads one more value.
#[inline]
fn push<T: Value>(values: &mut Vec<T>, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    let mut value = None;
    T::read(reader, &mut value)?;
    values.extend(value);
    Ok(())
}

/// Whether a list of these is packed: all that is not delimited by a length is.
const fn is_packed<T: Value>() -> bool {
    !matches!(T::WIRE, Wire::Len)
}

fn packed_len<T: Value>(values: &[T]) -> usize {
    match T::WIRE {
        Wire::Fixed32 => values.len() * 4,
        Wire::Fixed64 => values.len() * 8,
        _ => values.iter().map(T::size).sum(),
    }
}

/// What a map's key may be.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the key of a map in a message",
    label = "not a key that travels",
    note = "a key is `bool`, `i32`, `i64`, `u32`, `u64` or `String`"
)]
pub trait MapKey: Value + Display {
    /// Reads the key of a JSON object; `None` if it is no such key.
    fn parse(text: &str) -> Option<Self>;
}

macro_rules! keys {
    ($($type:ty)*) => {$(
        impl MapKey for $type {
            fn parse(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}
keys!(bool i32 i64 u32 u64 String);

/// Both maps: on the wire, a list of messages of a key (1) and a value (2).
macro_rules! map {
    ($($map:ident<K, V $(, $state:ident)?> where K: $($bound:path),+;)*) => {$(
        impl<K: MapKey $(+ $bound)+, V: Value $(, $state: BuildHasher + Default)?> Field for $map<K, V $(, $state)?> {
            type Slot<'a> = Self;
            const LABEL: Label = Label::Map(&K::TYPE);
            const TYPE: Type = V::TYPE;

            #[inline]
            fn encoded_len(&self, tag: u32) -> usize {
                self.iter().map(|(key, value)| delimited_len(tag, entry_len(key, value))).sum()
            }

            #[inline]
            fn encode(&self, tag: u32, out: &mut BytesMut) {
                for (key, value) in self {
                    put_delimiter(tag, entry_len(key, value), out);
                    key.put(1, out);
                    value.put(2, out);
                }
            }

            #[inline]
            fn read<'a>(slot: &mut Self, wire: Wire, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
                let (mut key, mut value) = (None, None);
                read_entry(wire, reader, &mut key, &mut value)?;
                slot.extend(key.zip(value));
                Ok(())
            }

            #[inline]
            fn finish(slot: Self, _: Input<'_>, place: &mut Option<Self>) -> Result<(), DecodeError> {
                *place = Some(slot);
                Ok(())
            }

            #[inline]
            fn is_omitted(&self) -> bool {
                self.is_empty()
            }

            #[inline]
            fn absent() -> Option<Self> {
                Some(Self::default())
            }

            #[inline]
            fn to_json<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                json::write_map(self.len(), self.iter(), serializer)
            }

            #[inline]
            fn from_json<'de, D: Deserializer<'de>>(
                deserializer: D,
                place: &mut Option<Self>,
            ) -> Result<(), D::Error> {
                let place = place.insert(Self::default());
                json::map(deserializer, place, |map, key, value| map.insert(key, value).is_none())
            }
        }
    )*};
}

map! {
    HashMap<K, V, H> where K: Eq, Hash;
    BTreeMap<K, V> where K: Ord;
}

fn entry_len<K: MapKey, V: Value>(key: &K, value: &V) -> usize {
    key.keyed_len(1) + value.keyed_len(2)
}

/// An entry; a key or value that is missing is the default, and a message that is missing has no fields: writers may
/// leave it out if that is what it is.
fn read_entry<K: MapKey, V: Value>(
    wire: Wire,
    reader: &mut Reader<'_>,
    key_place: &mut Option<K>,
    value_place: &mut Option<V>,
) -> Result<(), DecodeError> {
    reader.expect(wire, Wire::Len)?;
    let mut entry = Reader::new(reader.delimited()?, reader.input.deeper::<V>()?);
    let (mut key, mut value, mut has_value) = (K::Slot::default(), V::Slot::default(), false);
    while let Some((tag, wire)) = entry.field()? {
        match tag {
            1 => K::fill(&mut key, wire, &mut entry)?,
            2 => {
                V::fill(&mut value, wire, &mut entry)?;
                has_value = true;
            }
            _ => entry.skip(tag, wire)?,
        }
    }
    if !has_value && matches!(V::WIRE, Wire::Len) {
        V::fill(&mut value, Wire::Len, &mut Reader::new(&[0], entry.input))?;
    }
    finish_single(key, entry.input, key_place)?;
    finish_single(value, entry.input, value_place).map_err(|error| error.within("entry", "value"))
}

/// A value on the heap, for messages that hold themselves.
impl<T: Value> Value for Box<T> {
    type Slot<'a> = T::Slot<'a>;
    const WIRE: Wire = T::WIRE;
    const TYPE: Type = T::TYPE;

    #[inline]
    fn size(&self) -> usize {
        T::size(self)
    }

    #[inline]
    fn write(&self, out: &mut BytesMut) {
        T::write(self, out);
    }

    #[inline]
    fn read(reader: &mut Reader<'_>, place: &mut Option<Self>) -> Result<(), DecodeError> {
        boxed(place, |inner| T::read(reader, inner))
    }

    #[inline]
    fn fill<'a>(slot: &mut T::Slot<'a>, wire: Wire, reader: &mut Reader<'a>) -> Result<(), DecodeError> {
        T::fill(slot, wire, reader)
    }

    #[inline]
    fn take<'a>(slot: T::Slot<'a>, input: Input<'a>, place: &mut Option<Self>) -> Result<(), DecodeError> {
        boxed(place, |inner| T::take(slot, input, inner))
    }

    #[inline]
    fn is_default(&self) -> bool {
        T::is_default(self)
    }

    #[inline]
    fn absent() -> Option<Self> {
        T::absent().map(Self::new)
    }

    #[inline]
    fn to_json<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        T::to_json(self, serializer)
    }

    #[inline]
    fn from_json<'de, D: Deserializer<'de>>(
        deserializer: D,
        place: &mut Option<Self>,
    ) -> Result<(), D::Error> {
        boxed(place, |inner| T::from_json(deserializer, inner))
    }
}

/// Puts what `read` reads, if anything, into a box.
#[inline]
fn boxed<T, E>(
    place: &mut Option<Box<T>>,
    read: impl FnOnce(&mut Option<T>) -> Result<(), E>,
) -> Result<(), E> {
    let mut inner = None;
    read(&mut inner)?;
    *place = to_heap(&mut inner);
    Ok(())
}

/// A function of its own: the value is on the stack once more here, and not while what is nested is read.
fn to_heap<T>(value: &mut Option<T>) -> Option<Box<T>> {
    value.take().map(Box::new)
}

single_field!(impl [T: Value] Box<T>);
