//! From an encoded request to the user's method and back: what generated servers call.

use std::future::Future;

use crate::call::method::codec_names;
use crate::call::{BoxFuture, Method, Request, Response};
use crate::codec::body::body;
use crate::status::{Certainty, Status};

/// Decodes the request, runs the handler, encodes what it gave.
pub fn serve<M, F, Fut>(mut request: Request, handler: F) -> BoxFuture<Result<Response, Status>>
where
    M: Method,
    F: FnOnce(M::Request) -> Fut + Send + 'static,
    Fut: Future<Output = Result<M::Output, M::Error>> + Send,
{
    Box::pin(async move {
        let Some(codec) = M::CODECS.iter().find(|codec| codec.info.id == request.codec()) else {
            return Err(Status::unimplemented(format!(
                "{} does not speak codec {}; it speaks {}",
                request.method().path,
                request.codec(),
                codec_names::<M>()
            ))
            .with_certainty(Certainty::NotExecuted));
        };
        let mut context = std::mem::take(&mut request.context);
        if let Some(metadata) = request.take_changed_metadata() {
            // A layer has changed what the call came with.
            context = context.with_metadata(metadata);
        }
        let message = (codec.decode_request)(request.into_body()).map_err(|error| {
            Status::invalid_argument(format!(
                "the request is no {} in {}: {error}",
                M::descriptor().path,
                codec.info.name
            ))
            .with_certainty(Certainty::NotExecuted)
        })?;
        context.mark_executed();
        // A layer may have put another context round the handler than the one that the call came with.
        let output =
            if context.is_current() { handler(message).await } else { context.scope(handler(message)).await };
        let output = output.map_err(Into::into)?;
        let reply = M::reply(output);
        let size = (codec.reply_size)(&reply);
        let body = body(size, |out| (codec.encode_reply)(&reply, out)).map_err(|error| {
            Status::internal(format!(
                "the reply of {} cannot be expressed in {}: {error}",
                M::descriptor().path,
                codec.info.name
            ))
        })?;
        Ok(Response::new(body))
    })
}

/// The answer to a method index that the service does not have.
pub fn unknown_method(request: &Request) -> BoxFuture<Result<Response, Status>> {
    let status = Status::unimplemented(format!("no method {}", request.method().path))
        .with_certainty(Certainty::NotExecuted);
    Box::pin(std::future::ready(Err(status)))
}
