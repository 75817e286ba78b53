//! Enums without data: names for numbers, which are fields but no messages.

use super::schema::EnumSchema;

/// What `#[message]` writes for an enum without data.
pub trait Enumeration: Sized {
    /// Its name and those of its variants.
    const SCHEMA: &'static EnumSchema;

    /// The number that stands for it.
    fn number(&self) -> i32;
    /// The variant of this number; `None` if there is neither one nor another that takes the unknown.
    fn from_number(number: i32) -> Option<Self>;
    /// The name that stands for it in JSON; `None` if it is an unknown number.
    fn name(&self) -> Option<&'static str>;
    /// The variant of this name, with or without the enum's name before it.
    fn from_name(name: &str) -> Option<Self>;
}

/// What a variant that takes the unknown numbers holds.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot hold the unknown numbers of an enum",
    label = "an `i32` is needed here",
    note = "an enum's numbers are 32 bits wide and may be negative: write `Other(i32)`"
)]
pub trait UnknownNumber: Sized {
    /// Keeps the number.
    fn new(number: i32) -> Self;
    /// The number that was kept.
    fn get(&self) -> i32;
}

impl UnknownNumber for i32 {
    #[inline]
    fn new(number: i32) -> Self {
        number
    }

    #[inline]
    fn get(&self) -> i32 {
        *self
    }
}

/// As a value, on the wire.
pub mod wire {
    use bytes::BytesMut;

    use super::Enumeration;
    use crate::message::DecodeError;
    use crate::message::wire::{Reader, put_varint, varint_len};

    /// How many bytes [`write`] appends.
    #[inline]
    pub fn size<T: Enumeration>(value: &T) -> usize {
        varint_len(i64::from(value.number()) as u64)
    }

    /// Appends the number.
    #[inline]
    pub fn write<T: Enumeration>(value: &T, out: &mut BytesMut) {
        put_varint(i64::from(value.number()) as u64, out);
    }

    /// Reads a number.
    #[inline]
    pub fn read<T: Enumeration>(reader: &mut Reader<'_>) -> Result<T, DecodeError> {
        let number = reader.varint()? as i32;
        T::from_number(number)
            .ok_or_else(|| DecodeError::new(format!("{number} is no value of the enum {}", T::SCHEMA.name)))
    }
}

/// Makes an [`Enumeration`] a value and a field, and gives it serde's traits.
#[doc(hidden)]
#[macro_export]
macro_rules! __enum_field {
    ($type:ty) => {
        impl $crate::private::field::Value for $type {
            type Slot<'a> = $crate::private::option::Option<Self>;
            const WIRE: $crate::private::field::Wire = $crate::private::field::Wire::Varint;
            const TYPE: $crate::private::field::Type =
                $crate::private::field::Type::Enum(|| <$type as $crate::private::field::Enumeration>::SCHEMA);

            #[inline]
            fn size(&self) -> usize {
                $crate::private::field::enumeration::size(self)
            }

            #[inline]
            fn write(&self, out: &mut $crate::private::BytesMut) {
                $crate::private::field::enumeration::write(self, out);
            }

            #[inline]
            fn read(
                reader: &mut $crate::private::field::Reader<'_>,
                place: &mut $crate::private::option::Option<Self>,
            ) -> $crate::private::result::Result<(), $crate::private::DecodeError> {
                *place =
                    $crate::private::option::Option::Some($crate::private::field::enumeration::read(reader)?);
                $crate::private::result::Result::Ok(())
            }

            #[inline]
            fn fill<'a>(
                slot: &mut Self::Slot<'a>,
                wire: $crate::private::field::Wire,
                reader: &mut $crate::private::field::Reader<'a>,
            ) -> $crate::private::result::Result<(), $crate::private::DecodeError> {
                reader.expect(wire, $crate::private::field::Wire::Varint)?;
                <$type as $crate::private::field::Value>::read(reader, slot)
            }

            #[inline]
            fn take<'a>(
                slot: Self::Slot<'a>,
                _: $crate::private::field::Input<'a>,
                place: &mut $crate::private::option::Option<Self>,
            ) -> $crate::private::result::Result<(), $crate::private::DecodeError> {
                *place = slot;
                $crate::private::result::Result::Ok(())
            }

            #[inline]
            fn is_default(&self) -> bool {
                $crate::private::field::Enumeration::number(self) == 0
            }

            #[inline]
            fn absent() -> $crate::private::option::Option<Self> {
                $crate::private::field::Enumeration::from_number(0)
            }

            #[inline]
            fn to_json<__S: $crate::private::serde::Serializer>(
                &self,
                serializer: __S,
            ) -> $crate::private::result::Result<__S::Ok, __S::Error> {
                $crate::private::field::json::write_enumeration(self, serializer)
            }

            #[inline]
            fn from_json<'de, __D: $crate::private::serde::Deserializer<'de>>(
                deserializer: __D,
                place: &mut $crate::private::option::Option<Self>,
            ) -> $crate::private::result::Result<(), __D::Error> {
                *place = $crate::private::option::Option::Some($crate::private::field::json::enumeration(
                    deserializer,
                )?);
                $crate::private::result::Result::Ok(())
            }
        }

        $crate::private::field::single_field!($type);

        impl $crate::private::serde::Serialize for $type {
            fn serialize<__S: $crate::private::serde::Serializer>(
                &self,
                serializer: __S,
            ) -> $crate::private::result::Result<__S::Ok, __S::Error> {
                $crate::private::field::json::write_enumeration(self, serializer)
            }
        }

        impl<'de> $crate::private::serde::Deserialize<'de> for $type {
            fn deserialize<__D: $crate::private::serde::Deserializer<'de>>(
                deserializer: __D,
            ) -> $crate::private::result::Result<Self, __D::Error> {
                $crate::private::field::json::enumeration(deserializer)
            }
        }
    };
}
