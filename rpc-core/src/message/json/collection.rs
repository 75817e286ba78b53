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

/// Reads a list to the end of `place`.
pub fn list<'de, T: Value, D: Deserializer<'de>>(
    deserializer: D,
    place: &mut Vec<T>,
) -> Result<(), D::Error> {
    deserializer.deserialize_seq(List(place))
}

struct List<'a, T>(&'a mut Vec<T>);

impl<'de, T: Value> Visitor<'de> for List<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        // No capacity from `size_hint`: in a binary format it is only what the peer claims.
        let mut value = None;
        while seq.next_element_seed(Single(&mut value))?.is_some() {
            self.0.extend(value.take());
        }
        Ok(())
    }
}

/// Reads a single value of a list or a map into its place; null is none.
struct Single<'a, T>(&'a mut Option<T>);

impl<'de, T: Value> DeserializeSeed<'de> for Single<'_, T> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        T::from_json(deserializer, self.0)
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

/// Reads a map into `place`, by an `insert` that says whether the key was new.
pub fn map<'de, M, K, V, D>(
    deserializer: D,
    place: &mut M,
    insert: fn(&mut M, K, V) -> bool,
) -> Result<(), D::Error>
where
    K: MapKey,
    V: Value,
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(Entries { place, insert })
}

struct Entries<'a, M, K, V> {
    place: &'a mut M,
    insert: fn(&mut M, K, V) -> bool,
}

impl<'de, M, K: MapKey, V: Value> Visitor<'de> for Entries<'_, M, K, V> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let mut value = None;
        while let Some(key) = access.next_key_seed(KeySeed::<K>(PhantomData))? {
            access.next_value_seed(Single(&mut value))?;
            if !add(self.place, self.insert, key, &mut value) {
                return Err(A::Error::custom("the object has the same key twice"));
            }
        }
        Ok(())
    }
}

/// Takes a value out of its place, in a function of its own: it is on the stack there, and no longer when the next is read.
fn add<M, K, V>(map: &mut M, insert: fn(&mut M, K, V) -> bool, key: K, value: &mut Option<V>) -> bool {
    value.take().is_none_or(|value| insert(map, key, value))
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
