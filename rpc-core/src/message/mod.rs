//! What a value must be to travel in protobuf: the [`Message`] trait.
//!
//! `#[message]` writes it for a struct or an enum; every prost message has it. It is a trait of our own and not
//! prost's, because a prost message must have a default for each field: ours may hold a field that has none, and
//! decoding says so when it is absent.

use bytes::{Bytes, BytesMut};

/// A value with a protobuf form.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "cannot travel in protobuf",
    note = "put `#[message]` on the type, or use a type that prost generated"
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
}

/// Bytes that are no message of the type, and why.
pub use prost::DecodeError;

impl<T: prost::Message + Default> Message for T {
    fn encode(&self, out: &mut BytesMut) {
        self.encode_raw(out);
    }

    fn encoded_len(&self) -> usize {
        prost::Message::encoded_len(self)
    }

    fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        prost::Message::decode(bytes)
    }
}
