//! How a call runs: values become bytes here, layers are entered, and the deadline is kept.

use std::any::Any;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::call::items::{decode_replies, encode_requests};
use crate::call::method::{Carried, codec_names};
use crate::call::request::{Deadline, Source, Upload};
use crate::call::response::Took;
use crate::call::wait::{Alarm, Cover};
use crate::call::{BoxFuture, CodecFns, CodecInfo, Method, Payload, Request, Response};
use crate::client::channel::Channel;
use crate::client::exchange::{Begun, Clock, First, Sending};
use crate::client::stack::enter;
use crate::codec::body::{Scratch, body, body_in};
use crate::codec::{CodecError, PROTOBUF};
use crate::context::{Context, Registration, now};
use crate::metadata::Metadata;
use crate::status::{Certainty, Hop, Status};
use crate::stream::Streaming;

/// A reply, before its timings are reckoned.
pub(super) struct Answer<T> {
    pub(super) value: T,
    pub(super) metadata: Metadata,
    pub(super) took: Took,
}

/// A call, with its options until it has begun.
pub(super) struct Inner<M: Method> {
    channel: Channel,
    /// Its request is made with the call, and sent from where it lies. Where layers have taken the request, what is left
    /// keeps the deadline and the context.
    pub(super) sending: Sending,
    /// Until nobody will ask for its encoding any more.
    message: Option<M::Input>,
    /// That of the options, until the call has begun.
    pub(super) codec: Option<&'static CodecFns<M>>,
    pub(super) timeout: Option<Duration>,
    /// An option that cannot be carried out.
    pub(super) wrong: Option<Status>,
    way: Way,
    layered: Option<BoxFuture<Result<Response, Status>>>,
    alarm: Alarm,
    beginning: Option<Box<Beginning>>,
    cancelled: Registration,
}

/// The way that a call goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It has not begun.
    New,
    /// No layers of the user's: the request stays where it is, and its future needs no box.
    Bare,
    Layered,
    /// It is complete, or given up.
    Ended,
}

/// Limits the wait for a reply that is a stream to begin. Only this side knows of it: the stream itself may take as long
/// as it likes.
struct Beginning {
    limit: Duration,
    by: Instant,
    alarm: Alarm,
}

impl Beginning {
    fn within(limit: Duration, started: Instant) -> Option<Box<Self>> {
        // A limit beyond the end of time is none.
        let by = started.checked_add(limit)?;
        Some(Box::new(Self { limit, by, alarm: Alarm::default() }))
    }

    #[cold]
    fn late(&self, path: &str) -> Status {
        Status::deadline_exceeded(format!(
            "{path} did not begin to answer within {:.1?} (limit set by the channel)",
            self.limit
        ))
    }
}

impl<M: Method> Inner<M> {
    /// A call with this message, in the current context.
    #[inline]
    pub(super) fn new(channel: &Channel, message: M::Input) -> Self {
        let mut request =
            Request { context: Context::current(), ..Request::new(M::descriptor(), 0, Bytes::new()) };
        request.marks.wait_for_ready = channel.inner.wait_for_ready;
        Self {
            channel: channel.clone(),
            sending: Sending::new(request),
            message: Some(message),
            codec: None,
            timeout: None,
            wrong: None,
            way: Way::New,
            layered: None,
            alarm: Alarm::default(),
            beginning: None,
            cancelled: Registration::default(),
        }
    }

    /// Whether it has begun: its options cannot change any more.
    #[inline]
    pub(super) fn has_begun(&self) -> bool {
        self.way != Way::New
    }

