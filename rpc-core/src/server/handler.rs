//! From an encoded request to the user's method and back: what generated servers call.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::{Bytes, BytesMut};
use pin_project_lite::pin_project;

use crate::call::items::{decode_requests, encode_replies};
use crate::call::method::{Carried, codec_names};
use crate::call::request::{Deadline, Origin, Upload};
use crate::call::{BoxFuture, CodecFns, Method, MethodDescriptor, Payload, Request, Response};
use crate::codec::body::{body, body_in};
use crate::context::Context;
use crate::server::Serve;
use crate::server::room::{Handled, InPlace, Way};
use crate::status::{Certainty, Status};
use crate::stream::Streaming;

/// The largest future whose box is kept for the next call, in bytes: beside what it takes to make and to move a larger
/// one an allocation hardly counts, and a connection keeps a box for each method that is called on it.
const MOST_KEPT: usize = 1024;

/// A request as it came: what the handler needs of it. The rest is in the call's context.
#[derive(Debug)]
pub struct Arrived {
    pub(super) method: &'static MethodDescriptor,
    pub(super) codec: u8,
    pub(super) body: Bytes,
    /// The items of a request that is a stream.
    pub(super) items: Option<Upload>,
    pub(super) attempt: u32,
    pub(super) is_retry: bool,
    pub(super) deadline: Option<Deadline>,
}

impl Arrived {
    /// Which of the service's methods is called.
    #[inline]
    pub fn method(&self) -> &'static MethodDescriptor {
        self.method
    }

    /// The request as layers see it, in the current context; what it takes is taken out.
    #[inline(always)]
    pub(super) fn request(&mut self) -> Request {
        let mut request = Request {
            deadline: self.deadline,
            context: Context::current(),
            ..Request::new(self.method, self.codec, std::mem::take(&mut self.body))
        };
        request.marks.attempt = self.attempt;
        request.marks.is_retry = self.is_retry;
        request.marks.origin = Origin::Peer;
        if let Some(items) = self.items.take() {
            request.set_stream(items);
        }
        request
    }
}

/// Calls the method that a request names: what a server type is as a [`tower::Service`].
pub fn call<S: Serve>(service: &S, mut request: Request) -> BoxFuture<Result<Response, Status>> {
    let call = request.take_call_context();
    let mut context = std::mem::take(&mut request.context);
    if let Some(metadata) = request.take_changed_metadata() {
        // A layer has changed what the call came with.
        context = context.with_metadata(metadata);
    }
    let mut arrived = Arrived {
        method: request.method,
        codec: request.marks.codec,
        items: request.take_stream(),
        attempt: request.marks.attempt,
        is_retry: request.marks.is_retry,
        deadline: request.deadline,
        body: request.into_body(),
    };
    match service.handle(&mut arrived, Way::Boxed { context, call }) {
        Handled::Pending(future) => future,
        Handled::Done(result) => Box::pin(std::future::ready(result)),
        // Only what is run in place is encoded there.
        Handled::Encoded => Box::pin(std::future::ready(Ok(Response::default()))),
    }
}

