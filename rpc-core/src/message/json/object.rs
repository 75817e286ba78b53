//! Messages: the keys of their fields, the fields, and null, which is absence everywhere.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::message::field::{Field, Value};

/// A message that is read from an object's entries; `#[message]` writes it.
pub trait Object: Sized {
    /// The type's name, for errors.
    const NAME: &'static str;

    /// Reads all entries.
    fn from_entries<'de, A: MapAccess<'de>>(map: A) -> Result<Self, A::Error>;
}

/// Reads a message.
pub fn deserialize<'de, T: Object, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(Entries(PhantomData))
}

struct Entries<T>(PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for Entries<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object, as a {}", T::NAME)
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::from_entries(map)
    }
}

/// Reads a key as the number of a field, without copying it; which number is for the function to say.
#[derive(Clone, Copy, Debug)]
pub struct Key(pub fn(&str) -> usize);

impl<'de> DeserializeSeed<'de> for Key {
    type Value = usize;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    #[inline]
    fn visit_str<E>(self, name: &str) -> Result<usize, E> {
        Ok((self.0)(name))
    }
}

/// What was read of a field so far.
#[derive(Debug, Default)]
pub enum Slot<T> {
    /// Its key did not come.
    #[default]
    Unseen,
    /// Null came.
    Null,
    /// A value came.
    Seen(T),
}

impl<T: Field> Slot<T> {
    /// Takes the value behind the field's key.
    #[inline]
    pub fn read<'de, A: MapAccess<'de>>(&mut self, name: &'static str, map: &mut A) -> Result<(), A::Error> {
        if !matches!(self, Self::Unseen) {
            return Err(A::Error::duplicate_field(name));
        }
        *self = match map.next_value_seed(NullableField(PhantomData))? {
            Some(value) => Self::Seen(value),
            None => Self::Null,
        };
        Ok(())
    }

    /// The field, once the object was read.
    #[inline]
    pub fn finish<E: Error>(self, message: &'static str, field: &'static str) -> Result<T, E> {
        match self {
            Self::Seen(value) => Ok(value),
            Self::Unseen | Self::Null => T::absent().ok_or_else(|| {
                E::custom(format_args!("{message}.{field}: the field is absent, and its type has no default"))
            }),
        }
    }
}

/// Passes over the value of a key that the message does not have.
#[inline]
pub fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(drop)
}

/// Takes the value of a oneof's member; null is none.
#[inline]
pub fn member<'de, T: Value, A: MapAccess<'de>>(map: &mut A) -> Result<Option<T>, A::Error> {
    map.next_value_seed(NullableValue(PhantomData))
}

/// A key comes once; one that is unknown may come often.
#[inline]
pub fn once<E: Error>(seen: &mut [bool], index: usize, message: &'static str) -> Result<(), E> {
    match seen.get_mut(index).map(|seen| std::mem::replace(seen, true)) {
        Some(true) => Err(E::custom(format_args!("{message}: the object has the same key twice"))),
        _ => Ok(()),
    }
}

/// A oneof has at most one member.
#[inline]
pub fn either<T, E: Error>(
    found: Option<T>,
    member: Option<T>,
    message: &'static str,
) -> Result<Option<T>, E> {
    if found.is_some() && member.is_some() {
        return Err(E::custom(format_args!(
            "{message}: the object has two members of which it may have one"
        )));
    }
    Ok(found.or(member))
}

/// A oneof has a member, unless a variant stands for none.
#[cold]
pub fn no_member<E: Error>(message: &'static str) -> E {
    E::custom(format_args!("{message}: the object has none of the members of which it must have one"))
}

macro_rules! nullable {
    ($($seed:ident: $bound:ident;)*) => {$(
        struct $seed<T>(PhantomData<T>);

        impl<'de, T: $bound> DeserializeSeed<'de> for $seed<T> {
            type Value = Option<T>;

            #[inline]
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
                deserializer.deserialize_option(self)
            }
        }

        impl<'de, T: $bound> Visitor<'de> for $seed<T> {
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
                T::from_json(deserializer).map(Some)
            }
        }
    )*};
}
nullable! {
    NullableField: Field;
    NullableValue: Value;
}