    #[inline]
    pub(super) fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Answer<M::Output>, Status>> {
        let cover = Cover::begin();
        let polled = match (self.way, &mut self.layered) {
            (Way::Bare, _) => {
                let (to, message, codec) = (&self.channel.inner.destination, &self.message, self.codec);
                self.sending.poll(to, &|| again::<M>(codec, message.as_ref()), cx)
            }
            (Way::Layered, Some(call)) => call.as_mut().poll(cx),
            (Way::New, _) => {
                let polled = self.first(cx);
                let covered = cover.end();
                return match polled {
                    Poll::Pending => self.wait(covered, cx).map(Err),
                    Poll::Ready(result) => Poll::Ready(self.at_once(result)),
                };
            }
            _ => Poll::Ready(Err(Status::internal("a call was polled after it had completed"))),
        };
        let covered = cover.end();
        match polled {
            Poll::Ready(Ok(Response { body, stream, metadata, took })) => {
                self.end();
                Poll::Ready(decode(self.codec, body, stream, metadata, took))
            }
            Poll::Ready(Err(status)) => {
                self.end();
                Poll::Ready(Err(status))
            }
            Poll::Pending => self.wait(covered, cx).map(Err),
        }
    }

    /// The call may hold a permit of a layer: it goes as soon as the call is complete, not when its owner goes.
    #[inline]
    fn end(&mut self) {
        self.way = Way::Ended;
        if self.layered.is_some() {
            self.layered = None;
        }
    }

    /// The result of a call that did not have to wait for it.
    #[cold]
    fn at_once(&mut self, result: Result<Response, Status>) -> Result<Answer<M::Output>, Status> {
        self.end();
        let Response { body, stream, metadata, took } = result?;
        decode(self.codec, body, stream, metadata, took)
    }

    /// Reckons the deadline and chooses the codec; which, and when that was.
    #[inline]
    fn begin(&mut self) -> Result<(&'static CodecFns<M>, Clock), Status> {
        let (channel, request) = (&*self.channel.inner, &mut self.sending.request);
        if let Some(status) = self.wrong.take() {
            return Err(status);
        }
        let codec = match self.codec {
            Some(codec) => codec,
            None => choose::<M>(channel.codec)?,
        };
        self.codec = Some(codec);
        let started = now();
        // What streams may take its time: the channel's timeout, which nobody chose for this method, only covers the wait for
        // a stream to begin.
        let streams = M::Input::STREAMS || M::Given::STREAMS;
        let (whole, beginning) = if streams { (None, channel.timeout) } else { (channel.timeout, None) };
        let (deadline, remaining) = deadline::<M>(started, self.timeout, whole, &request.context);
        if let Some(limit) = beginning
            && deadline.is_none()
            && !M::Input::STREAMS
        {
            self.beginning = Beginning::within(limit, started);
        }
        if deadline.is_some_and(|deadline| deadline.at <= started) {
            return Err(request.unsent_in_time());
        }
        if let Some(status) = request.context.status() {
            return Err(status);
        }
        request.marks.codec = codec.info.id;
        request.deadline = deadline;
        // A hop that is being tried again from above must not be tried again from here as well.
        request.marks.is_retry = request.context.is_retry();
        Ok((codec, Clock { now: started, remaining }))
    }

