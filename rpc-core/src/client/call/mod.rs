//! [`Call`]: one call, its options and its future. The edge of the client; how it runs is in `inner`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::call::response::Took;
use crate::call::{CodecFns, Method, Timings};
use crate::client::channel::Channel;
use crate::codec::Codec;
use crate::metadata::Metadata;
use crate::status::Status;

mod inner;

use inner::{Answer, Inner};

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

impl<M: Method> Call<M> {
    /// A call of the method `M` with this message, in the current context. Generated clients call this.
    #[inline]
    pub fn new(channel: &Channel, message: M::Input) -> Self {
        Self { inner: Inner::new(channel, message) }
    }

    fn with(mut self, set: impl FnOnce(&mut Inner<M>)) -> Self {
        if !self.inner.has_begun() {
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
