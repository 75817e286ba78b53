//! The empty message: what a method without arguments takes, and one that returns `()` gives.

use std::fmt;

use bytes::{Bytes, BytesMut};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::schema::MessageSchema;
use super::wire::{Input, Parts, Reader};
use super::{DecodeError, Message, field};

/// A message without fields: no bytes in protobuf, `{}` in JSON. Fields that come nevertheless are passed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Empty;

impl Message for Empty {
    #[inline]
    fn encode(&self, _: &mut BytesMut) {}

    #[inline]
    fn encoded_len(&self) -> usize {
        0
    }

    #[inline]
    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        field::decode(&bytes)
    }

    #[inline]
    fn decode_parts(parts: Parts<'_>, input: Input<'_>, place: &mut Option<Self>) -> Result<(), DecodeError> {
        for part in parts.iter() {
            let mut reader = Reader::new(part, input);
            while let Some((tag, wire)) = reader.field()? {
                reader.skip(tag, wire)?;
            }
        }
        *place = Some(Self);
        Ok(())
    }

    fn schema() -> Option<&'static MessageSchema> {
        const { Some(&MessageSchema::new("google.protobuf.Empty", &[], &[], "")) }
    }
}

crate::__message_field!(Empty);

impl From<()> for Empty {
    fn from((): ()) -> Self {
        Self
    }
}

impl From<Empty> for () {
    fn from(_: Empty) {}
}

impl Serialize for Empty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Empty;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Empty, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Empty)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}
