//! Messages: their keys, and writing and reading all of their fields.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};

use super::field::{Came, Field, NullableField, NullableKind};
use super::kind::{As, Kind};
use super::unknown::Unknown;

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
        if self.0.next_value_seed(NullableField::<F, T>(into, PhantomData))? == Came::Null
            && let Some(value) = F::null()
        {
            *into = value;
        }
        Ok(())
    }

    /// Reads the member of a oneof; null is none, unless null is a value of its type.
    ///
    /// # Errors
    /// The deserializer's, if what comes is no such value, and if the oneof has a member already.
    #[inline]
    pub fn member<K: Kind<T>, T: Default, O>(
        &mut self,
        into: &mut Option<O>,
        wrap: fn(T) -> O,
    ) -> Result<(), A::Error> {
        let mut value = T::default();
        match self.0.next_value_seed(NullableKind::<K, T>(&mut value, PhantomData))? {
            Came::Value => {}
            Came::Unknown => return Ok(()),
            Came::Null => match K::null() {
                Some(null) => value = null,
                None => return Ok(()),
            },
        }
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
    let mut message = T::default();
    read_into(deserializer, &mut message)?;
    Ok(message)
}

/// Reads a message from an object into its place, whose fields have their defaults.
///
/// # Errors
/// As for [`read`]; what is in the place is then of no use.
pub fn read_into<'de, T: Message, D: Deserializer<'de>>(
    deserializer: D,
    place: &mut T,
) -> Result<(), D::Error> {
    deserializer.deserialize_map(Object(place))
}

/// Brings back the defaults of all fields. Not inlined: the default is on the stack for a moment, and should be gone from
/// there when what is nested is read.
#[inline(never)]
pub fn reset<T: Message>(place: &mut T) {
    *place = T::default();
}

struct Object<'a, T>(&'a mut T);

impl<'de, T: Message> Visitor<'de> for Object<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object, as a {}", T::NAME)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Seen::default();
        while let Some(field) = map.next_key_seed(Key::<T>(PhantomData))? {
            let Some(field) = field else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if !seen.insert(field) {
                return Err(A::Error::custom(format_args!("{}: a field comes twice", T::NAME)));
            }
            self.0.read(field, &mut Entry(&mut map))?;
        }
        Ok(())
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
    fn visit_str<E: Error>(self, key: &str) -> Result<Option<usize>, E> {
        match T::find(key) {
            None if Unknown::current() == Unknown::Refuse => {
                Err(E::custom(format_args!("{} has no field `{key}`", T::NAME)))
            }
            field => Ok(field),
        }
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
