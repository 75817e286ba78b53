//! [`Call`]: one call, its options and its future. The edge of the client: values become bytes here, and the deadline
//! is kept here.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::call::items::{decode_replies, encode_requests};
use crate::call::method::{Carried, codec_names};
use crate::call::moment::{Moment, lend};
use crate::call::request::{Deadline, Source, Upload};
use crate::call::response::Took;
use crate::call::wait::{Alarm, Cover};
use crate::call::{BoxFuture, CodecFns, CodecInfo, Method, Payload, Request, Response, Timings};
use crate::client::channel::Channel;
use crate::client::exchange::{Begun, First, Sending};
use crate::client::stack::enter;
use crate::codec::body::{Scratch, body, body_in};
use crate::codec::{Codec, CodecError};
use crate::context::{Context, Registration, now};
use crate::metadata::Metadata;
use crate::status::{Certainty, Hop, Status};
use crate::stream::Streaming;

/// One call, not sent yet: set options, then await it.
///
/// It is a future itself, so it can be given to `tokio::spawn` or `join_all`. Nothing is sent before the first poll;
/// [`start`](Self::start) sends it at once.
///
/// # Cancel safety
/// Dropping a call that is not complete cancels it: the server drops the handler at its next await.
#[must_use = "a call does nothing unless it is awaited, started, or given a callback"]
pub struct Call<M: Method> {
    inner: Inner<M>,
}

/// A call whose future gives the whole [`Reply`].
#[must_use = "a call does nothing unless it is awaited"]
pub struct ReplyCall<M: Method> {
    inner: Inner<M>,
}

/// A reply with what came beside it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply<T> {
    /// What the method gave.
    pub value: T,
    /// The metadata that the server sent.
    pub metadata: Metadata,
    /// Where the time went.
    pub timings: Timings,
}

/// A reply, before its timings are reckoned.
struct Answer<T> {
    value: T,
    metadata: Metadata,
    took: Took,
}

struct Inner<M: Method> {
    channel: Channel,
    /// Its request is made with the call, and sent from where it lies. Where layers have taken the request, what is left
    /// keeps the deadline and the context.
    sending: Sending,
    /// Until nobody will ask for its encoding any more.
    message: Option<M::Input>,
    /// That of the options, until the call has begun.
    codec: Option<&'static CodecFns<M>>,
    timeout: Option<Duration>,
    /// An option that cannot be carried out.
    wrong: Option<Status>,
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

impl<M: Method> Call<M> {
    /// A call of the method `M` with this message, in the current context. Generated clients call this.
    #[inline]
    pub fn new(channel: &Channel, message: M::Input) -> Self {
        let mut request =
            Request { context: Context::current(), ..Request::new(M::descriptor(), 0, Bytes::new()) };
        request.marks.wait_for_ready = channel.inner.wait_for_ready;
        let inner = Inner {
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
        };
        Self { inner }
    }

    fn with(mut self, set: impl FnOnce(&mut Inner<M>)) -> Self {
        // A call that has been polled has been sent: its options cannot change any more.
        if self.inner.way == Way::New {
            set(&mut self.inner);
        }
        self
    }

    /// Gives the call this much time, from the moment that it is first polled or started. A deadline that it inherits
    /// and that is nearer stays.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|call| call.timeout = Some(timeout))
    }

    /// Sends an entry of metadata with the call; see [`Metadata`] for what a name may be. With a name that may not be,
    /// the call fails with `INVALID_ARGUMENT` before it is sent.
    pub fn metadata(self, name: &str, value: impl Into<Bytes>) -> Self {
        self.with(|call| {
            if let Err(error) = call.sending.request.metadata.append(name, value) {
                call.wrong = Some(error.into());
            }
        })
    }

    /// Speaks this codec, which the service must have.
    pub fn codec<C: Codec<M::Request> + Codec<M::Reply>>(self) -> Self {
        self.with(|call| call.codec = Some(const { &CodecFns::of::<C>() }))
    }

