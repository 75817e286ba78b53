//! [`Streaming`] itself.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll, ready};

use futures_core::{FusedStream, Stream};

use crate::context::Context;
use crate::metadata::Metadata;
use crate::status::Status;
use crate::stream::channel::{self, Sender};
use crate::stream::source::{
    Around, Ask, FromIter, FromStream, Holding, Map, Nothing, Source, Trailing, WithTrailing, Within,
};

/// Many messages of one type, one after the other: the argument or the reply of a method that streams.
///
/// It is a [`Stream`] of `Result<T, Status>`, so everything that works on streams works on it, `futures_util`'s
/// combinators for instance; [`next`](Self::next) is here for those who need no more. An error is the last item: after
/// it, as after the end, there is nothing more to come.
///
/// Who reads slowly slows down who writes, over the network as well: only so many bytes are under way or wait (see
/// [`wire::Config::stream_credit`](crate::wire::Config::stream_credit)).
///
/// Items that came over the network count in tokio's cooperative budget, so that a task that always finds one gives way to
/// others now and then. Who polls once, and takes `Pending` for "nothing has come", may be wrong at such a moment.
///
/// | it is | dropping it |
/// |---|---|
/// | what a server's handler got | drops what comes; the client sends no more than its window, and the call goes on |
/// | what a client got | cancels the call; the server drops what it streams |
/// | made by you and handed over | is the framework's business: at the end of the call, whatever end that is |
///
/// # Cancel safety
/// A wait for an item may be dropped and begun anew: no item is lost by that.
#[must_use = "a stream does nothing unless it is read, or handed to a call"]
pub struct Streaming<T> {
    // Never locked: what is in a lock can be shared between threads, whatever it is, and futures that hold a reference
    // to a request or a reply must be able to move.
    source: Mutex<Option<Pin<Box<dyn Source<T>>>>>,
    metadata: Metadata,
    trailing: Option<Trailing>,
}

/// What the stream or iterator behind a [`Streaming<T>`] may give: a `T`, or a `Result<T, Status>`.
pub trait IntoItem<T> {
    /// As an item.
    ///
    /// # Errors
    /// The stream's, if this is one.
    fn into_item(self) -> Result<T, Status>;
}

impl<T> IntoItem<T> for T {
    #[inline]
    fn into_item(self) -> Result<T, Status> {
        Ok(self)
    }
}

impl<T> IntoItem<T> for Result<T, Status> {
    #[inline]
    fn into_item(self) -> Self {
        self
    }
}

impl<T: 'static> Streaming<T> {
    /// A stream of what this stream gives, which is items or `Result`s of items.
    ///
    /// ```
    /// use futures_util::{StreamExt, stream};
    /// use rpc_core::Streaming;
    ///
    /// let squares: Streaming<u32> = Streaming::new(stream::iter(1..=3).map(|n| n * n));
    /// ```
    pub fn new<S>(stream: S) -> Self
    where
        S: Stream<Item: IntoItem<T>> + Send + 'static,
    {
        Self::from_source(FromStream { stream })
    }

    /// A stream of what this iterator gives, which is items or `Result`s of items. The iterator is asked for the next
    /// item when there is room for it.
    ///
    /// ```
    /// use rpc_core::Streaming;
    ///
    /// let numbers: Streaming<u64> = Streaming::iter(1..=3);
    /// ```
    pub fn iter<I>(iterator: I) -> Self
    where
        I: IntoIterator<Item: IntoItem<T>, IntoIter: Send + 'static>,
    {
        Self::from_source(FromIter(iterator.into_iter()))
    }

    /// A stream of nothing.
    pub fn empty() -> Self {
        Self { source: Mutex::new(None), metadata: Metadata::new(), trailing: Some(Trailing::default()) }
    }

    /// A stream, and the sender that feeds it: for items that come up here and there. Up to `room` items wait to be
    /// read, at least one.
    pub fn channel(room: usize) -> (Sender<T>, Self)
    where
        T: Send,
    {
        let (sender, source) = channel::channel(room);
        (sender, Self::from_source(source))
    }

    /// Sends metadata with the head of the reply, before the first item. For the stream that a handler gives; that of a
    /// client goes without.
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sends metadata behind the last item: `make` is called when the stream has come to a good end. For the stream that a
    /// handler gives; that of a client goes without.
    ///
    /// ```
    /// use rpc_core::{Metadata, Streaming};
    ///
    /// # fn f() -> Streaming<u64> {
    /// Streaming::iter(1..=3).with_trailing_metadata(|| {
    ///     let mut metadata = Metadata::new();
    ///     metadata.insert("source", "cache").expect("a valid name");
    ///     metadata
    /// })
    /// # }
    /// ```
    pub fn with_trailing_metadata(self, make: impl FnOnce() -> Metadata + Send + 'static) -> Self {
        let is_empty = self.source.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        if is_empty {
            // It comes to its end all the same.
            let source = WithTrailing { inner: Nothing, trailing: Some(make) };
            return Self { metadata: self.metadata, ..Self::from_source(source) };
        }
        self.change(|inner| Box::pin(WithTrailing { inner, trailing: Some(make) }))
    }

    pub(crate) fn from_source(source: impl Source<T> + 'static) -> Self {
        Self { source: Mutex::new(Some(Box::pin(source))), metadata: Metadata::new(), trailing: None }
    }

    /// Another stream, of what this one's source is made into.
    fn change<U>(
        self,
        change: impl FnOnce(Pin<Box<dyn Source<T>>>) -> Pin<Box<dyn Source<U>>>,
    ) -> Streaming<U> {
        let Self { source, metadata, trailing } = self;
        let source = source.into_inner().unwrap_or_else(PoisonError::into_inner);
        Streaming { source: Mutex::new(source.map(change)), metadata, trailing }
    }

    /// The same stream, whose items are made into others.
    pub(crate) fn map_items<U: 'static>(self, change: impl FnMut(T) -> U + Send + 'static) -> Streaming<U> {
        self.change(|inner| Box::pin(Map { inner, change }))
    }

    /// The same stream, with something of a layer's round each time that it is asked for an item.
    pub(crate) fn around<F>(self, around: F) -> Self
    where
        F: FnMut(Ask<'_, T>, &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> + Send + 'static,
    {
        self.change(|inner| Box::pin(Around { inner, around }))
    }

    /// The same stream, asked for items in this context.
    pub(crate) fn within(self, context: Context) -> Self {
        self.change(|inner| Box::pin(Within { context, inner: Some(inner) }))
    }

    /// The same stream, which keeps something until it has ended or is dropped.
    pub(crate) fn holding(self, held: impl Send + 'static) -> Self {
        self.change(|inner| Box::pin(Holding { inner, held: Some(held) }))
    }
}

