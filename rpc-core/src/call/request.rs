//! [`Request`]: a call on its way from the client's edge through the layers to the handler.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;

use crate::call::descriptor::MethodDescriptor;
use crate::context::{Context, Peer, TraceContext};
use crate::metadata::Metadata;
use crate::status::{Certainty, Status};
use crate::stream::Streaming;

/// A call going down: method, encoded body, metadata, deadline.
///
/// It is cheap to clone (the body is shared), which is what a retry does.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) method: &'static MethodDescriptor,
    pub(crate) body: Bytes,
    pub(crate) metadata: Metadata,
    pub(crate) deadline: Option<Deadline>,
    pub(crate) context: Context,
    /// What few calls have. In a box, for every call is moved several times, and a retry keeps a second one.
    pub(crate) extras: Option<Box<Extras>>,
    pub(crate) marks: Marks,
    pub(crate) hash_key: Option<u64>,
}

/// What is small of a request: one word, which is moved as one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marks {
    pub(crate) attempt: u32,
    pub(crate) codec: u8,
    pub(crate) origin: Origin,
    pub(crate) is_retry: bool,
    pub(crate) wait_for_ready: bool,
}

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Ours.
    Here,
    /// A peer's: the context tells whose it is, and what came with it.
    Peer,
    /// A peer's, of which a layer of the server has changed the metadata.
    Changed,
}

/// What few requests have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    /// In place of the context's.
    trace: Option<TraceContext>,
    /// The servers that the call has failed at, so that it is not sent there again while there are others.
    tried: Vec<u64>,
    /// The items of a request that is a stream.
    stream: Option<Upload>,
    /// The context that the call came with, if a layer has put one in its place that knows nothing of it.
    call: Option<Context>,
}

/// The point in time by which a call must be complete, and who set it (for the error that names it).
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// The point in time.
    pub at: Instant,
    /// The moment at which the time began to run.
    pub(crate) since: Instant,
    pub(crate) source: Source,
}

/// Where a deadline comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source {
    /// The call's own timeout.
    Call,
    /// Its method's.
    Method,
    /// Its channel's.
    Channel,
    /// The context that it is made in.
    Context,
    /// At a server: the caller.
    Caller,
    /// A layer.
    Layer,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Method => "method",
            Self::Channel => "channel",
            Self::Context => "context",
            Self::Caller => "caller",
            Self::Layer => "layer",
        }
    }
}

/// The encoded items of a request that is a stream. Clones share them.
pub struct Upload {
    items: Arc<Mutex<Items>>,
    /// How often they had been changed when this was made.
    changes: u32,
}

struct Items {
    /// `None` once they were taken.
    stream: Option<Streaming<Bytes>>,
    /// How often they were changed.
    changes: u32,
}

