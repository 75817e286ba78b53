//! How a value becomes bytes: the [`Codec`] trait and the two codecs that every service has.
//!
//! A codec is a type without values. A service names those that it speaks in `#[service(codecs(…))]`; a client speaks
//! one of them at a time, and a server answers each request in the codec that it came in.
//!
//! ```
//! use rpc_core::codec::{BytesMut, Codec, Json};
//!
//! let mut out = BytesMut::new();
//! Json::encode(&vec![1, 2], &mut out)?;
//! assert_eq!(&out[..], b"[1,2]");
//! let back: Vec<i32> = Json::decode(out.freeze())?;
//! # Ok::<(), rpc_core::codec::CodecError>(())
//! ```

pub(crate) mod body;

use std::fmt;

use bytes::BufMut;
pub use bytes::{Bytes, BytesMut};

use crate::message::Message;

/// One way to write values of type `T` as bytes and to read them back.
///
/// A codec of your own is a type that implements this for every `T` that it can carry, named in a service's
/// `codecs(…)`. Its [`ID`](Self::ID) travels with each request: take a number from 64 to 255, the lower ones are ours.
#[diagnostic::on_unimplemented(
    message = "`{T}` cannot travel in the codec `{Self}`",
    label = "no `Codec<{T}>` for `{Self}`",
    note = "put `#[message]` on the type to let it travel in `Protobuf` and `Json`",
    note = "a type with serde's derives travels in a service with `codecs(Json)`",
    note = "a `#[message]` enum without data is a field and not a message: put it in a `#[message]` struct"
)]
pub trait Codec<T> {
    /// The number that names this codec on the wire.
    const ID: u8;
    /// The name for people: in errors, metrics and the debug page.
    const NAME: &'static str;

    /// Appends the value to `out`.
    ///
    /// # Errors
    /// [`CodecError`] if the value cannot be expressed in this codec; what was appended by then is thrown away.
    fn encode(value: &T, out: &mut BytesMut) -> Result<(), CodecError>;

    /// How many bytes [`encode`](Self::encode) will append, as well as can be told cheaply; 0 if it cannot.
    fn size_hint(_value: &T) -> usize {
        0
    }

    /// Reads a value that takes up all of `bytes`.
    ///
    /// # Errors
    /// [`CodecError`] if the bytes are no such value. Bytes come from a peer: an implementation must not panic, nor
    /// allocate more than in proportion to what it was given.
    fn decode(bytes: Bytes) -> Result<T, CodecError>;
}

/// Protocol buffers: compact, fast, and the default.
#[derive(Clone, Copy, Debug)]
pub struct Protobuf;

/// JSON as proto3 maps it: lowerCamelCase names, 64-bit integers as strings, bytes as base64.
#[derive(Clone, Copy, Debug)]
pub struct Json;

/// A value that a codec could not write, or bytes that it could not read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecError(String);

impl CodecError {
    /// An error with this reason, for a reader who has both ends before them.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

/// The number of [`Protobuf`].
pub(crate) const PROTOBUF: u8 = 0;

// Otherwise the compiler would speak of prost's trait, and not of what to do.
#[diagnostic::do_not_recommend]
impl<T: Message> Codec<T> for Protobuf {
    const ID: u8 = PROTOBUF;
    const NAME: &'static str = "protobuf";

    fn encode(value: &T, out: &mut BytesMut) -> Result<(), CodecError> {
        value.encode(out);
        Ok(())
    }

    fn size_hint(value: &T) -> usize {
        value.encoded_len()
    }

    fn decode(bytes: Bytes) -> Result<T, CodecError> {
        T::decode(bytes).map_err(CodecError::new)
    }
}

#[diagnostic::do_not_recommend]
impl<T: serde::Serialize + serde::de::DeserializeOwned> Codec<T> for Json {
    const ID: u8 = 1;
    const NAME: &'static str = "json";

    fn encode(value: &T, out: &mut BytesMut) -> Result<(), CodecError> {
        serde_json::to_writer(out.writer(), value).map_err(CodecError::new)
    }

    fn decode(bytes: Bytes) -> Result<T, CodecError> {
        serde_json::from_slice(&bytes).map_err(CodecError::new)
    }
}
