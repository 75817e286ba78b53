//! [`Response`]: a successful reply on its way from the handler back to the caller.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::metadata::Metadata;
use crate::stream::Streaming;

/// A reply going up: encoded body and metadata, or a stream of encoded items. An error goes up as a
/// [`Status`](crate::Status) instead.
#[derive(Debug, Default)]
pub struct Response {
    pub(crate) body: Bytes,
    // In a box: most replies have none.
    pub(crate) stream: Option<Box<Streaming<Bytes>>>,
    pub(crate) metadata: Metadata,
    pub(crate) took: Took,
}

/// What a call took: its [`Timings`] before they are reckoned, for hardly any caller asks for them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Took {
    /// As the server told it, in microseconds.
    pub(crate) queue: u64,
    pub(crate) handler: u64,
    /// When the request was handed to the connection, and when the answer came; `None` on the server.
    pub(crate) span: Option<(Instant, Instant)>,
}

impl Took {
    pub(crate) fn timings(&self) -> Timings {
        let (queue, handler) = (Duration::from_micros(self.queue), Duration::from_micros(self.handler));
        let whole = self.span.map_or(Duration::ZERO, |(from, to)| to.saturating_duration_since(from));
        Timings { queue, handler, network: whole.saturating_sub(queue).saturating_sub(handler) }
    }
}

/// Where the time of a call went, as its server tells it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timings {
    /// Between the request's first byte and the first poll of its handler.
    pub queue: Duration,
    /// In the handler, calls to further services included.
    pub handler: Duration,
    /// The rest of the time as the client saw it; zero on the server.
    pub network: Duration,
}

impl Response {
    /// A reply with this encoded body and no metadata.
    pub fn new(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::default() }
    }

    /// A reply that is a stream of encoded items.
    pub fn streaming(mut items: Streaming<Bytes>) -> Self {
        let metadata = items.take_metadata();
        Self { stream: Some(Box::new(items)), metadata, ..Self::default() }
    }

    /// Whether the reply is a stream. Then what the call holds is to be held until that has ended.
    pub fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Puts a layer's own stream round the items, if the reply is a stream.
    #[must_use]
    pub fn map_stream(mut self, change: impl FnOnce(Streaming<Bytes>) -> Streaming<Bytes>) -> Self {
        self.stream = self.stream.map(|items| Box::new(change(*items)));
        self
    }

    /// Keeps something until the reply is complete: until its stream has ended or is dropped, if it is one. Otherwise it
    /// is dropped at once.
    #[must_use]
    pub fn holding(self, held: impl Send + 'static) -> Self {
        self.map_stream(|items| items.holding(held))
    }

    /// The encoded items, taken out, if the reply is a stream.
    pub fn take_stream(&mut self) -> Option<Streaming<Bytes>> {
        self.stream.take().map(|items| *items)
    }

    /// The encoded reply message.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The encoded reply message, taken out.
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// Body, metadata, and what the call took.
    #[inline]
    pub(crate) fn into_parts(self) -> (Bytes, Metadata, Took) {
        (self.body, self.metadata, self.took)
    }

    /// The metadata that travels with the reply.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The metadata, to be changed.
    pub fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// Where the time went.
    pub fn timings(&self) -> Timings {
        self.took.timings()
    }
}