impl Upload {
    /// These items.
    pub fn new(items: Streaming<Bytes>) -> Self {
        Self { items: Arc::new(Mutex::new(Items { stream: Some(items), changes: 0 })), changes: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Items> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the items; `None` if they were taken before.
    pub fn take(&self) -> Option<Streaming<Bytes>> {
        self.lock().stream.take()
    }

    /// Whether they were taken.
    pub fn is_taken(&self) -> bool {
        self.lock().stream.is_none()
    }

    /// Puts a layer's own stream between: `change` gets the items, if they are still here, and gives what is sent, or
    /// what the handler gets, in their place.
    pub fn change(&self, change: impl FnOnce(Streaming<Bytes>) -> Streaming<Bytes>) {
        // Not under the lock: `change` may look at the request.
        let Some(items) = self.take() else { return };
        let changed = change(items);
        let mut items = self.lock();
        items.stream = Some(changed);
        items.changes += 1;
    }

    /// The error of an attempt that finds them taken by another one.
    pub(crate) fn gone() -> Status {
        Status::internal("the items of the request were sent already")
    }

    /// Whether they were [changed](Self::change) since this clone was made: what was done to them for one attempt must not
    /// be done again for the next.
    pub(crate) fn is_changed(&self) -> bool {
        self.lock().changes != self.changes
    }
}

impl Clone for Upload {
    fn clone(&self) -> Self {
        let changes = self.lock().changes;
        Self { items: self.items.clone(), changes }
    }
}

/// Notes a server among those that a call has failed at.
pub(crate) fn note(tried: &mut Vec<u64>, mark: u64) {
    if !tried.contains(&mark) {
        tried.push(mark);
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("taken", &self.is_taken()).finish()
    }
}

/// A request is moved by every layer. Up to this size compilers move it in place; a larger one is a call of `memcpy`.
#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Request>() <= 128);

impl Deadline {
    /// The error of a call whose time is up, in words that name the limit and who set it.
    pub(crate) fn status(&self, path: &str) -> Status {
        Status::deadline_exceeded(format!(
            "{path} was not complete after {:.1?} (limit set by the {})",
            self.at.saturating_duration_since(self.since),
            self.source.name()
        ))
    }
}

impl Request {
    /// A request for this method with an encoded body in the codec of this number; no metadata, no deadline.
    #[inline]
    pub fn new(method: &'static MethodDescriptor, codec: u8, body: impl Into<Bytes>) -> Self {
        Self {
            method,
            body: body.into(),
            metadata: Metadata::new(),
            deadline: None,
            context: Context::background(),
            extras: None,
            marks: Marks { attempt: 0, codec, origin: Origin::Here, is_retry: false, wait_for_ready: false },
            hash_key: None,
        }
    }

    /// A request that is a stream of encoded items.
    pub fn streaming(method: &'static MethodDescriptor, codec: u8, items: Streaming<Bytes>) -> Self {
        let mut request = Self::new(method, codec, Bytes::new());
        request.set_stream(Upload::new(items));
        request
    }

    /// Takes the request out. What is left here is its method and its deadline.
    ///
    /// Field by field, so that each is moved straight to where it is to lie.
    #[inline(always)]
    pub(crate) fn take(&mut self) -> Self {
        Self {
            method: self.method,
            body: std::mem::take(&mut self.body),
            metadata: std::mem::take(&mut self.metadata),
            deadline: self.deadline,
            context: std::mem::take(&mut self.context),
            extras: self.extras.take(),
            marks: self.marks,
            hash_key: self.hash_key,
        }
    }

    /// The request and a clone of it. In parts, as with [`take`](Self::take): a request that is cloned as a whole has to lie
    /// somewhere as a whole.
    #[inline(always)]
    pub(crate) fn doubled(self) -> (Self, Self) {
        let Self { method, body, metadata, deadline, context, extras, marks, hash_key } = self;
        let clone = Self {
            extras: extras.clone(),
            context: context.clone(),
            metadata: metadata.clone(),
            body: body.clone(),
            method,
            deadline,
            marks,
            hash_key,
        };
        let request = Self { extras, context, metadata, body, method, deadline, marks, hash_key };
        (request, clone)
    }

    /// The method that is called.
    pub fn method(&self) -> &'static MethodDescriptor {
        self.method
    }

    /// The encoded request message.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The encoded request message, taken out.
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// The encoded items, if the request is a stream. Clones of a request share them: they can be taken once, and the
    /// attempt that took them cannot be made again.
    pub fn stream(&self) -> Option<&Upload> {
        self.extras.as_ref()?.stream.as_ref()
    }

    /// The encoded items, taken out with what shares them.
    #[inline]
    pub(crate) fn take_stream(&mut self) -> Option<Upload> {
        self.extras.as_mut()?.stream.take()
    }

    #[cold]
    pub(crate) fn set_stream(&mut self, items: Upload) {
        self.extras.get_or_insert_default().stream = Some(items);
    }

    /// Whether the request can be sent once more: all of it is still here.
    pub fn is_whole(&self) -> bool {
        self.stream().is_none_or(|upload| !upload.is_taken())
    }

    /// The number of the codec that the body is in, and that the reply will be in.
    pub fn codec(&self) -> u8 {
        self.marks.codec
    }

    /// The metadata that travels with the request.
    pub fn metadata(&self) -> &Metadata {
        if self.marks.origin == Origin::Peer { self.context.metadata() } else { &self.metadata }
    }

    /// The metadata, to be changed: what a layer adds here travels to the server, or to the handler.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        if self.marks.origin == Origin::Peer {
            self.marks.origin = Origin::Changed;
            self.metadata = self.context.metadata().clone();
        }
        &mut self.metadata
    }

    /// At a server: the metadata as a layer has changed it, taken out; `None` if it is still the context's.
    pub(crate) fn take_changed_metadata(&mut self) -> Option<Metadata> {
        (self.marks.origin == Origin::Changed).then(|| std::mem::take(&mut self.metadata))
    }

    /// When the call must be complete; `None` if it may take for ever.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline.map(|deadline| deadline.at)
    }

    /// Moves the deadline forward in time to this one; a deadline that is already nearer stays. At a client the call keeps
    /// it. At a server it says what those below may ask; [`TimeoutLayer`](crate::middleware::TimeoutLayer) also ends the
    /// handler, and moves its context's deadline.
    pub fn limit_deadline(&mut self, at: Instant) {
        if self.deadline.is_none_or(|now| at < now.at) {
            let since = self.deadline.map_or_else(crate::context::now, |deadline| deadline.since);
            self.deadline = Some(Deadline { at, since, source: Source::Layer });
        }
    }

    /// The context that the call is made in: at a client the caller's, at a server the handler's.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Puts another context round the handler: how a server's layer hands values to it. Best one that is made of
    /// [the present one](Self::context): another one knows nothing of the call's deadline, cancellation and trace.
    pub fn set_context(&mut self, context: Context) {
        let before = std::mem::replace(&mut self.context, context);
        if self.is_incoming() && before.is_of_a_call() && !self.context.is_of_a_call() {
            // Whether the handler was run is noted there, and must be.
            self.extras.get_or_insert_default().call = Some(before);
        }
    }

    /// The context that the call came with, where a layer has put one in its place that knows nothing of it.
    pub(crate) fn take_call_context(&mut self) -> Option<Context> {
        self.extras.as_mut()?.call.take()
    }

    /// The trace that the call belongs to.
    pub fn trace(&self) -> Option<TraceContext> {
        let own = self.extras.as_ref().and_then(|extras| extras.trace);
        own.or_else(|| self.context.trace())
    }

    /// Sets the trace that the call belongs to.
    pub fn set_trace(&mut self, trace: TraceContext) {
        self.extras.get_or_insert_default().trace = Some(trace);
    }

    /// Whether it came from a peer.
    #[inline]
    pub(crate) fn is_incoming(&self) -> bool {
        self.marks.origin != Origin::Here
    }

    /// The other end: at a server, the client. `None` at a client, before an endpoint is chosen.
    pub fn peer(&self) -> Option<&Peer> {
        if self.is_incoming() { self.context.peer() } else { None }
    }

    /// How many attempts of this call came before this one.
    pub fn attempt(&self) -> u32 {
        self.marks.attempt
    }

    /// Whether a layer above, here or at a hop before this one, is trying again: then the ones below must not.
    pub fn is_retry(&self) -> bool {
        self.marks.is_retry
    }

    /// Marks the request as one more attempt by a layer that retries.
    pub fn set_attempt(&mut self, attempt: u32) {
        self.marks.attempt = attempt;
        self.marks.is_retry = attempt > 0;
    }

    /// The servers that the call has failed at.
    #[inline]
    pub(crate) fn tried(&self) -> &[u64] {
        self.extras.as_ref().map_or(&[], |extras| &extras.tried)
    }

    /// Notes a server that the call has failed at.
    #[cold]
    pub(crate) fn add_tried(&mut self, mark: u64) {
        note(&mut self.extras.get_or_insert_default().tried, mark);
    }

    /// Whether the call waits, up to its deadline, while no endpoint is usable, in place of failing at once.
    pub fn wait_for_ready(&self) -> bool {
        self.marks.wait_for_ready
    }

    /// Sets whether the call waits while no endpoint is usable.
    pub fn set_wait_for_ready(&mut self, wait: bool) {
        self.marks.wait_for_ready = wait;
    }

    /// The key that a consistent-hash balancer goes by.
    pub fn hash_key(&self) -> Option<u64> {
        self.hash_key
    }

    /// The error of a call whose time was up before anything of it was sent.
    #[cold]
    pub(crate) fn unsent_in_time(&self) -> Status {
        Status::deadline_exceeded(format!("the time was up before {} was sent", self.method.path))
            .with_certainty(Certainty::NotSent)
    }

    /// The error of a call whose time is up.
    pub(crate) fn deadline_status(&self) -> Status {
        match self.deadline {
            Some(deadline) => deadline.status(self.method.path),
            None => Status::deadline_exceeded("the time is up"),
        }
    }
}
