//! [`Response`]: a successful reply on its way from the handler back to the caller.

use std::time::Duration;

use bytes::Bytes;

use crate::metadata::Metadata;

/// A reply going up: encoded body and metadata. An error goes up as a [`Status`](crate::Status) instead.
#[derive(Clone, Debug, Default)]
pub struct Response {
    body: Bytes,
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
        Self { body: body.into(), metadata: Metadata::new(), timings: Timings::default() }
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
