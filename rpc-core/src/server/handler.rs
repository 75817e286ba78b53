//! From an encoded request to the user's method and back: what generated servers call.

use std::future::Future;

use bytes::Bytes;

use crate::call::items::{decode_requests, encode_replies};
use crate::call::method::{Carried, codec_names};
use crate::call::{BoxFuture, CodecFns, Method, Payload, Request, Response};
use crate::codec::body::body;
use crate::status::{Certainty, Status};
use crate::stream::Streaming;

/// Decodes the request, runs the handler, encodes what it gave.
///
/// The request is decoded before the future is made: what is boxed is then the message, and not the whole request.
#[inline]
pub fn serve<M, F, Fut>(request: &mut Request, handler: F) -> BoxFuture<Result<Response, Status>>
where
    M: Method,
    F: FnOnce(M::Input) -> Fut + Send + 'static,
    Fut: Future<Output = Result<M::Output, M::Error>> + Send,
{
    let Some(codec) = M::CODECS.iter().find(|codec| codec.info.id == request.codec()) else {
        return failed(unknown_codec::<M>(request));
    };
    let mut context = std::mem::take(&mut request.context);
    if let Some(metadata) = request.take_changed_metadata() {
        // A layer has changed what the call came with.
        context = context.with_metadata(metadata);
    }
    let message = match input::<M>(codec, request) {
        Ok(message) => message,
        Err(status) => return failed(status),
    };
    Box::pin(async move {
        context.mark_executed();
        // A layer may have put another context round the handler than the one that the call came with.
        let output =
            if context.is_current() { handler(message).await } else { context.scope(handler(message)).await };
        match M::given(output.map_err(Into::into)?).into_carried() {
            Carried::One(reply) => Ok(Response::new(encode(codec, &reply)?)),
            Carried::Stream(items) => {
                let items = encode_replies(codec, items);
                // The context covers the stream, too. The one of the call is round it anyway.
                let items = if context.is_current() { items } else { items.within(context) };
                Ok(Response::streaming(items))
            }
        }
    })
}

/// The answer to a request that no handler gets to see.
#[cold]
fn failed(status: Status) -> BoxFuture<Result<Response, Status>> {
    Box::pin(std::future::ready(Err(status.with_certainty(Certainty::NotExecuted))))
}

#[cold]
fn unknown_codec<M: Method>(request: &Request) -> Status {
    let (path, codec) = (request.method().path, request.codec());
    Status::unimplemented(format!("{path} does not speak codec {codec}; it speaks {}", codec_names::<M>()))
}

/// What the method takes, of what came.
#[inline]
fn input<M: Method>(codec: &CodecFns<M>, request: &mut Request) -> Result<M::Input, Status> {
    let path = M::descriptor().path;
    let carried = match &request.stream {
        None if !M::Input::STREAMS => {
            let message = (codec.decode_request)(std::mem::take(&mut request.body)).map_err(|error| {
                Status::invalid_argument(format!("the request is no {path} in {}: {error}", codec.info.name))
            })?;
            Carried::One(message)
        }
        Some(items) => match items.take() {
            Some(items) => Carried::Stream(decode_requests(codec, items)),
            None => {
                return Err(Status::internal("a layer has taken the items of the request"));
            }
        },
        // A request that is complete at once is a stream without items.
        None if request.body().is_empty() => Carried::Stream(Streaming::empty()),
        None => {
            return Err(Status::invalid_argument(format!(
                "{path} takes a stream, and the request is one message"
            )));
        }
    };
    M::Input::from_carried(carried).ok_or_else(|| {
        Status::invalid_argument(format!("{path} takes one message, and the request is a stream"))
    })
}

#[inline]
fn encode<M: Method>(codec: &CodecFns<M>, reply: &M::Reply) -> Result<Bytes, Status> {
    body((codec.reply_size)(reply), |out| (codec.encode_reply)(reply, out)).map_err(|error| {
        let (path, name) = (M::descriptor().path, codec.info.name);
        Status::internal(format!("the reply of {path} cannot be expressed in {name}: {error}"))
    })
}

/// The answer to a method index that the service does not have.
pub fn unknown_method(request: &Request) -> BoxFuture<Result<Response, Status>> {
    failed(Status::unimplemented(format!("no method {}", request.method().path)))
}
