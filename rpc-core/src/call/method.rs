//! The types of one method, and how its messages are coded: what `#[service]` writes for each method of a trait.

use std::fmt;

use bytes::{Bytes, BytesMut};

use crate::call::descriptor::{CodecInfo, MethodDescriptor};
use crate::codec::{Codec, CodecError};
use crate::status::Status;
use crate::stream::Streaming;

/// One method of a service, as a type. `#[service]` makes one for each method: `greeter::Hello`.
pub trait Method: Sized + Send + Sync + 'static {
    /// The request message: the body of a request, or of each of its items.
    type Request: Send + 'static;
    /// The reply message: the body of a reply, or of each of its items.
    type Reply: Send + 'static;
    /// What goes to the server: [`One`] request message, or a [`Streaming`] of them.
    type Input: Payload<Message = Self::Request>;
    /// What comes back: [`One`] reply message, or a [`Streaming`] of them.
    type Given: Payload<Message = Self::Reply>;
    /// What the trait's method gives: what comes back itself, or what is inside of it.
    type Output: Send + 'static;
    /// The trait's error.
    type Error: From<Status> + Into<Status> + Send + 'static;

    /// Name, shape and policies.
    fn descriptor() -> &'static MethodDescriptor;

    /// The codecs of the service, the default first.
    const CODECS: &'static [CodecFns<Self>];

    /// Unwraps what came back.
    fn output(given: Self::Given) -> Self::Output;

    /// Wraps what a handler gave.
    fn given(output: Self::Output) -> Self::Given;
}

/// What a request or a reply carries: [`One`] message, or a [`Streaming`] of messages.
pub trait Payload: Sized + Send + 'static {
    /// The type of a message.
    type Message: Send + 'static;
    /// Whether it is a stream.
    const STREAMS: bool;

    /// The message, if it is one.
    fn as_one(&self) -> Option<&Self::Message>;

    /// What it carries.
    fn into_carried(self) -> Carried<Self::Message>;

    /// The payload that carries this; `None` if it cannot.
    fn from_carried(carried: Carried<Self::Message>) -> Option<Self>;
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct One<T>(pub T);

/// One message, or a stream of messages.
#[derive(Debug)]
pub enum Carried<T> {
    /// One message.
    One(T),
    /// A stream of messages.
    Stream(Streaming<T>),
}

impl<T: Send + 'static> Payload for One<T> {
    type Message = T;
    const STREAMS: bool = false;

    #[inline]
    fn as_one(&self) -> Option<&T> {
        Some(&self.0)
    }

    #[inline]
    fn into_carried(self) -> Carried<T> {
        Carried::One(self.0)
    }

    #[inline]
    fn from_carried(carried: Carried<T>) -> Option<Self> {
        match carried {
            Carried::One(message) => Some(Self(message)),
            Carried::Stream(_) => None,
        }
    }
}

impl<T: Send + 'static> Payload for Streaming<T> {
    type Message = T;
    const STREAMS: bool = true;

    #[inline]
    fn as_one(&self) -> Option<&T> {
        None
    }

    #[inline]
    fn into_carried(self) -> Carried<T> {
        Carried::Stream(self)
    }

    #[inline]
    fn from_carried(carried: Carried<T>) -> Option<Self> {
        match carried {
            Carried::Stream(stream) => Some(stream),
            Carried::One(_) => None,
        }
    }
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
