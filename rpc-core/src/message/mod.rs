//! What a value must be to travel in protobuf: the [`Message`] trait, and what `#[message]` builds on.
//!
//! `#[message]` writes the trait for a struct or an enum; every prost message has it. It is a trait of our own and not
//! prost's, because a prost message must have a default for each field: ours may hold a field that has none, and
//! decoding says so when it is absent.
//!
//! | file | what is in it |
//! |---|---|
//! | [`field`] | what a field may be, and how messages stand in each other |
//! | `scalar`, `container`, `enumeration` | the types that a field may have |
//! | `wire` | protobuf's bytes |
//! | `json` | proto3's JSON, over serde |
//! | [`schema`] | what a message looks like, as a value |
//! | `empty`, `error` | [`Empty`] and [`DecodeError`] |

#[macro_use]
mod enumeration;
mod container;
mod empty;
mod error;
#[doc(hidden)]
pub mod field;
#[doc(hidden)]
pub mod json;
mod scalar;
pub mod schema;
mod wire;

use bytes::{Bytes, BytesMut};

pub use empty::Empty;
pub use error::DecodeError;
use schema::MessageSchema;
use wire::{Input, Parts};

/// A value with a protobuf form.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "cannot travel in protobuf",
    note = "put `#[message]` on the type, or use a type that prost generated",
    note = "a scalar, a list, a map and an enum without data are fields of a message, but no messages themselves"
)]
pub trait Message: Sized {
    /// Appends the protobuf form to `out`.
    fn encode(&self, out: &mut BytesMut);

    /// How many bytes [`encode`](Self::encode) appends.
    fn encoded_len(&self) -> usize;

    /// Reads a message that takes up all of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] if the bytes are no such message.
    fn decode(bytes: Bytes) -> Result<Self, DecodeError>;

    /// What the message looks like; `None` if the type does not say, as those that prost generated.
    fn schema() -> Option<&'static MessageSchema> {
        None
    }

    /// Reads a message that stands in another one into `place`, which is empty.
    #[doc(hidden)]
    fn decode_parts(parts: Parts<'_>, input: Input<'_>, place: &mut Option<Self>) -> Result<(), DecodeError> {
        *place = Some(Self::decode(parts.join(input))?);
        Ok(())
    }
}

// A type that is no message should hear of `#[message]`, not of prost.
#[diagnostic::do_not_recommend]
impl<T: prost::Message + Default> Message for T {
    fn encode(&self, out: &mut BytesMut) {
        self.encode_raw(out);
    }

    fn encoded_len(&self) -> usize {
        prost::Message::encoded_len(self)
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        prost::Message::decode(bytes).map_err(DecodeError::from)
    }
}
