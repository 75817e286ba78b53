//! [`Response`]: a successful reply on its way from the handler back to the caller.

use std::time::Duration;

use bytes::Bytes;

use crate::metadata::Metadata;
use crate::stream::Streaming;

/// A reply going up: encoded body and metadata, or a stream of encoded items. An error goes up as a
/// [`Status`](crate::Status) instead.
#[derive(Debug, Default)]
pub struct Response {
    body: Bytes,
    // In a box: most replies have none.
    stream: Option<Box<Streaming<Bytes>>>,
    pub(crate) metadata: Metadata,
    pub(crate) timings: Timings,
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

    /// Body, metadata, timings.
    pub(crate) fn into_parts(self) -> (Bytes, Metadata, Timings) {
        (self.body, self.metadata, self.timings)
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
        self.timings
    }
}
