//! The types of one method, and how its messages are coded: what `#[service]` writes for each method of a trait.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::call::descriptor::{CodecInfo, MethodDescriptor};
use crate::codec::{Codec, CodecError};
use crate::status::Status;

/// One method of a service, as a type. `#[service]` makes one for each method: `greeter::Hello`.
pub trait Method: Sized + Send + Sync + 'static {
    /// The request message: the body of a request.
    type Request: Send + 'static;
    /// The reply message: the body of a reply.
    type Reply: Send + 'static;
    /// What the trait's method gives: the reply message itself, or what is inside of it.
    type Output: Send + 'static;
    /// The trait's error.
    type Error: From<Status> + Into<Status> + Send + 'static;

    /// Name, shape and policies.
    fn descriptor() -> &'static MethodDescriptor;

    /// The codecs of the service, the default first.
    const CODECS: &'static [CodecFns<Self>];

    /// Unwraps a reply message.
    fn output(reply: Self::Reply) -> Self::Output;

    /// Wraps what a handler gave.
    fn reply(output: Self::Output) -> Self::Reply;
}

/// How one codec writes and reads the messages of a method: its functions for them, with the types erased.
///
/// A client picks one by the codec's number, a server by that of the request.
pub struct CodecFns<M: Method> {
    /// Number and name.
    pub info: CodecInfo,
    pub(crate) encode_request: fn(&M::Request, &mut BytesMut) -> Result<(), CodecError>,
    pub(crate) request_size: fn(&M::Request) -> usize,
    pub(crate) decode_request: fn(Bytes) -> Result<M::Request, CodecError>,
    pub(crate) encode_reply: fn(&M::Reply, &mut BytesMut) -> Result<(), CodecError>,
    pub(crate) reply_size: fn(&M::Reply) -> usize,
    pub(crate) decode_reply: fn(Bytes) -> Result<M::Reply, CodecError>,
}

impl<M: Method> CodecFns<M> {
    /// The functions of the codec `C`.
    pub const fn of<C: Codec<M::Request> + Codec<M::Reply>>() -> Self {
        Self::of_pair::<C, C>()
    }

    /// The same, with the codec named once for each message.
    pub(crate) const fn of_pair<Q: Codec<M::Request>, P: Codec<M::Reply>>() -> Self {
        Self {
            info: CodecInfo::new(Q::ID, Q::NAME),
            encode_request: Q::encode,
            request_size: Q::size_hint,
            decode_request: Q::decode,
            encode_reply: P::encode,
            reply_size: P::size_hint,
            decode_reply: P::decode,
        }
    }
}

// Not derived: a derive would ask the method for these traits.
impl<M: Method> Clone for CodecFns<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Method> Copy for CodecFns<M> {}

impl<M: Method> fmt::Debug for CodecFns<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodecFns").field("info", &self.info).finish_non_exhaustive()
    }
}

/// The codecs of a method, by name, for an error: `protobuf, json`.
pub(crate) fn codec_names<M: Method>() -> String {
    M::CODECS.iter().map(|codec| codec.info.name).collect::<Vec<_>>().join(", ")
}