/// Decodes the request, runs the handler, encodes what it gave.
///
/// The request is decoded before the future is made: what is boxed is then the message, and not the whole request. The
/// handler gives the service back, for the next call.
#[inline]
pub fn serve<M, S, F, Fut>(service: &Arc<S>, arrived: &mut Arrived, way: Way<'_>, handler: F) -> Handled
where
    M: Method,
    S: Send + Sync + 'static,
    F: FnOnce(Arc<S>, M::Input) -> Fut,
    Fut: Future<Output = (Arc<S>, Result<M::Output, M::Error>)> + Send + 'static,
{
    let Some(codec) = M::CODECS.iter().find(|codec| codec.info.id == arrived.codec) else {
        return failed(unknown_codec::<M>(arrived));
    };
    let message = match input::<M>(codec, arrived) {
        Ok(message) => message,
        Err(status) => return failed(status),
    };
    match way {
        Way::InPlace(here) => {
            *here.executed = true;
            in_place(service, codec, here, |service| handler(service, message))
        }
        Way::Boxed { context, call } => {
            let handler = handler(service.clone(), message);
            Handled::Pending(Box::pin(async move {
                call.as_ref().unwrap_or(&context).mark_executed();
                // A layer may have put another context round the handler than the one that the call came with.
                let (_, output) =
                    if context.is_current() { handler.await } else { context.scope(handler).await };
                let mut response = response(codec, output)?;
                // The context covers the stream, too. The one of the call is round it anyway.
                if response.is_stream() && !context.is_current() {
                    response = response.map_stream(|items| items.within(context));
                }
                Ok(response)
            }))
        }
    }
}

pin_project! {
    /// The handler of a call: in its box, which the next call uses again.
    struct Running<M: Method, S, Fut> {
        // `None` between two calls.
        #[pin]
        future: Option<Fut>,
        // Given back by the last call, so that it need not be counted for each.
        service: Option<Arc<S>>,
        codec: &'static CodecFns<M>,
    }
}

/// What a [`Room`](super::room::Room) keeps; `None` where the last one went to its task.
type Kept<M, S, Fut> = Option<Pin<Box<Running<M, S, Fut>>>>;

/// Polls the handler once.
#[inline]
fn in_place<M, S, Fut>(
    service: &Arc<S>,
    codec: &'static CodecFns<M>,
    here: InPlace<'_>,
    handler: impl FnOnce(Arc<S>) -> Fut,
) -> Handled
where
    M: Method,
    S: Send + Sync + 'static,
    Fut: Future<Output = (Arc<S>, Result<M::Output, M::Error>)> + Send + 'static,
{
    let InPlace { waker, room, reply, .. } = here;
    // If the handler panics, what was kept is dropped with it.
    let mut kept = room.take::<Kept<M, S, Fut>>();
    let mut running = kept.take().unwrap_or_else(|| Box::pin(Running { future: None, service: None, codec }));
    let mut this = running.as_mut().project();
    *this.codec = codec;
    let own = this.service.take().filter(|own| Arc::ptr_eq(own, service));
    this.future.set(Some(handler(own.unwrap_or_else(|| service.clone()))));
    let polled = match this.future.as_mut().as_pin_mut() {
        Some(future) => future.poll(&mut TaskContext::from_waker(waker)),
        None => Poll::Pending,
    };
    let Poll::Ready((own, output)) = polled else {
        room.keep(kept);
        return Handled::Pending(running);
    };
    this.future.set(None);
    *this.service = Some(own);
    if size_of::<Running<M, S, Fut>>() <= MOST_KEPT {
        *kept = Some(running);
    }
    room.keep(kept);
    let given = match output {
        Ok(output) => M::given(output).into_carried(),
        Err(error) => return Handled::Done(Err(error.into())),
    };
    match given {
        Carried::One(message) => encode_in(codec, &message, reply),
        Carried::Stream(items) => Handled::Done(Ok(Response::streaming(encode_replies(codec, items)))),
    }
}

/// What goes on in a task.
impl<M, S, Fut> Future for Running<M, S, Fut>
where
    M: Method,
    Fut: Future<Output = (Arc<S>, Result<M::Output, M::Error>)>,
{
    type Output = Result<Response, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let (_, output) = ready!(future.poll(cx));
        this.future.set(None);
        Poll::Ready(response(this.codec, output))
    }
}

/// The answer to a request that no handler gets to see.
#[cold]
fn failed(status: Status) -> Handled {
    Handled::Done(Err(status.with_certainty(Certainty::NotExecuted)))
}

#[cold]
fn unknown_codec<M: Method>(arrived: &Arrived) -> Status {
    let (path, codec) = (arrived.method.path, arrived.codec);
    Status::unimplemented(format!("{path} does not speak codec {codec}; it speaks {}", codec_names::<M>()))
}

/// What the method takes, of what came.
#[inline]
fn input<M: Method>(codec: &CodecFns<M>, arrived: &mut Arrived) -> Result<M::Input, Status> {
    let path = M::descriptor().path;
    let carried = match &arrived.items {
        None if !M::Input::STREAMS => {
            let message = (codec.decode_request)(std::mem::take(&mut arrived.body)).map_err(|error| {
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
        None if arrived.body.is_empty() => Carried::Stream(Streaming::empty()),
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

/// What a handler gave, as a response that holds all of it.
fn response<M: Method>(codec: &CodecFns<M>, output: Result<M::Output, M::Error>) -> Result<Response, Status> {
    match M::given(output.map_err(Into::into)?).into_carried() {
        Carried::One(reply) => {
            let encode = |out: &mut BytesMut| (codec.encode_reply)(&reply, out);
            match body((codec.reply_size)(&reply), encode) {
                Ok(body) => Ok(Response::new(body)),
                Err(error) => Err(inexpressible(codec, &error)),
            }
        }
        Carried::Stream(items) => Ok(Response::streaming(encode_replies(codec, items))),
    }
}

/// What a handler gave, encoded where it stays until it is written.
#[inline]
fn encode_in<M: Method>(codec: &CodecFns<M>, message: &M::Reply, reply: &mut BytesMut) -> Handled {
    match body_in(reply, (codec.reply_size)(message), |out| (codec.encode_reply)(message, out)) {
        Ok(None) => Handled::Encoded,
        Ok(Some(body)) => Handled::Done(Ok(Response::new(body))),
        Err(error) => Handled::Done(Err(inexpressible(codec, &error))),
    }
}

#[cold]
fn inexpressible<M: Method>(codec: &CodecFns<M>, error: &crate::codec::CodecError) -> Status {
    let (path, name) = (M::descriptor().path, codec.info.name);
    Status::internal(format!("the reply of {path} cannot be expressed in {name}: {error}"))
}

/// The answer to a method index that the service does not have.
pub fn unknown_method(arrived: &Arrived) -> Handled {
    failed(Status::unimplemented(format!("no method {}", arrived.method.path)))
}
