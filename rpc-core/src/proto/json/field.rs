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

    /// Reads the field's value, which is not null.
    ///
    /// # Errors
    /// The deserializer's, and if what comes is no such value.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error>;

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
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        K::read(deserializer)
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

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        K::read(deserializer)
    }

    fn null() -> Option<T> {
        K::null()
    }
}

/// A value that may be absent: `optional`, and every message.
#[derive(Debug)]
pub struct Optional<K>(PhantomData<K>);

impl<T, K: Kind<T>> Field<Option<T>> for Optional<K> {
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
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
        K::read(deserializer).map(Some)
    }

    fn null() -> Option<Option<T>> {
        K::null().map(Some)
    }
}

/// Any number of values in order: `repeated`.
#[derive(Debug)]
pub struct List<K>(PhantomData<K>);

impl<T, K: Kind<T>> Field<Vec<T>> for List<K> {
    #[inline]
    fn is_absent(value: &Vec<T>) -> bool {
        value.is_empty()
    }

    fn write<S: Serializer>(value: &Vec<T>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.iter().map(As::<K, T>::new))
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(Elements::<K, T>(PhantomData))
    }
}

struct Elements<K, T>(PhantomData<(K, T)>);

impl<'de, T, K: Kind<T>> Visitor<'de> for Elements<K, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        // No capacity from `size_hint`: in a binary format it is only what the peer claims.
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Single::<K, T>::new())? {
            values.push(value);
        }
        Ok(values)
    }
}

/// Reads one value of a list or map, where null is none unless it is a value itself.
pub(super) struct Single<K, T>(PhantomData<(K, T)>);

impl<K, T> Single<K, T> {
    pub(super) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T, K: Kind<T>> DeserializeSeed<'de> for Single<K, T> {
    type Value = T;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        if K::null().is_none() {
            return K::read(deserializer);
        }
        let value = NullableKind::<K, T>(PhantomData).deserialize(deserializer)?;
        value.or_else(K::null).ok_or_else(|| D::Error::custom("null is no value here"))
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

impl<M: Entries<Key: MapKey>, K: Kind<M::Value>> Field<M> for Map<K> {
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

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<M, D::Error> {
        deserializer.deserialize_map(Pairs::<K, M>(PhantomData))
    }
}

struct KeyText<'a, T>(&'a T);

impl<T: fmt::Display> serde::Serialize for KeyText<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

struct Pairs<K, M>(PhantomData<(K, M)>);

impl<'de, M: Entries<Key: MapKey>, K: Kind<M::Value>> Visitor<'de> for Pairs<K, M> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<M, A::Error> {
        let mut map = M::default();
        while let Some(key) = access.next_key_seed(KeySeed::<M::Key>(PhantomData))? {
            let value = access.next_value_seed(Single::<K, M::Value>::new())?;
            if !map.add(key, value) {
                return Err(A::Error::custom("the object has the same key twice"));
            }
        }
        Ok(map)
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

/// Reads a value, or null as `None`.
macro_rules! nullable {
    ($($seed:ident: $bound:ident;)*) => {$(
        pub(super) struct $seed<K, T>(pub(super) PhantomData<(K, T)>);

        impl<'de, T, K: $bound<T>> DeserializeSeed<'de> for $seed<K, T> {
            type Value = Option<T>;

            #[inline]
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
                deserializer.deserialize_option(self)
            }
        }

        impl<'de, T, K: $bound<T>> Visitor<'de> for $seed<K, T> {
            type Value = Option<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or null")
            }

            fn visit_none<E>(self) -> Result<Option<T>, E> {
                Ok(None)
            }

            fn visit_unit<E>(self) -> Result<Option<T>, E> {
                Ok(None)
            }

            #[inline]
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
                K::read(deserializer).map(Some)
            }
        }
    )*};
}
nullable! {
    NullableField: Field;
    NullableKind: Kind;
}
