//! Proto3's JSON for generated messages, over serde.
//!
//! A protobuf type is more than the Rust type that carries it: an `i32` may be a number or an enum, a `String` may be
//! a string or a `StringValue`. So the generated code says for each field of which [`Kind`] it is and how it stands
//! in the message ([`Field`]): `Implicit<Scalar>`, `Optional<Enum<Tone>>`, `List<Msg>`, `Map<Scalar>`.
//!
//! What goes in and out is what the [specification](https://protobuf.dev/programming-guides/json/) says. Where it
//! leaves a choice: fields at their default are left out; unknown fields are passed over, an unknown name of an enum
//! is an error ([`Unknown`] changes that), an unknown number is kept. A key that comes twice is an error, and so are two
//! members of a oneof. serde_json refuses what is nested deeper than 128 levels.
//!
//! It holds to the rules of protobuf's conformance tests for proto3's JSON, which `rpc-codegen/tests/conformance` goes
//! through. What prost makes impossible:
//!
//! * A minus zero in a field without `optional` is in JSON, but prost leaves it out of protobuf's bytes.
//! * Fields that prost does not know are lost when it reads protobuf's bytes, and extensions are among them; they are
//!   not written in JSON in any case.
//!
//! | file | what is in it |
//! |---|---|
//! | `kind` | [`Kind`]: one value |
//! | `field` | [`Field`]: a value in a message, or many |
//! | `object` | [`Message`]: writing and reading all fields |
//! | `unknown` | [`Unknown`]: names that the schema does not have |

mod field;
mod kind;
mod object;
mod unknown;

pub use field::{Default, Entries, Field, Implicit, List, Map, MapKey, Optional, Required};
pub use kind::{As, Boxed, Empty, Enum, Enumeration, Kind, Msg, Null, Nullable, Scalar};
pub use object::{Entry, Members, Message, read, read_into, reset, write};
pub use unknown::Unknown;

/// Gives a message serde's traits, from its [`Message`].
#[doc(hidden)]
#[macro_export]
macro_rules! __proto_json {
    ($($message:ty),* $(,)?) => {$(
        impl $crate::private::serde::Serialize for $message {
            fn serialize<S: $crate::private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> $crate::private::result::Result<S::Ok, S::Error> {
                $crate::proto::json::write(self, serializer)
            }
        }

        impl<'de> $crate::private::serde::Deserialize<'de> for $message {
            fn deserialize<D: $crate::private::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> $crate::private::result::Result<Self, D::Error> {
                $crate::proto::json::read(deserializer)
            }

            fn deserialize_in_place<D: $crate::private::serde::Deserializer<'de>>(
                deserializer: D,
                place: &mut Self,
            ) -> $crate::private::result::Result<(), D::Error> {
                $crate::proto::json::reset(place);
                $crate::proto::json::read_into(deserializer, place)
            }
        }
    )*};
}

pub use ::serde::de::MapAccess;
pub use ::serde::ser::SerializeMap;

pub use crate::__proto_json as serde;
