//! How values stand in a message: one that is always there, one that may be absent, many.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::ser::{SerializeMap, Serializer};

use super::kind::{As, Kind};

/// How a field of the Rust type `T` stands in JSON.
pub trait Field<T> {
    /// Whether it is left out.
    fn is_absent(value: &T) -> bool;

    /// Writes the field's value.
    ///
    /// # Errors
    /// The serializer's, and if the value has no JSON form.
    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads the field's value, which is not null, into `place`, which has the default; see [`Kind::read_into`].
    ///
    /// # Errors
    /// The deserializer's, and if what comes is no such value.
    fn read_into<'de, D: Deserializer<'de>>(deserializer: D, place: &mut T) -> Result<(), D::Error>;

    /// What null makes of the field; `None` for its default.
    fn null() -> Option<T> {
        None
    }
}

/// A value that is left out if it is the default of its type: proto3 without `optional`.
#[derive(Debug)]
pub struct Implicit<K>(PhantomData<K>);

/// What a type's default is on the wire; a negative zero is none.
pub trait Default {
    /// Whether it is the default.
    fn is_default(&self) -> bool;
}

macro_rules! defaults {
    ($($type:ty: $value:ident => $test:expr;)*) => {$(
        impl Default for $type {
            #[inline]
            fn is_default(&self) -> bool {
                let $value = self;
                $test
            }
        }
    )*};
}
defaults! {
    bool: value => !value;
    i32: value => *value == 0;
    i64: value => *value == 0;
    u32: value => *value == 0;
    u64: value => *value == 0;
    f32: value => value.to_bits() == 0;
    f64: value => value.to_bits() == 0;
    String: value => value.is_empty();
    Vec<u8>: value => value.is_empty();
    Bytes: value => value.is_empty();
}

impl<T: Default, K: Kind<T>> Field<T> for Implicit<K> {
    #[inline]
    fn is_absent(value: &T) -> bool {
        value.is_default()
    }

    #[inline]
    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        K::write(value, serializer)
    }

    #[inline]
    fn read_into<'de, D: Deserializer<'de>>(deserializer: D, place: &mut T) -> Result<(), D::Error> {
        K::read_into(deserializer, place).map(drop)
    }
}

/// A value that is always there: proto2's `required`.
#[derive(Debug)]
pub struct Required<K>(PhantomData<K>);

impl<T, K: Kind<T>> Field<T> for Required<K> {
    fn is_absent(_: &T) -> bool {
        false
    }

    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        K::write(value, serializer)
    }

    fn read_into<'de, D: Deserializer<'de>>(deserializer: D, place: &mut T) -> Result<(), D::Error> {
        K::read_into(deserializer, place).map(drop)
    }

    fn null() -> Option<T> {
        K::null()
    }
}

/// A value that may be absent: `optional`, and every message.
#[derive(Debug)]
pub struct Optional<K>(PhantomData<K>);

impl<T: std::default::Default, K: Kind<T>> Field<Option<T>> for Optional<K> {
    #[inline]
    fn is_absent(value: &Option<T>) -> bool {
        value.is_none()
    }

    #[inline]
    fn write<S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => K::write(value, serializer),
            None => serializer.serialize_unit(),
        }
    }

    #[inline]
    fn read_into<'de, D: Deserializer<'de>>(deserializer: D, place: &mut Option<T>) -> Result<(), D::Error> {
        if !K::read_into(deserializer, place.insert(T::default()))? {
            *place = None;
        }
        Ok(())
    }

    fn null() -> Option<Option<T>> {
        K::null().map(Some)
    }
}

/// Any number of values in order: `repeated`.
#[derive(Debug)]
pub struct List<K>(PhantomData<K>);

impl<T: std::default::Default, K: Kind<T>> Field<Vec<T>> for List<K> {
    #[inline]
    fn is_absent(value: &Vec<T>) -> bool {
        value.is_empty()
    }

    fn write<S: Serializer>(value: &Vec<T>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.iter().map(As::<K, T>::new))
    }

    fn read_into<'de, D: Deserializer<'de>>(deserializer: D, place: &mut Vec<T>) -> Result<(), D::Error> {
        deserializer.deserialize_seq(Elements::<K, T>(place, PhantomData))
    }
}

struct Elements<'a, K, T>(&'a mut Vec<T>, PhantomData<K>);

impl<'de, T: std::default::Default, K: Kind<T>> Visitor<'de> for Elements<'_, K, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        // No capacity from `size_hint`: in a binary format it is only what the peer claims.
        while seq.next_element_seed(Element::<K, T>(self.0, PhantomData))?.is_some() {}
        Ok(())
    }
}

/// Reads one more element.
struct Element<'a, K, T>(&'a mut Vec<T>, PhantomData<K>);

impl<'de, T: std::default::Default, K: Kind<T>> DeserializeSeed<'de> for Element<'_, K, T> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let place = self.0.push_mut(T::default());
        if !Single::<K, T>(place, PhantomData).deserialize(deserializer)? {
            self.0.pop();
        }
        Ok(())
    }
}

/// Reads one value of a list or map, where null is none unless it is a value itself; `false` if it is to be left out.
struct Single<'a, K, T>(&'a mut T, PhantomData<K>);