    /// Begins: encodes the message, and sends it on its way.
    #[inline]
    fn first(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Response, Status>> {
        let (codec, clock) = match self.begin() {
            Ok(begun) => begun,
            Err(status) => return Poll::Ready(Err(status.with_certainty(Certainty::NotSent))),
        };
        let Self { channel, sending, message, .. } = self;
        match &channel.inner.layers {
            None if M::Input::STREAMS || M::Given::STREAMS => {
                if let Err(status) = carry(codec, message, &mut sending.request) {
                    return Poll::Ready(Err(status));
                }
                self.send(codec, First::default(), cx)
            }
            None => {
                // A short message is copied to the connection at once, and needs no memory of its own.
                let mut scratch = Scratch::take();
                let first = match encode_short(codec, message.as_ref(), &mut scratch) {
                    // What is short is encoded in no time; by a codec of the user's who knows.
                    Ok(None) => First {
                        clock: (codec.info.id == PROTOBUF).then_some(clock),
                        body: Some(scratch.buffer()),
                    },
                    Ok(Some(long)) => {
                        sending.request.body = long;
                        *message = None;
                        First::default()
                    }
                    Err(status) => return Poll::Ready(Err(status)),
                };
                let sent = self.send(codec, first, cx);
                scratch.give_back();
                sent
            }
            Some(layers) => {
                if let Err(status) = carry(codec, message, &mut sending.request) {
                    return Poll::Ready(Err(status));
                }
                self.way = Way::Layered;
                self.layered.insert(enter(layers, &mut sending.request)).as_mut().poll(cx)
            }
        }
    }

    /// Puts the call on its connection, where there are no layers.
    #[inline]
    fn send(
        &mut self,
        codec: &'static CodecFns<M>,
        first: First<'_>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Result<Response, Status>> {
        self.way = Way::Bare;
        let (to, message) = (&self.channel.inner.destination, &self.message);
        match self.sending.begin(to, first, cx) {
            Begun::Waits => Poll::Pending,
            Begun::Handed => Poll::Ready(Ok(Response::default())),
            Begun::Other => self.sending.poll(to, &|| again::<M>(Some(codec), message.as_ref()), cx),
        }
    }

    /// What ends a call that is pending.
    #[inline(always)]
    fn wait(&mut self, covered: Option<Instant>, cx: &mut TaskContext<'_>) -> Poll<Status> {
        let request = &self.sending.request;
        if let Poll::Ready(status) = request.context.poll_cancelled(cx, &mut self.cancelled) {
            self.abandon();
            return Poll::Ready(status);
        }
        if let Some(beginning) = &mut self.beginning
            && beginning.alarm.rings(beginning.by, None, cx)
        {
            let status = beginning.late(M::descriptor().path);
            self.abandon();
            return Poll::Ready(status);
        }
        match request.deadline {
            Some(deadline) if self.alarm.rings(deadline.at, covered, cx) => {
                let mut status = late::<M>(deadline, now());
                if self.way == Way::Bare {
                    status = self.sending.late(&self.channel.inner.destination, status);
                }
                self.abandon();
                Poll::Ready(status)
            }
            _ => Poll::Pending,
        }
    }

    /// Drops whatever is under way.
    #[cold]
    fn abandon(&mut self) {
        self.end();
        self.sending.give_up();
    }
}

/// The error of a call whose time is up.
#[cold]
fn late<M: Method>(deadline: Deadline, at: Instant) -> Status {
    let path = M::descriptor().path;
    let mut status = deadline.status(path);
    let since = |at: Instant| at.saturating_duration_since(deadline.since);
    status.hops_mut().push(Hop::unanswered(path, since(deadline.at), since(at)));
    status
}

/// The functions of the codec that the channel chose.
#[inline]
fn choose<M: Method>(wanted: Option<CodecInfo>) -> Result<&'static CodecFns<M>, Status> {
    let chosen = match wanted {
        None => M::CODECS.first(),
        Some(wanted) => M::CODECS.iter().find(|codec| codec.info.id == wanted.id),
    };
    chosen.ok_or_else(|| {
        Status::unimplemented(format!(
            "the channel speaks {}, which {} does not; it speaks {}",
            wanted.map_or("nothing", |wanted| wanted.name),
            M::descriptor().path,
            codec_names::<M>()
        ))
    })
}

/// The nearest of the limits that concern a call: its own, or else its method's, or else the channel's; and the
/// context's. And what remains until then, where that need not be reckoned.
#[inline]
fn deadline<M: Method>(
    started: Instant,
    own: Option<Duration>,
    channel: Option<Duration>,
    context: &Context,
) -> (Option<Deadline>, Option<Duration>) {
    let limit = |timeout: Option<Duration>, source| {
        // A limit beyond the end of time is none.
        let at = started.checked_add(timeout?)?;
        Some((Deadline { at, since: started, source }, timeout))
    };
    let own = match (own, M::descriptor().timeout) {
        (Some(own), _) => limit(Some(own), Source::Call),
        (None, Some(method)) => limit(Some(method), Source::Method),
        (None, None) => limit(channel, Source::Channel),
    };
    match (own, context.deadline()) {
        (Some((own, remaining)), None) => (Some(own), remaining),
        (Some((own, remaining)), Some(at)) if own.at <= at => (Some(own), remaining),
        (None, None) => (None, None),
        (_, Some(at)) => (Some(Deadline { at, since: started, source: Source::Context }), None),
    }
}

