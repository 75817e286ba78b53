//! What one value is: a scalar, an enum, a message.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{DeserializeOwned, Deserializer, Error, IgnoredAny, MapAccess, Unexpected, Visitor};
use serde::ser::{Serialize, Serializer};

use super::unknown::Unknown;
use crate::message::json as scalar;
use crate::proto::well_known;
use crate::proto::{NullValue, Value};

/// How a value of the Rust type `T` stands in JSON.
pub trait Kind<T> {
    /// Writes the value.
    ///
    /// # Errors
    /// The serializer's, and if the value has no JSON form.
    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error>;

    /// Reads a value.
    ///
    /// # Errors
    /// The deserializer's, and if what comes is no such value.
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error>;

    /// Reads a value into `place`; `false` for the name of an enum's value that nobody knows, where the rule ([`Unknown`])
    /// passes over it.
    ///
    /// In place, since a message may hold itself: on the way down to the innermost one no message must lie on the stack.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    #[inline]
    fn read_into<'de, D: Deserializer<'de>>(deserializer: D, place: &mut T) -> Result<bool, D::Error> {
        *place = Self::read(deserializer)?;
        Ok(true)
    }

    /// What null stands for: nothing, but for two of the well-known types.
    fn null() -> Option<T> {
        None
    }
}

/// A value, to be written as this kind.
pub struct As<'a, K, T>(&'a T, PhantomData<K>);

impl<'a, K, T> As<'a, K, T> {
    /// The value as this kind.
    pub fn new(value: &'a T) -> Self {
        Self(value, PhantomData)
    }
}

impl<K, T: fmt::Debug> fmt::Debug for As<'_, K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<K: Kind<T>, T> Serialize for As<'_, K, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        K::write(self.0, serializer)
    }
}

/// A number, a `bool`, a string or bytes; also the well-known wrappers of these.
#[derive(Debug)]
pub struct Scalar;

macro_rules! scalars {
    ($($type:ty: $read:ident $write:ident($($by:tt)?);)*) => {$(
        impl Kind<$type> for Scalar {
            #[inline]
            fn write<S: Serializer>(value: &$type, serializer: S) -> Result<S::Ok, S::Error> {
                scalar::$write($($by)? value, serializer)
            }

            #[inline]
            fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                scalar::$read(deserializer)
            }
        }
    )*};
}
scalars! {
    bool: bool write_bool(*);
    i32: i32 write_i32(*);
    i64: i64 write_i64(*);
    u32: u32 write_u32(*);
    u64: u64 write_u64(*);
    f32: f32 write_f32(*);
    f64: f64 write_f64(*);
    String: string write_string();
    Vec<u8>: bytes write_bytes();
    Bytes: shared_bytes write_bytes();
}

/// What the generator writes for each enum: the names of its numbers.
pub trait Enumeration {
    /// The full name in the .proto.
    const NAME: &'static str;

    /// The name of this number; the first, if it has several.
    fn name(number: i32) -> Option<&'static str>;

    /// The number with this name.
    fn number(name: &str) -> Option<i32>;
}

/// The enum `E`, which prost carries as its number.
#[derive(Debug)]
pub struct Enum<E>(PhantomData<E>);

impl<E: Enumeration> Kind<i32> for Enum<E> {
    fn write<S: Serializer>(value: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        match E::name(*value) {
            Some(name) => serializer.serialize_str(name),
            None => serializer.serialize_i32(*value),
        }
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
        // There is nothing to leave out here, so an unknown name is an error under every rule.
        let number = deserializer.deserialize_any(Name::<E>(PhantomData))?;
        number.ok_or_else(|| D::Error::custom(format_args!("an unknown name of the enum {}", E::NAME)))
    }

    fn read_into<'de, D: Deserializer<'de>>(deserializer: D, place: &mut i32) -> Result<bool, D::Error> {
        let number = deserializer.deserialize_any(Name::<E>(PhantomData))?;
        *place = number.unwrap_or(*place);
        Ok(number.is_some())
    }
}

