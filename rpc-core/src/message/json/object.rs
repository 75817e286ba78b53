//! Messages: the keys of their fields, the fields, and null, which is absence everywhere.
//!
//! A value is read into its place, an empty `Option`: a message may hold itself, and what is passed on by value is on the
//! stack as often as there are functions on the way down to the innermost one.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::depth::Level;
use crate::message::field::{Field, Value};

/// A message that is read from an object's entries; `#[message]` writes it.
pub trait Object: Sized {
    /// The type's name, for errors.
    const NAME: &'static str;

    /// Reads all entries, and puts the message into `place`.
    fn from_entries<'de, A: MapAccess<'de>>(map: A, place: &mut Option<Self>) -> Result<(), A::Error>;
}

/// Reads a message that stands in no other.
pub fn deserialize<'de, T: Object, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let mut place = None;
    object(deserializer, &mut place)?;
    there(place)
}

/// Reads a message into `place`.
#[inline]
pub fn object<'de, T: Object, D: Deserializer<'de>>(
    deserializer: D,
    place: &mut Option<T>,
) -> Result<(), D::Error> {
    deserializer.deserialize_map(Entries(place))
}

/// Reads a message that has serde's traits from elsewhere into `place`.
#[inline]
pub fn foreign<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    place: &mut Option<T>,
) -> Result<(), D::Error> {
    *place = Some(T::deserialize(deserializer)?);
    Ok(())
}

/// What was read into a place: who reads and has no error has put something there.
#[inline]
pub(super) fn there<T, E: Error>(place: Option<T>) -> Result<T, E> {
    place.ok_or_else(|| E::custom("nothing was read"))
}

struct Entries<'a, T>(&'a mut Option<T>);

impl<'de, T: Object> Visitor<'de> for Entries<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object, as a {}", T::NAME)
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let _level = Level::enter::<T, _>()?;
        T::from_entries(map, self.0)
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
#[derive(Debug)]
pub struct Slot<T> {
    /// Whether its key came.
    seen: bool,
    /// The value, if one came, and not null.
    value: Option<T>,
}

impl<T> Default for Slot<T> {
    #[inline]
    fn default() -> Self {
        Self { seen: false, value: None }
    }
}

impl<T: Field> Slot<T> {
    /// Takes the value behind the field's key.
    #[inline]
    pub fn read<'de, A: MapAccess<'de>>(&mut self, name: &'static str, map: &mut A) -> Result<(), A::Error> {
        if std::mem::replace(&mut self.seen, true) {
            return Err(A::Error::duplicate_field(name));
        }
        map.next_value_seed(NullableField(&mut self.value))
    }

    /// The field, once the object was read.
    #[inline]
    pub fn finish<E: Error>(self, message: &'static str, field: &'static str) -> Result<T, E> {
        match self.value {
            Some(value) => Ok(value),
            None => T::absent().ok_or_else(|| {
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

/// Takes the value of a oneof's member, and puts what `wrap` makes of it into `place`; null is none.
#[inline]
pub fn member<'de, T: Value, O, A: MapAccess<'de>>(
    map: &mut A,
    place: &mut Option<O>,
    wrap: fn(T) -> O,
    message: &'static str,
) -> Result<(), A::Error> {
    let mut value = None;
    map.next_value_seed(NullableValue(&mut value))?;
    either(value, place, wrap, message)
}

/// The same for a member whose fields stand in the variant.
#[inline]
pub fn fields<'de, T: Object, O, A: MapAccess<'de>>(
    map: &mut A,
    place: &mut Option<O>,
    wrap: fn(T) -> O,
    message: &'static str,
) -> Result<(), A::Error> {
    let mut value = None;
    map.next_value_seed(NullableObject(&mut value))?;
    either(value, place, wrap, message)
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
fn either<T, O, E: Error>(
    value: Option<T>,
    place: &mut Option<O>,
    wrap: fn(T) -> O,
    message: &'static str,
) -> Result<(), E> {
    let Some(value) = value else { return Ok(()) };
    if place.is_some() {
        return Err(E::custom(format_args!(
            "{message}: the object has two members of which it may have one"
        )));
    }
    *place = Some(wrap(value));
    Ok(())
}

/// A oneof has a member, unless a variant stands for none.
#[cold]
pub fn no_member<E: Error>(message: &'static str) -> E {
    E::custom(format_args!("{message}: the object has none of the members of which it must have one"))
}

/// Reads a value into its place, or null, which leaves it empty.
macro_rules! nullable {
    ($($seed:ident: $bound:ident, $read:expr;)*) => {$(
        struct $seed<'a, T>(&'a mut Option<T>);

        impl<'de, T: $bound> DeserializeSeed<'de> for $seed<'_, T> {
            type Value = ();

            #[inline]
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_option(self)
            }
        }

        impl<'de, T: $bound> Visitor<'de> for $seed<'_, T> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or null")
            }

            fn visit_none<E>(self) -> Result<(), E> {
                Ok(())
            }

            fn visit_unit<E>(self) -> Result<(), E> {
                Ok(())
            }

            #[inline]
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                $read(deserializer, self.0)
            }
        }
    )*};
}
nullable! {
    NullableField: Field, T::from_json;
    NullableValue: Value, T::from_json;
    NullableObject: Object, object;
}
