//! [`Sender`]: feeds a stream by hand.

use std::fmt;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use tokio::sync::mpsc;

use crate::metadata::Metadata;
use crate::status::Status;
use crate::stream::source::{Source, Trailing};

/// Feeds the stream that [`Streaming::channel`](crate::Streaming::channel) made it with.
///
/// A clone feeds the same stream, which ends when the last one is gone.
///
/// ```
/// use rpc_core::Streaming;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rpc_core::Status> {
/// let (sender, mut numbers) = Streaming::channel(8);
/// sender.send(1).await?;
/// drop(sender);
/// assert_eq!(numbers.next().await.transpose()?, Some(1));
/// assert_eq!(numbers.next().await.transpose()?, None);
/// # Ok(())
/// # }
/// ```
pub struct Sender<T>(mpsc::Sender<Fed<T>>);

/// What a sender puts into its stream.
enum Fed<T> {
    Item(T),
    Failed(Status),
    Finished(Metadata),
}

/// The stream has nobody who reads it any more: its reader dropped it, or the call that it was part of is over. Holds
/// what was not sent.
///
/// As a [`Status`], which `?` makes of it, it is `CANCELLED`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Gone<T>(pub T);

impl<T> fmt::Debug for Gone<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gone")
    }
}

impl<T> fmt::Display for Gone<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the stream any more")
    }
}

impl<T> std::error::Error for Gone<T> {}

impl<T> From<Gone<T>> for Status {
    fn from(gone: Gone<T>) -> Self {
        Self::cancelled(gone.to_string())
    }
}

pub(super) fn channel<T: Send + 'static>(room: usize) -> (Sender<T>, impl Source<T> + 'static) {
    let (sender, receiver) = mpsc::channel(room.clamp(1, tokio::sync::Semaphore::MAX_PERMITS));
    (Sender(sender), Feed { receiver, trailing: Metadata::new() })
}

impl<T> Sender<T> {
    /// Sends an item; waits while there is no room for it.
    ///
    /// # Errors
    /// [`Gone`] if nobody reads the stream any more.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is complete, the item is not sent.
    pub async fn send(&self, item: T) -> Result<(), Gone<T>> {
        // A place first, so that the item stays here if there is none.
        match self.0.reserve().await {
            Ok(place) => {
                place.send(Fed::Item(item));
                Ok(())
            }
            Err(_) => Err(Gone(item)),
        }
    }

    /// Ends the stream with an error, after the items that wait; waits while there is no room for it.
    ///
    /// # Errors
    /// [`Gone`] if nobody reads the stream any more.
    ///
    /// # Cancel safety
    /// If the future is dropped before it is complete, the error is not sent, and the stream ends without one if this was
    /// its last sender.
    pub async fn fail(self, status: Status) -> Result<(), Gone<()>> {
        self.0.send(Fed::Failed(status)).await.map_err(|_| Gone(()))
    }

    /// Ends the stream, after the items that wait, with metadata behind the last of them; waits while there is no room for
    /// it. To end it without metadata, drop the sender.
    ///
    /// # Errors
    /// [`Gone`] if nobody reads the stream any more.
    ///
    /// # Cancel safety
    /// As that of [`fail`](Self::fail).
    pub async fn finish(self, trailing: Metadata) -> Result<(), Gone<()>> {
        self.0.send(Fed::Finished(trailing)).await.map_err(|_| Gone(()))
    }

    /// Waits until nobody reads the stream any more: then there is no use in finding more items for it.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn gone(&self) {
        self.0.closed().await;
    }

    /// Whether nobody reads the stream any more.
    pub fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

// Not derived: a derive would ask the item for it.
impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("room", &self.0.capacity()).finish_non_exhaustive()
    }
}

/// The stream's end of the channel.
struct Feed<T> {
    receiver: mpsc::Receiver<Fed<T>>,
    trailing: Metadata,
}

impl<T> Unpin for Feed<T> {}

impl<T: Send> Source<T> for Feed<T> {
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<T, Status>>> {
        Poll::Ready(match ready!(self.receiver.poll_recv(cx)) {
            Some(Fed::Item(item)) => Some(Ok(item)),
            Some(Fed::Failed(status)) => Some(Err(status)),
            Some(Fed::Finished(trailing)) => {
                self.trailing = trailing;
                None
            }
            None => None,
        })
    }

    fn trailing(mut self: Pin<&mut Self>) -> Trailing {
        Trailing { metadata: std::mem::take(&mut self.trailing), from_peer: false }
    }
}