impl<T> Streaming<T> {
    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// The status with which the stream ended before its time; it is the last item.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    #[expect(
        clippy::should_implement_trait,
        reason = "the name that everybody knows from streams; it is no iterator"
    )]
    pub fn next(&mut self) -> Next<'_, T> {
        Next(self)
    }

    /// The metadata behind the last item, once all items have been read and the end was a good one. (An error has
    /// [its own](Status::metadata).)
    pub fn trailing_metadata(&self) -> Option<&Metadata> {
        self.trailing.as_ref().map(|trailing| &trailing.metadata)
    }

    /// Takes the metadata that is to go before the items.
    pub(crate) fn take_metadata(&mut self) -> Metadata {
        std::mem::take(&mut self.metadata)
    }

    /// Takes what is to go behind the items: what a peer sent behind them is not passed on.
    pub(crate) fn take_trailing(&mut self) -> Metadata {
        match self.trailing.take() {
            Some(Trailing { metadata, from_peer: false }) => metadata,
            _ => Metadata::new(),
        }
    }

    fn source(&mut self) -> &mut Option<Pin<Box<dyn Source<T>>>> {
        self.source.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    pub(crate) fn poll_item(&mut self, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> {
        let Some(source) = self.source() else { return Poll::Ready(None) };
        let item = ready!(source.as_mut().poll_next(cx));
        if matches!(item, Some(Ok(_))) {
            return Poll::Ready(item);
        }
        let trailing = item.is_none().then(|| source.as_mut().trailing());
        // What it holds (a call, a connection's place, the user's own) goes now, and not when its reader does.
        *self.source() = None;
        self.trailing = trailing;
        Poll::Ready(item)
    }
}

// What is pinned is in a box.
impl<T> Unpin for Streaming<T> {}

impl<T> Stream for Streaming<T> {
    type Item = Result<T, Status>;

    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.poll_item(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        source.as_ref().map_or((0, Some(0)), |source| source.size_hint())
    }
}

impl<T> FusedStream for Streaming<T> {
    fn is_terminated(&self) -> bool {
        self.source.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

/// A stream behind a pointer is a source itself.
impl<T> Source<T> for Pin<Box<dyn Source<T>>> {
    #[inline]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> {
        (*self).as_mut().poll_next(cx)
    }

    fn trailing(mut self: Pin<&mut Self>) -> Trailing {
        (*self).as_mut().trailing()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (**self).size_hint()
    }
}

/// The next item of a [`Streaming`]: see [`Streaming::next`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Next<'a, T>(&'a mut Streaming<T>);

impl<T> Future for Next<'_, T> {
    type Output = Option<Result<T, Status>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        self.0.poll_item(cx)
    }
}

impl<T> fmt::Debug for Streaming<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streaming").field("ended", &self.is_terminated()).finish_non_exhaustive()
    }
}