struct Name<E>(PhantomData<E>);

impl<E: Enumeration> Visitor<'_> for Name<E> {
    type Value = Option<i32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a name or a number of the enum {}", E::NAME)
    }

    fn visit_str<X: Error>(self, name: &str) -> Result<Option<i32>, X> {
        match E::number(name) {
            None if Unknown::current() != Unknown::All => Err(X::invalid_value(Unexpected::Str(name), &self)),
            number => Ok(number),
        }
    }

    fn visit_i64<X: Error>(self, value: i64) -> Result<Option<i32>, X> {
        i32::try_from(value).map(Some).map_err(|_| X::invalid_value(Unexpected::Signed(value), &self))
    }

    fn visit_u64<X: Error>(self, value: u64) -> Result<Option<i32>, X> {
        i32::try_from(value).map(Some).map_err(|_| X::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<X: Error>(self, value: f64) -> Result<Option<i32>, X> {
        let whole = value.fract() == 0.0 && value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX);
        if whole { Ok(Some(value as i32)) } else { Err(X::invalid_value(Unexpected::Float(value), &self)) }
    }
}

/// `google.protobuf.NullValue`, which is null.
#[derive(Debug)]
pub struct Null;

impl Kind<i32> for Null {
    fn write<S: Serializer>(_: &i32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
        Enum::<NullValue>::read(deserializer)
    }

    fn null() -> Option<i32> {
        Some(0)
    }
}

impl Enumeration for NullValue {
    const NAME: &'static str = "google.protobuf.NullValue";

    fn name(number: i32) -> Option<&'static str> {
        (number == 0).then_some("NULL_VALUE")
    }

    fn number(name: &str) -> Option<i32> {
        (name == "NULL_VALUE").then_some(0)
    }
}

/// A message, by its own implementation of serde's traits.
#[derive(Debug)]
pub struct Msg;

impl<T: Serialize + DeserializeOwned> Kind<T> for Msg {
    #[inline]
    fn write<S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    #[inline]
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }

    #[inline]
    fn read_into<'de, D: Deserializer<'de>>(deserializer: D, place: &mut T) -> Result<bool, D::Error> {
        T::deserialize_in_place(deserializer, place).map(|()| true)
    }
}

/// `google.protobuf.Value`, for which null is a value as others are.
#[derive(Debug)]
pub struct Nullable;

impl Kind<Value> for Nullable {
    fn write<S: Serializer>(value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        serde::Deserialize::deserialize(deserializer)
    }

    fn null() -> Option<Value> {
        Some(Value { kind: Some(well_known::value::Kind::NullValue(0)) })
    }
}

/// `google.protobuf.Empty`, which is `()` in Rust.
#[derive(Debug)]
pub struct Empty;

impl Kind<()> for Empty {
    fn write<S: Serializer>((): &(), serializer: S) -> Result<S::Ok, S::Error> {
        well_known::write_empty(serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                    if Unknown::current() == Unknown::Refuse {
                        return Err(A::Error::custom("google.protobuf.Empty has no fields"));
                    }
                }
                Ok(())
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// The same in a box, where a type contains itself.
#[derive(Debug)]
pub struct Boxed<K>(PhantomData<K>);

impl<T, K: Kind<T>> Kind<Box<T>> for Boxed<K> {
    #[inline]
    fn write<S: Serializer>(value: &Box<T>, serializer: S) -> Result<S::Ok, S::Error> {
        K::write(value, serializer)
    }

    #[inline]
    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<T>, D::Error> {
        K::read(deserializer).map(Box::new)
    }

    #[inline]
    fn read_into<'de, D: Deserializer<'de>>(deserializer: D, place: &mut Box<T>) -> Result<bool, D::Error> {
        K::read_into(deserializer, place)
    }

    fn null() -> Option<Box<T>> {
        K::null().map(Box::new)
    }
}
