//! Lists and maps. A map's keys are strings, whatever their type; one that comes twice is an error.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::One;
use crate::message::container::MapKey;
use crate::message::field::Value;

/// Writes a list.
pub fn write_list<T: Value, S: Serializer>(values: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(One))
}

/// Reads a list.
pub fn list<'de, T: Value, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_seq(List(PhantomData))
}

struct List<T>(PhantomData<T>);

impl<'de, T: Value> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        // No capacity from `size_hint`: in a binary format it is only what the peer claims.
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(Single::<T>(PhantomData))? {
            values.push(value);
        }
        Ok(values)
    }
}

/// Reads a single value; null is none.
pub(super) struct Single<T>(pub PhantomData<T>);

impl<'de, T: Value> DeserializeSeed<'de> for Single<T> {
    type Value = T;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::from_json(deserializer)
    }
}

/// Writes a map.
pub fn write_map<'a, K: MapKey + 'a, V: Value + 'a, S: Serializer>(
    len: usize,
    entries: impl Iterator<Item = (&'a K, &'a V)>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(len))?;
    for (key, value) in entries {
        map.serialize_entry(&KeyText(key), &One(value))?;
    }
    map.end()
}

struct KeyText<'a, K>(&'a K);

impl<K: MapKey> Serialize for KeyText<'_, K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

/// Reads a map by an `insert` that says whether the key was new.
pub fn map<'de, M, K, V, D>(deserializer: D, insert: fn(&mut M, K, V) -> bool) -> Result<M, D::Error>
where
    M: Default,
    K: MapKey,
    V: Value,
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(Entries { insert, types: PhantomData })
}

struct Entries<M, K, V> {
    insert: fn(&mut M, K, V) -> bool,
    types: PhantomData<(M, K, V)>,
}

impl<'de, M: Default, K: MapKey, V: Value> Visitor<'de> for Entries<M, K, V> {
    type Value = M;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<M, A::Error> {
        let mut map = M::default();
        while let Some(key) = access.next_key_seed(KeySeed::<K>(PhantomData))? {
            let value = access.next_value_seed(Single::<V>(PhantomData))?;
            if !(self.insert)(&mut map, key, value) {
                return Err(A::Error::custom("the object has the same key twice"));
            }
        }
        Ok(map)
    }
}

struct KeySeed<K>(PhantomData<K>);

impl<'de, K: MapKey> DeserializeSeed<'de> for KeySeed<K> {
    type Value = K;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<K: MapKey> Visitor<'_> for KeySeed<K> {
    type Value = K;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a key of type {}", std::any::type_name::<K>())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<K, E> {
        K::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}
