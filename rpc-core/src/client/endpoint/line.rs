//! [`Line`]: how a call waits for a connection, and what it has to give back for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Endpoint, Step};
use crate::call::race::{Either, race};
use crate::client::pool::Connection;
use crate::context::now;
use crate::status::{Certainty, Status};
use crate::transport::link::Link;

/// A connection for a call.
pub(crate) struct Line {
    pub(crate) link: Arc<Link>,
    /// Where the call has it for itself: its place, given back when this is dropped.
    pub(crate) lease: Option<Box<Lease>>,
}

/// A connection that a call has for itself.
pub(crate) struct Lease {
    endpoint: Endpoint,
    link: Arc<Link>,
    /// The next in line gets it once the connection is back.
    place: Option<OwnedSemaphorePermit>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.endpoint.0.lock().shelf.put_back(&self.link, now());
        self.endpoint.0.changed.notify_waiters();
    }
}

impl Endpoint {
    /// A connection that takes calls, when there is one.
    ///
    /// # Errors
    /// Why there is none, unless `wait` is set: then it waits for ever, and its caller keeps the deadline. In an
    /// exclusive pool: `RESOURCE_EXHAUSTED` if none was free in time.
    pub(crate) async fn connected(&self, wait: bool) -> Result<Line, Status> {
        let place = match &self.0.line {
            Some(line) => Some(self.place(line.clone()).await?),
            None => None,
        };
        self.connected_at(place, wait).await
    }

    /// The same for who has a place in the line, where there is one.
    async fn connected_at(
        &self,
        mut place: Option<OwnedSemaphorePermit>,
        wait: bool,
    ) -> Result<Line, Status> {
        // An error that is older than this call is only reported while the next attempt must wait.
        loop {
            let changed = self.0.changed.notified();
            let rest = match self.0.step(now()) {
                Step::Ready(link) => {
                    let lease = place.take().map(|place| {
                        let (endpoint, link) = (self.clone(), link.clone());
                        Box::new(Lease { endpoint, link, place: Some(place) })
                    });
                    // A call that is in no hurry goes only where a server has shown itself: a proxy before a server
                    // that is away accepts, and closes, and nobody can tell who has read the call.
                    if wait && link.established().await.is_err() {
                        place = lease.and_then(|mut lease| lease.place.take());
                        continue;
                    }
                    return Ok(Line { link, lease });
                }
                Step::Wait => None,
                Step::Rest(until, _) if wait => Some(until),
                Step::Rest(_, status) | Step::Never(status) => return Err(status),
            };
            match rest {
                None => changed.await,
                // Whatever ends the rest early is looked at in the next round.
                Some(until) => drop(tokio::time::timeout_at(until.into(), changed).await),
            }
        }
    }

    /// A place in the line of an exclusive pool.
    async fn place(&self, line: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Status> {
        if let Ok(place) = line.clone().try_acquire_owned() {
            return Ok(place);
        }
        let began = now();
        let waiting = Waiting::new(&self.0.waiting);
        let limit = self.0.making().and_then(|making| making.pool.acquire_timeout);
        let place = match limit {
            Some(limit) => tokio::time::timeout(limit, line.acquire_owned()).await.ok(),
            None => Some(line.acquire_owned().await),
        };
        drop(waiting);
        let place = place.and_then(Result::ok);
        let took = now().saturating_duration_since(began);
        self.0.lock().shelf.waited(took, place.is_some());
        place.ok_or_else(|| {
            Status::resource_exhausted(format!(
                "all connections to {} were in use for {took:.1?}: allow more with pool::Config::max_connections, or a \
                 longer wait with acquire_timeout",
                self.0.other
            ))
            .with_certainty(Certainty::NotSent)
        })
    }

    /// Waits until the server has shown that it speaks the protocol.
    pub(crate) async fn established(&self) -> Result<Arc<Link>, Status> {
        let link = match &self.0.line {
            Some(line) => self.seen(line).await?,
            None => self.connected(false).await?.link,
        };
        link.established().await.map_err(|error| self.0.unreachable(&error))?;
        Ok(link)
    }

    /// A connection of an exclusive pool for who only looks at it: one that is in use will do. All being in use for long
    /// says nothing against the server, so there is no limit to this but their ends.
    async fn seen(&self, line: &Arc<Semaphore>) -> Result<Arc<Link>, Status> {
        loop {
            let changed = self.0.changed.notified();
            let known = self.0.lock().shelf.connections().find(|link| link.is_usable()).cloned();
            if let Some(link) = known {
                return Ok(link);
            }
            if let Either::First(place) = race(line.clone().acquire_owned(), changed).await {
                return Ok(self.connected_at(place.ok(), false).await?.link);
            }
        }
    }
}

/// One of those who wait, for the count.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
