//! [`Builder`] and [`Picker`]: what a balancing policy is. A policy of your own implements these two.
//!
//! The split is gRPC's: what is slow (tables, sorting) is done once for each change of the list, what is left for each
//! call is a look at an immutable picker. A picker keeps what changes in atomics, so that many threads can ask it at
//! once.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use rpc_core::balance::{Builder, Endpoint, Pick, Picker};
//!
//! /// Always the first that has not been tried.
//! #[derive(Debug)]
//! struct First;
//!
//! #[derive(Debug)]
//! struct FirstPicker(usize);
//!
//! impl Builder for First {
//!     fn name(&self) -> &'static str {
//!         "first"
//!     }
//!
//!     fn build(&self, endpoints: &[Endpoint], _: Option<&dyn Picker>, _: Instant) -> Arc<dyn Picker> {
//!         Arc::new(FirstPicker(endpoints.len()))
//!     }
//! }
//!
//! impl Picker for FirstPicker {
//!     fn pick(&self, call: &Pick<'_>) -> Option<usize> {
//!         call.untried(0, self.0)
//!     }
//! }
//! ```

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

use crate::balance::endpoint::Endpoint;
use crate::metadata::Metadata;

/// Makes pickers: one for each state of the list.
pub trait Builder: Send + Sync + Debug + 'static {
    /// What the policy is called, for people: `"round_robin"`.
    fn name(&self) -> &'static str;

    /// Which of these to know at all, as ascending indices; `None` for all of them. Asked with the whole list, before
    /// connections are made: what is left out gets none.
    fn narrow(&self, endpoints: &[Endpoint]) -> Option<Vec<usize>> {
        let _ = endpoints;
        None
    }

    /// A picker over these endpoints, all of which may be chosen. `previous` is the picker that this one follows; a
    /// policy that keeps a position takes it over from there, by `previous.downcast_ref`.
    fn build(&self, endpoints: &[Endpoint], previous: Option<&dyn Picker>, now: Instant) -> Arc<dyn Picker>;
}

/// Chooses an endpoint for each call.
pub trait Picker: Any + Send + Sync + Debug {
    /// The index, into the endpoints given at [`Builder::build`], of the one that gets this call. `None` only if there
    /// is nobody who can take it, whatever was tried before. It must not block.
    fn pick(&self, call: &Pick<'_>) -> Option<usize>;
}

impl dyn Picker {
    /// This picker as the type that it is, for a builder that knows its own.
    pub fn downcast_ref<P: Picker>(&self) -> Option<&P> {
        (self as &dyn Any).downcast_ref()
    }
}

impl<B: Builder + ?Sized> Builder for Arc<B> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn narrow(&self, endpoints: &[Endpoint]) -> Option<Vec<usize>> {
        (**self).narrow(endpoints)
    }

    fn build(&self, endpoints: &[Endpoint], previous: Option<&dyn Picker>, now: Instant) -> Arc<dyn Picker> {
        (**self).build(endpoints, previous, now)
    }
}

/// What a picker is told of a call.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Pick<'a> {
    /// The time.
    pub now: Instant,
    /// What a consistent-hash policy goes by: calls of one key go to one endpoint.
    pub key: Option<u64>,
    /// The call's metadata, where a key may be if there is none here.
    pub metadata: Option<&'a Metadata>,
    /// Whom this call has tried before, as indices. A picker avoids them if there is anybody else.
    pub tried: &'a [usize],
}

impl<'a> Pick<'a> {
    /// A call without a key that has tried nobody.
    pub fn new(now: Instant) -> Self {
        Self { now, key: None, metadata: None, tried: &[] }
    }

    /// The same call, with this key.
    #[must_use]
    pub fn with_key(mut self, key: Option<u64>) -> Self {
        self.key = key;
        self
    }

    /// The same call, with this metadata.
    #[must_use]
    pub fn with_metadata(mut self, metadata: &'a Metadata) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// The same call, that has tried these.
    #[must_use]
    pub fn with_tried(mut self, tried: &'a [usize]) -> Self {
        self.tried = tried;
        self
    }

    /// Whether the call has tried this endpoint.
    #[inline]
    pub fn has_tried(&self, index: usize) -> bool {
        self.tried.contains(&index)
    }

    /// The first of `count` endpoints, from `start` on and round the end, that the call has not tried; `start` if it
    /// has tried all of them. `None` if `count` is 0.
    #[inline]
    pub fn untried(&self, start: usize, count: usize) -> Option<usize> {
        if count == 0 {
            return None;
        }
        let start = if start < count { start } else { start % count };
        if self.tried.is_empty() {
            return Some(start);
        }
        // One of the first `tried + 1` places is free, if any is.
        let places = (start..count).chain(0..start).take(self.tried.len() + 1);
        Some(places.into_iter().find(|&index| !self.has_tried(index)).unwrap_or(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untried_goes_round_the_end_and_falls_back_to_the_start() {
        let pick = Pick::new(Instant::now());
        assert_eq!(pick.untried(0, 0), None);
        assert_eq!(pick.untried(7, 3), Some(1));
        assert_eq!(pick.with_tried(&[2, 0]).untried(2, 3), Some(1));
        assert_eq!(pick.with_tried(&[2, 0, 1]).untried(2, 3), Some(2));
        assert_eq!(pick.with_tried(&[9, 9, 9]).untried(2, 3), Some(2));
    }
}