    /// Waits, up to the deadline, while the server cannot be reached, in place of failing at once.
    pub fn wait_for_ready(self) -> Self {
        self.with(|call| call.sending.request.marks.wait_for_ready = true)
    }

    /// The key that a consistent-hash balancer goes by.
    pub fn hash_key(self, key: u64) -> Self {
        self.with(|call| call.sending.request.hash_key = Some(key))
    }

    /// Awaits the whole [`Reply`]: with metadata and timings.
    pub fn reply(self) -> ReplyCall<M> {
        ReplyCall { inner: self.inner }
    }

    /// Sends the call now; await the result later. Dropping what comes back cancels the call.
    ///
    /// # Panics
    /// Outside of a tokio runtime: the call runs in a task.
    pub fn start(self) -> Started<M> {
        Started { task: tokio::spawn(self) }
    }

    /// Sends the call now, and runs `callback` with its result, in a task. The call ends at its deadline at the latest;
    /// it cannot be cancelled otherwise than by its context.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn on_complete<F>(self, callback: F)
    where
        F: FnOnce(Result<M::Output, M::Error>) + Send + 'static,
    {
        // Nobody waits for this task: it owns the call, and the call's deadline ends it.
        drop(tokio::spawn(async move { callback(self.await) }));
    }
}

impl<M: Method> Inner<M> {
    #[inline]
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Answer<M::Output>, Status>> {
        let cover = Cover::begin();
        let polled = match (self.way, &mut self.layered) {
            (Way::Bare, _) => {
                let (to, message, codec) = (&self.channel.inner.destination, &self.message, self.codec);
                self.sending.poll(to, &|| again::<M>(codec, message.as_ref()), cx)
            }
            (Way::Layered, Some(call)) => call.as_mut().poll(cx),
            (Way::New, _) => {
                let polled = self.first(cx);
                let is_covered = cover.end();
                return match polled {
                    Poll::Pending => self.wait(is_covered, cx).map(Err),
                    Poll::Ready(result) => Poll::Ready(self.at_once(result)),
                };
            }
            _ => Poll::Ready(Err(Status::internal("a call was polled after it had completed"))),
        };
        let is_covered = cover.end();
        match polled {
            Poll::Ready(Ok(Response { body, stream, metadata, took })) => {
                self.end();
                Poll::Ready(decode(self.codec, body, stream, metadata, took))
            }
            Poll::Ready(Err(status)) => {
                self.end();
                Poll::Ready(Err(status))
            }
            Poll::Pending => self.wait(is_covered, cx).map(Err),
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
    fn begin(&mut self) -> Result<(&'static CodecFns<M>, Moment), Status> {
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
            return Err(Status::deadline_exceeded(format!(
                "the time was up before {} was sent",
                request.method.path
            )));
        }
        if let Some(status) = request.context.status() {
            return Err(status);
        }
        request.marks.codec = codec.info.id;
        request.deadline = deadline;
        // A hop that is being tried again from above must not be tried again from here as well.
        request.marks.is_retry = request.context.is_retry();
        Ok((codec, Moment { now: started, remaining }))
    }

    /// Begins: encodes the message, and sends it on its way.
    #[inline]
    fn first(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<Response, Status>> {
        let (codec, clock) = match self.begin() {
            Ok(begun) => begun,
            Err(status) => return Poll::Ready(Err(status.with_certainty(Certainty::NotSent))),
        };
        let Self { channel, sending, message, .. } = self;
        let (to, layers) = (&channel.inner.destination, &channel.inner.layers);
        if !M::Input::STREAMS
            && !M::Given::STREAMS
            && layers.is_none()
            && let Some(one) = message.as_ref().and_then(M::Input::as_one)
        {
            // A short one is copied to the connection at once, and needs no memory of its own.
            let (mut scratch, size) = (Scratch::take(), (codec.request_size)(one));
            let body = match body_in(scratch.buffer(), size, |out| (codec.encode_request)(one, out)) {
                Ok(None) => Some(&scratch.buffer()[..]),
                Ok(Some(long)) => {
                    sending.request.body = long;
                    *message = None;
                    None
                }
                Err(error) => return Poll::Ready(Err(inexpressible(codec, &error))),
            };
            self.way = Way::Bare;
            let begun = sending.begin(to, Some(First { clock, body }), cx);
            scratch.give_back();
            return match begun {
                Begun::Waits => Poll::Pending,
                Begun::Handed => Poll::Ready(Ok(Response::default())),
                Begun::Other => sending.poll(to, &|| again::<M>(Some(codec), message.as_ref()), cx),
            };
        }
        match message.take().map(M::Input::into_carried) {
            Some(Carried::One(message)) => match encode(codec, &message) {
                Ok(body) => sending.request.body = body,
                Err(status) => return Poll::Ready(Err(status)),
            },
            Some(Carried::Stream(items)) => {
                sending.request.set_stream(Upload::new(encode_requests(codec, items)));
            }
            None => {}
        }
        match layers {
            None => {
                self.way = Way::Bare;
                match sending.begin(to, Some(First { clock, body: None }), cx) {
                    Begun::Waits => Poll::Pending,
                    Begun::Handed => Poll::Ready(Ok(Response::default())),
                    Begun::Other => sending.poll(to, &|| again::<M>(None, None), cx),
                }
            }
            Some(layers) => {
                self.way = Way::Layered;
                let call = self.layered.insert(enter(layers, &mut sending.request));
                lend(clock, sending.request.deadline(), || call.as_mut().poll(cx))
            }
        }
    }

    /// What ends a call that is pending.
    #[inline(always)]
    fn wait(&mut self, is_covered: bool, cx: &mut TaskContext<'_>) -> Poll<Status> {
        let request = &self.sending.request;
        if let Poll::Ready(status) = request.context.poll_cancelled(cx, &mut self.cancelled) {
            self.abandon();
            return Poll::Ready(status);
        }
        if let Some(beginning) = &mut self.beginning
            && beginning.alarm.rings(beginning.by, false, cx)
        {
            let status = beginning.late(M::descriptor().path);
            self.abandon();
            return Poll::Ready(status);
        }
        match request.deadline {
            Some(deadline) if self.alarm.rings(deadline.at, is_covered, cx) => {
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
        _ => Err(Status::internal("a request lost its message")),
    }
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

impl<M: Method> Future for Call<M> {
    type Output = Result<M::Output, M::Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        self.inner.poll(cx).map(|result| result.map(|answer| answer.value).map_err(M::Error::from))
    }
}

impl<M: Method> Future for ReplyCall<M> {
    type Output = Result<Reply<M::Output>, M::Error>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let reply =
            |Answer { value, metadata, took }| Reply { value, metadata, timings: Took::timings(&took) };
        self.inner.poll(cx).map(|result| result.map(reply).map_err(M::Error::from))
    }
}

// Nothing in a call is pinned: what has to be is in a box.
impl<M: Method> Unpin for Call<M> {}
impl<M: Method> Unpin for ReplyCall<M> {}

/// A call that was started: await its result, or drop it to cancel it.
#[must_use = "dropping a started call cancels it"]
pub struct Started<M: Method> {
    task: JoinHandle<Result<M::Output, M::Error>>,
}

impl<M: Method> Started<M> {
    /// Whether the result is there.
    pub fn is_complete(&self) -> bool {
        self.task.is_finished()
    }
}

impl<M: Method> Future for Started<M> {
    type Output = Result<M::Output, M::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(cx).map(|joined| match joined {
            Ok(result) => result,
            Err(error) => Err(Status::cancelled(format!("the task of the call ended: {error}")).into()),
        })
    }
}

impl<M: Method> Drop for Started<M> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<M: Method> fmt::Debug for Call<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("method", &M::descriptor().path).finish_non_exhaustive()
    }
}

impl<M: Method> fmt::Debug for ReplyCall<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyCall").field("method", &M::descriptor().path).finish_non_exhaustive()
    }
}

impl<M: Method> fmt::Debug for Started<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("method", &M::descriptor().path).finish_non_exhaustive()
    }
}
