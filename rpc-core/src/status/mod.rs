//! [`Status`]: the one error that a caller of a remote method sees.
//!
//! A status says *what* went wrong ([`Code`], message, details) and, because a remote call can fail after its work was
//! done, *whether the server ran it* ([`Certainty`]). The latter is what makes a retry safe or not, so every part of
//! the framework that makes a status also decides its certainty.
//!
//! In reading order: this file ([`Status`]), `code` ([`Code`] and [`Certainty`]), `hop` ([`Hop`], of which the report of a
//! missed deadline is made).
//!
//! ```
//! use rpc_core::{Certainty, Code, Status};
//!
//! let status = Status::not_found("no user 7").with_metadata("hint", "try 8");
//! assert_eq!(status.code(), Code::NotFound);
//! assert_eq!(status.certainty(), Certainty::Unknown);
//! assert_eq!(status.to_string(), "NOT_FOUND: no user 7");
//! ```

mod code;
mod hop;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tower::load_shed::error::Overloaded;
use tower::timeout::error::Elapsed;

use crate::metadata::{InvalidName, Metadata};
pub use code::{Certainty, Code};
pub use hop::Hop;

/// The error of a call: code, message, details, and whether the server ran it.
///
/// It is one pointer wide, so that `Result<T, Status>` stays small. Certainty, retry-after and metadata describe one
/// hop: a server sets them anew as a reply leaves it, so a status that a handler received from another service can be
/// passed on with `?` and neither lies about this hop nor leaks the other service's metadata.
#[derive(Clone)]
pub struct Status(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: Code,
    certainty: Certainty,
    message: Cow<'static, str>,
    details: Vec<Detail>,
    metadata: Metadata,
    retry_after: Option<Duration>,
    hops: Vec<Hop>,
    /// Whether metadata and retry-after are a peer's, so that they must not travel further.
    from_peer: bool,
    /// The server that it happened at, where there was a choice: for a layer that tries again, which is to try another.
    origin: Option<u64>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// A typed part of an error: the name of a message type and its protobuf bytes.
///
/// `#[derive(RpcError)]` writes and reads these; most programs never touch them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The full name of the message type.
    pub type_name: String,
    /// The message in protobuf, whatever codec the call used.
    pub value: Bytes,
}

impl Status {
    /// A status of this code with a message for a human reader.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            certainty: Certainty::Unknown,
            message: message.into(),
            details: Vec::new(),
            metadata: Metadata::new(),
            retry_after: None,
            hops: Vec::new(),
            from_peer: false,
            origin: None,
            source: None,
        }))
    }

    /// What kind of failure it is.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What happened, in words for a human.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether the server ran the call.
    pub fn certainty(&self) -> Certainty {
        self.0.certainty
    }

    /// The typed parts, in the order in which they were added.
    pub fn details(&self) -> &[Detail] {
        &self.0.details
    }

    /// Metadata that the server sent with the error. Of this hop only: it does not travel further.
    pub fn metadata(&self) -> &Metadata {
        &self.0.metadata
    }

    /// How long the server asks its callers to wait before they try again. Of this hop only.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Where the time of a `DEADLINE_EXCEEDED` call went, hop by hop; empty for other codes.
    pub fn hops(&self) -> &[Hop] {
        &self.0.hops
    }

    /// Sets whether the server ran the call.
    #[must_use]
    pub fn with_certainty(mut self, certainty: Certainty) -> Self {
        self.0.certainty = certainty;
        self
    }

    /// Puts another message in the place of the one it has.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Adds a typed part.
    #[must_use]
    pub fn with_detail(mut self, type_name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.0.details.push(Detail { type_name: type_name.into(), value: value.into() });
        self
    }

    /// Adds a metadata entry; see [`Metadata::insert`] for what a name may be. A wrong name is left out.
    #[must_use]
    pub fn with_metadata(mut self, name: &str, value: impl Into<Bytes>) -> Self {
        // A status must always come into being: an entry that cannot travel is not worth losing the error for.
        let _ = self.0.metadata.insert(name, value);
        self
    }

    /// Asks callers to wait this long before they try again.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Keeps the error that caused this one, for `std::error::Error::source`. It stays in this process.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    pub(crate) fn set_certainty(&mut self, certainty: Certainty) {
        self.0.certainty = certainty;
    }

    pub(crate) fn set_metadata(&mut self, metadata: Metadata) {
        self.0.metadata = metadata;
    }

    pub(crate) fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.0.metadata
    }

    pub(crate) fn set_retry_after(&mut self, wait: Option<Duration>) {
        self.0.retry_after = wait;
    }

    /// Drops what describes the hop that the status came over, as it goes on to the next one.
    pub(crate) fn leave_hop(&mut self) {
        if self.0.from_peer {
            self.0.from_peer = false;
            self.0.metadata = Metadata::new();
            self.0.retry_after = None;
        }
    }

    pub(crate) fn origin(&self) -> Option<u64> {
        self.0.origin
    }

    pub(crate) fn set_origin(&mut self, origin: u64) {
        self.0.origin = Some(origin);
    }

    /// Marks the status as one that a peer sent.
    pub(crate) fn set_from_peer(&mut self) {
        self.0.from_peer = true;
    }

    pub(crate) fn details_mut(&mut self) -> &mut Vec<Detail> {
        &mut self.0.details
    }

    pub(crate) fn hops_mut(&mut self) -> &mut Vec<Hop> {
        &mut self.0.hops
    }

    /// The status for any error that is not one already: a [`Status`] inside comes out as it was, tower's time-out is
    /// `DEADLINE_EXCEEDED`, its load shedder's refusal is `RESOURCE_EXHAUSTED`, anything else `INTERNAL`.
    pub fn from_error(error: Box<dyn StdError + Send + Sync>) -> Self {
        let error = match error.downcast::<Self>() {
            Ok(status) => return *status,
            Err(error) => error,
        };
        let status = if error.is::<Elapsed>() {
            Self::deadline_exceeded(error.to_string())
        } else if error.is::<Overloaded>() {
            // It refuses before it hands on: nothing below has seen the call.
            Self::resource_exhausted(error.to_string()).with_certainty(Certainty::NotSent)
        } else {
            Self::internal(error.to_string())
        };
        status.with_source(error)
    }
}

macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident = $code:ident;)*) => {
        impl Status {
            $($(#[$doc])*
            pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
                Self::new(Code::$code, message)
            })*
        }
    };
}

constructors! {
    /// A [`Code::Cancelled`] status.
    cancelled = Cancelled;
    /// A [`Code::Unknown`] status.
    unknown = Unknown;
    /// A [`Code::InvalidArgument`] status.
    invalid_argument = InvalidArgument;
    /// A [`Code::DeadlineExceeded`] status.
    deadline_exceeded = DeadlineExceeded;
    /// A [`Code::NotFound`] status.
    not_found = NotFound;
    /// A [`Code::AlreadyExists`] status.
    already_exists = AlreadyExists;
    /// A [`Code::PermissionDenied`] status.
    permission_denied = PermissionDenied;
    /// A [`Code::ResourceExhausted`] status.
    resource_exhausted = ResourceExhausted;
    /// A [`Code::FailedPrecondition`] status.
    failed_precondition = FailedPrecondition;
    /// A [`Code::Aborted`] status.
    aborted = Aborted;
    /// A [`Code::OutOfRange`] status.
    out_of_range = OutOfRange;
    /// A [`Code::Unimplemented`] status.
    unimplemented = Unimplemented;
    /// A [`Code::Internal`] status.
    internal = Internal;
    /// A [`Code::Unavailable`] status.
    unavailable = Unavailable;
    /// A [`Code::DataLoss`] status.
    data_loss = DataLoss;
    /// A [`Code::Unauthenticated`] status.
    unauthenticated = Unauthenticated;
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.code.name())?;
        if !self.0.message.is_empty() {
            write!(f, ": {}", self.0.message)?;
        }
        for (index, hop) in self.0.hops.iter().enumerate() {
            f.write_str(if index == 0 { "; the time went to " } else { " > " })?;
            write!(f, "{hop}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Status");
        out.field("code", &self.0.code)
            .field("message", &self.0.message)
            .field("certainty", &self.0.certainty);
        if !self.0.details.is_empty() {
            out.field("details", &self.0.details);
        }
        if !self.0.metadata.is_empty() {
            out.field("metadata", &self.0.metadata);
        }
        if let Some(wait) = self.0.retry_after {
            out.field("retry_after", &wait);
        }
        if !self.0.hops.is_empty() {
            out.field("hops", &self.0.hops);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Status {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|source| source.as_ref() as _)
    }
}

impl From<InvalidName> for Status {
    fn from(error: InvalidName) -> Self {
        Self::invalid_argument(error.to_string()).with_certainty(Certainty::NotSent)
    }
}

impl From<std::convert::Infallible> for Status {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_boxing() {
        let boxed: Box<dyn StdError + Send + Sync> =
            Box::new(Status::aborted("lost").with_certainty(Certainty::Executed));
        let status = Status::from_error(boxed);
        assert_eq!((status.code(), status.certainty()), (Code::Aborted, Certainty::Executed));
        assert_eq!(Status::from_error("odd".into()).code(), Code::Internal);
        assert_eq!(Status::from_error(Elapsed::new().into()).code(), Code::DeadlineExceeded);
        let shed = Status::from_error(Overloaded::new().into());
        assert_eq!((shed.code(), shed.certainty()), (Code::ResourceExhausted, Certainty::NotSent));
    }

    #[test]
    fn the_budget_is_readable() {
        let mut status = Status::deadline_exceeded("after 10ms");
        status.hops_mut().push(Hop {
            method: "B/b".into(),
            budget: Duration::from_millis(10),
            queue: Some(Duration::from_millis(1)),
            handler: Some(Duration::from_millis(7)),
            elapsed: Some(Duration::from_millis(10)),
        });
        assert_eq!(
            status.to_string(),
            "DEADLINE_EXCEEDED: after 10ms; the time went to B/b (budget 10.0ms: queue 1.0ms, handler 7.0ms, network 2.0ms)"
        );
    }
}
