//! Streams to and from bytes: each item is encoded as it is asked for, and decoded as it is read.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Bytes;

use crate::call::method::{CodecFns, Method};
use crate::codec::CodecError;
use crate::codec::body::body;
use crate::context::Context;
use crate::status::{Certainty, Code, Status};
use crate::stream::{Source, Streaming, Trailing};

/// Whose items they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Request,
    Reply,
}

impl Half {
    fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Reply => "reply",
        }
    }
}

/// What the errors of one stream name.
#[derive(Clone, Copy, Debug)]
struct Label {
    half: Half,
    path: &'static str,
    codec: &'static str,
    /// Items so far.
    items: u64,
}

impl Label {
    fn new<M: Method>(half: Half, codec: &CodecFns<M>) -> Self {
        Self { half, path: M::descriptor().path, codec: codec.info.name, items: 0 }
    }

    /// The error of an item that cannot be encoded. A caller is to blame for what it sends, a server for what it gives.
    #[cold]
    fn cannot_encode(&self, error: &CodecError) -> Status {
        let code = match self.half {
            Half::Request => Code::InvalidArgument,
            Half::Reply => Code::Internal,
        };
        let (half, Self { path, codec, items, .. }) = (self.half.name(), *self);
        Status::new(
            code,
            format!("item {items} of the {half} of {path} cannot be expressed in {codec}: {error}"),
        )
    }

    /// The error of a reply whose context has ended before it had.
    #[cold]
    fn ended_early(&self) -> Option<Status> {
        if self.half == Half::Reply { Context::current().status() } else { None }
    }

    /// The error of an item that cannot be decoded.
    #[cold]
    fn cannot_decode(&self, error: &CodecError) -> Status {
        let code = match self.half {
            Half::Request => Code::InvalidArgument,
            Half::Reply => Code::Internal,
        };
        let (half, Self { path, codec, items, .. }) = (self.half.name(), *self);
        Status::new(code, format!("item {items} of the {half} of {path} is not in {codec}: {error}"))
            .with_certainty(Certainty::Executed)
    }
}

/// The items of a request, encoded as they are sent.
pub(crate) fn encode_requests<M: Method>(
    codec: &CodecFns<M>,
    items: Streaming<M::Request>,
) -> Streaming<Bytes> {
    encode(items, Label::new(Half::Request, codec), codec.encode_request, codec.request_size)
}

/// The items of a reply, encoded as they are sent.
pub(crate) fn encode_replies<M: Method>(codec: &CodecFns<M>, items: Streaming<M::Reply>) -> Streaming<Bytes> {
    encode(items, Label::new(Half::Reply, codec), codec.encode_reply, codec.reply_size)
}

/// The items of a request, decoded as they are read.
pub(crate) fn decode_requests<M: Method>(
    codec: &CodecFns<M>,
    items: Streaming<Bytes>,
) -> Streaming<M::Request> {
    decode(items, Label::new(Half::Request, codec), codec.decode_request)
}

/// The items of a reply, decoded as they are read.
pub(crate) fn decode_replies<M: Method>(codec: &CodecFns<M>, items: Streaming<Bytes>) -> Streaming<M::Reply> {
    decode(items, Label::new(Half::Reply, codec), codec.decode_reply)
}

type EncodeFn<T> = fn(&T, &mut bytes::BytesMut) -> Result<(), CodecError>;

fn encode<T: Send + 'static>(
    mut items: Streaming<T>,
    label: Label,
    encode: EncodeFn<T>,
    size: fn(&T) -> usize,
) -> Streaming<Bytes> {
    let metadata = items.take_metadata();
    Streaming::from_source(Encode { items, label, encode, size }).with_metadata(metadata)
}

fn decode<T: Send + 'static>(
    items: Streaming<Bytes>,
    label: Label,
    decode: fn(Bytes) -> Result<T, CodecError>,
) -> Streaming<T> {
    Streaming::from_source(Decode { items, label, decode })
}

struct Encode<T> {
    items: Streaming<T>,
    label: Label,
    encode: EncodeFn<T>,
    size: fn(&T) -> usize,
}

impl<T: Send> Source<Bytes> for Encode<T> {
    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Bytes, Status>>> {
        let this = &mut *self;
        let item = match ready!(this.items.poll_item(cx)) {
            Some(Ok(item)) => item,
            Some(Err(status)) => return Poll::Ready(Some(Err(status))),
            // A task that fed the stream ends with the context of the call, and seems to have said all.
            None => return Poll::Ready(this.label.ended_early().map(Err)),
        };
        this.label.items += 1;
        let encoded = body((this.size)(&item), |out| (this.encode)(&item, out));
        Poll::Ready(Some(encoded.map_err(|error| this.label.cannot_encode(&error))))
    }

    fn trailing(mut self: Pin<&mut Self>) -> Trailing {
        Trailing { metadata: self.items.take_trailing(), from_peer: false }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        futures_core::Stream::size_hint(&self.items)
    }
}

struct Decode<T> {
    items: Streaming<Bytes>,
    label: Label,
    decode: fn(Bytes) -> Result<T, CodecError>,
}

impl<T: Send> Source<T> for Decode<T> {
    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> {
        let this = &mut *self;
        let body = match ready!(this.items.poll_item(cx)) {
            Some(Ok(body)) => body,
            Some(Err(status)) => return Poll::Ready(Some(Err(status))),
            None => return Poll::Ready(None),
        };
        this.label.items += 1;
        Poll::Ready(Some((this.decode)(body).map_err(|error| this.label.cannot_decode(&error))))
    }

    fn trailing(self: Pin<&mut Self>) -> Trailing {
        let metadata = self.items.trailing_metadata().cloned().unwrap_or_default();
        Trailing { metadata, from_peer: true }
    }
}