/// Moves the message, or the stream of them, to the request.
fn carry<M: Method>(
    codec: &'static CodecFns<M>,
    message: &mut Option<M::Input>,
    request: &mut Request,
) -> Result<(), Status> {
    match message.take().map(M::Input::into_carried) {
        Some(Carried::One(message)) => request.body = encode(codec, &message)?,
        Some(Carried::Stream(items)) => request.set_stream(Upload::new(encode_requests(codec, items))),
        None => {}
    }
    Ok(())
}

/// Encodes a message to the thread's buffer; or by itself, if it is long.
#[inline]
fn encode_short<M: Method>(
    codec: &CodecFns<M>,
    message: Option<&M::Input>,
    scratch: &mut Scratch,
) -> Result<Option<Bytes>, Status> {
    let Some(message) = message.and_then(M::Input::as_one) else { return Err(lost()) };
    body_in(scratch.buffer(), (codec.request_size)(message), |out| (codec.encode_request)(message, out))
        .map_err(|error| inexpressible(codec, &error))
}

fn encode<M: Method>(codec: &CodecFns<M>, message: &M::Request) -> Result<Bytes, Status> {
    body((codec.request_size)(message), |out| (codec.encode_request)(message, out))
        .map_err(|error| inexpressible(codec, &error))
}

#[cold]
fn inexpressible<M: Method>(codec: &CodecFns<M>, error: &CodecError) -> Status {
    let (path, name) = (M::descriptor().path, codec.info.name);
    Status::invalid_argument(format!("the request of {path} cannot be expressed in {name}: {error}"))
        .with_certainty(Certainty::NotSent)
}

/// Encodes the message of a call once more that was not run where it was sent to.
#[cold]
fn again<M: Method>(codec: Option<&CodecFns<M>>, message: Option<&M::Input>) -> Result<Bytes, Status> {
    match (codec, message.and_then(M::Input::as_one)) {
        (Some(codec), Some(message)) => encode(codec, message),
        _ => Err(lost()),
    }
}

#[cold]
fn lost() -> Status {
    Status::internal("a request lost its message")
}

#[inline(always)]
fn decode<M: Method>(
    codec: Option<&'static CodecFns<M>>,
    body: Bytes,
    stream: Option<Box<Streaming<Bytes>>>,
    metadata: Metadata,
    took: Took,
) -> Result<Answer<M::Output>, Status> {
    let Some(codec) = codec else { return Err(Status::internal("an answer to a call that has not begun")) };
    if M::descriptor().oneway {
        return handed(metadata, took);
    }
    let carried = match stream {
        None if !M::Given::STREAMS => {
            let reply = (codec.decode_reply)(body).map_err(|error| {
                Status::internal(format!(
                    "the reply of {} is not in {}: {error}",
                    M::descriptor().path,
                    codec.info.name
                ))
                .with_certainty(Certainty::Executed)
            })?;
            Carried::One(reply)
        }
        Some(items) => Carried::Stream(decode_replies(codec, *items)),
        // An answer that is complete at once is a stream without items.
        None if body.is_empty() => Carried::Stream(Streaming::empty()),
        None => {
            let status = Status::internal("the server answered with one reply, where a stream was due");
            return Err(status.with_certainty(Certainty::Executed));
        }
    };
    let given = M::Given::from_carried(carried).ok_or_else(|| {
        let status = Status::internal("the server answered with a stream, where one reply was due");
        status.with_certainty(Certainty::Executed)
    })?;
    Ok(Answer { value: M::output(given), metadata, took })
}

/// What a oneway call gives, to which there is no reply: such a method gives `()`, as the macro sees to.
fn handed<T: Send + 'static>(metadata: Metadata, took: Took) -> Result<Answer<T>, Status> {
    match (Box::new(()) as Box<dyn Any>).downcast() {
        Ok(value) => Ok(Answer { value: *value, metadata, took }),
        Err(_) => Err(Status::internal("a oneway method that gives something")),
    }
}
