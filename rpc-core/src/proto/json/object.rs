//! Messages: their keys, and writing and reading all of their fields.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};

use super::field::{Field, NullableField, NullableKind};
use super::kind::{As, Kind};

/// What the generator writes for each message.
pub trait Message: Default {
    /// The full name in the .proto.
    const NAME: &'static str;

    /// Writes the fields that are there, each with [`Members::field`] or [`Members::member`].
    ///
    /// # Errors
    /// The serializer's, and if a value has no JSON form.
    fn write<M: SerializeMap>(&self, out: &mut Members<'_, M>) -> Result<(), M::Error>;

    /// The number of the field with this key, counted from 0; `None` if there is none.
    fn find(key: &str) -> Option<usize>;

    /// Reads the value of the field with this number.
    ///
    /// # Errors
    /// The deserializer's, and if what comes is no such value.
    fn read<'de, A: MapAccess<'de>>(&mut self, field: usize, from: &mut Entry<'_, A>)
    -> Result<(), A::Error>;
}

/// The members of an object that is being written.
pub struct Members<'a, M>(&'a mut M);

impl<M> fmt::Debug for Members<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Members")
    }
}

impl<M: SerializeMap> Members<'_, M> {
    /// Writes a field, unless it is absent.
    ///
    /// # Errors
    /// The serializer's, and if the value has no JSON form.
    #[inline]
    pub fn field<F: Field<T>, T>(&mut self, key: &'static str, value: &T) -> Result<(), M::Error> {
        if F::is_absent(value) {
            Ok(())
        } else {
            self.0.serialize_entry(key, &Whole::<F, T>(value, PhantomData))
        }
    }

    /// Writes the member of a oneof.
    ///
    /// # Errors
    /// The serializer's, and if the value has no JSON form.
    #[inline]
    pub fn member<K: Kind<T>, T>(&mut self, key: &'static str, value: &T) -> Result<(), M::Error> {
        self.0.serialize_entry(key, &As::<K, T>::new(value))
    }
}

struct Whole<'a, F, T>(&'a T, PhantomData<F>);

impl<F: Field<T>, T> serde::Serialize for Whole<'_, F, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        F::write(self.0, serializer)
    }
}

/// The member of an object that is being read: its key was seen, its value comes next.
pub struct Entry<'a, A>(&'a mut A);

impl<A> fmt::Debug for Entry<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry")
    }
}

impl<'de, A: MapAccess<'de>> Entry<'_, A> {
    /// Reads a field; null leaves it at its default, unless null is a value of its type.
    ///
    /// # Errors
    /// The deserializer's, and if what comes is no such value.
    #[inline]
    pub fn field<F: Field<T>, T>(&mut self, into: &mut T) -> Result<(), A::Error> {
        if let Some(value) = self.0.next_value_seed(NullableField::<F, T>(PhantomData))?.or_else(F::null) {
            *into = value;
        }
        Ok(())
    }

    /// Reads the member of a oneof; null is none, unless null is a value of its type.
    ///
    /// # Errors
    /// The deserializer's, if what comes is no such value, and if the oneof has a member already.
    #[inline]
    pub fn member<K: Kind<T>, T, O>(
        &mut self,
        into: &mut Option<O>,
        wrap: fn(T) -> O,
    ) -> Result<(), A::Error> {
        let Some(value) = self.0.next_value_seed(NullableKind::<K, T>(PhantomData))?.or_else(K::null) else {
            return Ok(());
        };
        if into.replace(wrap(value)).is_some() {
            return Err(A::Error::custom("the object has two members of which it may have one"));
        }
        Ok(())
    }
}

/// Writes a message as an object.
///
/// # Errors
/// The serializer's, and if a value has no JSON form.
pub fn write<T: Message, S: Serializer>(message: &T, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    message.write(&mut Members(&mut map))?;
    map.end()
}

/// Reads a message from an object.
///
/// # Errors
/// The deserializer's, and if what comes is no such object.
pub fn read<'de, T: Message, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(Object(PhantomData))
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Message> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object, as a {}", T::NAME)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
        let mut message = T::default();
        let mut seen = Seen::default();
        while let Some(field) = map.next_key_seed(Key::<T>(PhantomData))? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if !seen.insert(field) {
                return Err(A::Error::custom(format_args!("{}: a field comes twice", T::NAME)));
            }
            message.read(field, &mut Entry(&mut map))?;
        }
        Ok(message)
    }
}

/// Reads a key as the number of a field, without copying it.
struct Key<T>(PhantomData<T>);

impl<'de, T: Message> DeserializeSeed<'de> for Key<T> {
    type Value = Option<usize>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T: Message> Visitor<'_> for Key<T> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    #[inline]
    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(T::find(key))
    }
}

/// The fields that came already. Few messages have more than 64.
#[derive(Default)]
struct Seen {
    low: u64,
    high: Vec<usize>,
}

impl Seen {
    /// Takes a field's number; `false` if it came before.
    #[inline]
    fn insert(&mut self, field: usize) -> bool {
        if let Some(bit) = u32::try_from(field).ok().and_then(|field| 1_u64.checked_shl(field)) {
            let new = self.low & bit == 0;
            self.low |= bit;
            return new;
        }
        let new = !self.high.contains(&field);
        if new {
            self.high.push(field);
        }
        new
    }
}
