//! [`Source`]: what a stream is made of; and the sources that are made of what users have.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::context::{Context, poll_in};
use crate::metadata::Metadata;
use crate::status::Status;
use crate::stream::streaming::IntoItem;

/// Gives the items of a stream. It is dropped after its end, which an error is as well.
pub(crate) trait Source<T>: Send {
    /// The next item.
    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>>;

    /// The metadata behind the items. Asked for once, after the end.
    fn trailing(self: Pin<&mut Self>) -> Trailing {
        Trailing::default()
    }

    /// At least and at most how many items there are.
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, None)
    }
}

/// Metadata behind the items of a stream.
#[derive(Debug, Default)]
pub(crate) struct Trailing {
    pub(crate) metadata: Metadata,
    /// Whether a peer sent it: then it is for the reader of this stream, and not for whom the items are passed on to.
    pub(crate) from_peer: bool,
}

pin_project! {
    /// A stream of the user's.
    pub(crate) struct FromStream<S> {
        #[pin]
        pub(crate) stream: S,
    }
}

impl<T, S> Source<T> for FromStream<S>
where
    S: Stream<Item: IntoItem<T>> + Send,
{
    fn poll_next(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> {
        self.project().stream.poll_next(cx).map(|item| item.map(IntoItem::into_item))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}

/// An iterator of the user's.
pub(crate) struct FromIter<I>(pub(crate) I);

// Nothing in it is ever pinned.
impl<I> Unpin for FromIter<I> {}

impl<T, I> Source<T> for FromIter<I>
where
    I: Iterator<Item: IntoItem<T>> + Send,
{
    fn poll_next(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> {
        Poll::Ready(self.0.next().map(IntoItem::into_item))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

/// A stream whose items are made into others.
pub(crate) struct Map<A, F> {
    pub(crate) inner: Pin<Box<dyn Source<A>>>,
    pub(crate) change: F,
}

impl<A, F> Unpin for Map<A, F> {}

impl<A, B, F> Source<B> for Map<A, F>
where
    F: FnMut(A) -> B + Send,
{
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<B, Status>>> {
        let this = &mut *self;
        let item = ready!(this.inner.as_mut().poll_next(cx));
        Poll::Ready(item.map(|item| item.map(&mut this.change)))
    }

    fn trailing(mut self: Pin<&mut Self>) -> Trailing {
        self.inner.as_mut().trailing()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

/// A stream with metadata of the user's behind it.
pub(crate) struct WithTrailing<S, F> {
    pub(crate) inner: S,
    pub(crate) trailing: Option<F>,
}

impl<S, F> Unpin for WithTrailing<S, F> {}

impl<T, S, F> Source<T> for WithTrailing<S, F>
where
    S: Source<T> + Unpin,
    F: FnOnce() -> Metadata + Send,
{
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> {
        Pin::new(&mut self.inner).poll_next(cx)
    }

    fn trailing(mut self: Pin<&mut Self>) -> Trailing {
        let metadata = self.trailing.take().map(|make| make()).unwrap_or_default();
        Trailing { metadata, from_peer: false }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

/// No items.
pub(crate) struct Nothing;

impl<T> Source<T> for Nothing {
    fn poll_next(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> {
        Poll::Ready(None)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(0))
    }
}

/// A stream that keeps something until it has ended or is dropped: the permit of a layer, say.
pub(crate) struct Holding<S, G> {
    pub(crate) inner: S,
    pub(crate) held: Option<G>,
}

impl<S, G> Unpin for Holding<S, G> {}

impl<T, S, G> Source<T> for Holding<S, G>
where
    S: Source<T> + Unpin,
    G: Send,
{
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> {
        let item = ready!(Pin::new(&mut self.inner).poll_next(cx));
        if !matches!(item, Some(Ok(_))) {
            self.held = None;
        }
        Poll::Ready(item)
    }

    fn trailing(mut self: Pin<&mut Self>) -> Trailing {
        Pin::new(&mut self.inner).trailing()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

/// A stream that is asked for items, and dropped, in this context.
pub(crate) struct Within<S> {
    pub(crate) context: Context,
    // `None` only while it is dropped.
    pub(crate) inner: Option<S>,
}

impl<S> Unpin for Within<S> {}

impl<T, S: Source<T> + Unpin> Source<T> for Within<S> {
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> {
        let Self { context, inner } = &mut *self;
        poll_in(context, || match inner {
            Some(inner) => Pin::new(inner).poll_next(cx),
            None => Poll::Ready(None),
        })
    }

    fn trailing(mut self: Pin<&mut Self>) -> Trailing {
        let Self { context, inner } = &mut *self;
        poll_in(context, || inner.as_mut().map(|inner| Pin::new(inner).trailing()).unwrap_or_default())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, Some(0)), Source::size_hint)
    }
}

impl<S> Drop for Within<S> {
    fn drop(&mut self) {
        let inner = self.inner.take();
        poll_in(&mut self.context, || drop(inner));
    }
}

/// How a layer asks the stream inside of it for the next item.
pub(crate) type Ask<'a, T> = &'a mut dyn FnMut(&mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>>;

/// A stream with something of a layer's round each time that it is asked for an item.
pub(crate) struct Around<S, F> {
    pub(crate) inner: S,
    pub(crate) around: F,
}

impl<S, F> Unpin for Around<S, F> {}

impl<T, S, F> Source<T> for Around<S, F>
where
    S: Source<T> + Unpin,
    F: FnMut(Ask<'_, T>, &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> + Send,
{
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> {
        let Self { inner, around } = &mut *self;
        around(&mut |cx| Pin::new(&mut *inner).poll_next(cx), cx)
    }

    fn trailing(mut self: Pin<&mut Self>) -> Trailing {
        Pin::new(&mut self.inner).trailing()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