impl<'de, T, K: Kind<T>> DeserializeSeed<'de> for Single<'_, K, T> {
    type Value = bool;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        let Some(null) = K::null() else { return K::read_into(deserializer, self.0) };
        *self.0 = null;
        NullableKind::<K, T>(self.0, PhantomData).deserialize(deserializer).map(|_| true)
    }
}

/// Values by key: `map`. The keys are strings in JSON, whatever their type.
#[derive(Debug)]
pub struct Map<K>(PhantomData<K>);

/// What the key of a map may be.
pub trait MapKey: Sized + fmt::Display {
    /// Reads the key of an object; `None` if it is no such key.
    fn parse(text: &str) -> Option<Self>;
}

macro_rules! keys {
    ($($type:ty)*) => {$(
        impl MapKey for $type {
            fn parse(text: &str) -> Option<Self> {
                // Rust also parses `+1`, which is no number in JSON.
                text.parse().ok().filter(|_| !text.starts_with('+'))
            }
        }
    )*};
}
keys!(bool i32 i64 u32 u64);

impl MapKey for String {
    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

/// Both maps that a map field may be.
pub trait Entries: std::default::Default {
    /// The key.
    type Key;
    /// The value.
    type Value;

    /// How many there are.
    fn count(&self) -> usize;
    /// All of them.
    fn entries(&self) -> impl Iterator<Item = (&Self::Key, &Self::Value)>;
    /// Takes one more; `false` if the key is there already.
    fn add(&mut self, key: Self::Key, value: Self::Value) -> bool;
}

macro_rules! maps {
    ($($map:ident<K, V $(, $state:ident)?> where K: $($bound:path),+;)*) => {$(
        impl<K: $($bound +)+, V $(, $state: BuildHasher + std::default::Default)?> Entries for $map<K, V $(, $state)?> {
            type Key = K;
            type Value = V;

            fn count(&self) -> usize {
                self.len()
            }

            fn entries(&self) -> impl Iterator<Item = (&K, &V)> {
                self.iter()
            }

            fn add(&mut self, key: K, value: V) -> bool {
                self.insert(key, value).is_none()
            }
        }
    )*};
}
maps! {
    HashMap<K, V, S> where K: Eq, Hash;
    BTreeMap<K, V> where K: Ord;
}

impl<M: Entries<Key: MapKey, Value: std::default::Default>, K: Kind<M::Value>> Field<M> for Map<K> {
    fn is_absent(value: &M) -> bool {
        value.count() == 0
    }

    fn write<S: Serializer>(value: &M, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(value.count()))?;
        for (key, value) in value.entries() {
            map.serialize_entry(&KeyText(key), &As::<K, M::Value>::new(value))?;
        }
        map.end()
    }

    fn read_into<'de, D: Deserializer<'de>>(deserializer: D, place: &mut M) -> Result<(), D::Error> {
        deserializer.deserialize_map(Pairs::<K, M>(place, PhantomData))
    }
}

struct KeyText<'a, T>(&'a T);

impl<T: fmt::Display> serde::Serialize for KeyText<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

struct Pairs<'a, K, M>(&'a mut M, PhantomData<K>);

impl<'de, M: Entries<Key: MapKey, Value: std::default::Default>, K: Kind<M::Value>> Visitor<'de>
    for Pairs<'_, K, M>
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while let Some(key) = access.next_key_seed(KeySeed::<M::Key>(PhantomData))? {
            // In a box, off the stack: see `Kind::read_into`.
            let mut value = Box::<M::Value>::default();
            if access.next_value_seed(Single::<K, M::Value>(&mut value, PhantomData))?
                && !self.0.add(key, *value)
            {
                return Err(A::Error::custom("the object has the same key twice"));
            }
        }
        Ok(())
    }
}

struct KeySeed<T>(PhantomData<T>);

impl<'de, T: MapKey> DeserializeSeed<'de> for KeySeed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T: MapKey> Visitor<'_> for KeySeed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key of type {}", std::any::type_name::<T>())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// What came in the place of a value.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Came {
    Null,
    Value,
    /// The name of an enum's value that nobody knows.
    Unknown,
}

/// Reads a value into its place, or null, which leaves that as it is.
macro_rules! nullable {
    ($($seed:ident: $bound:ident, $read:expr;)*) => {$(
        pub(super) struct $seed<'a, K, T>(pub(super) &'a mut T, pub(super) PhantomData<K>);

        impl<'de, T, K: $bound<T>> DeserializeSeed<'de> for $seed<'_, K, T> {
            type Value = Came;

            #[inline]
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Came, D::Error> {
                deserializer.deserialize_option(self)
            }
        }

        impl<'de, T, K: $bound<T>> Visitor<'de> for $seed<'_, K, T> {
            type Value = Came;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or null")
            }

            fn visit_none<E>(self) -> Result<Came, E> {
                Ok(Came::Null)
            }

            fn visit_unit<E>(self) -> Result<Came, E> {
                Ok(Came::Null)
            }

            #[inline]
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Came, D::Error> {
                K::read_into(deserializer, self.0).map($read)
            }
        }
    )*};
}
nullable! {
    NullableField: Field, |()| Came::Value;
    NullableKind: Kind, |known| if known { Came::Value } else { Came::Unknown };
}
