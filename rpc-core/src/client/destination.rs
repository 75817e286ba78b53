//! [`Destination`]: where a channel's calls go, below all of its layers.

use std::fmt;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use tower::Service;

use crate::balance::{self, InFlight, Outcome};
use crate::call::{Request, Response};
use crate::client::channel::Snapshot;
use crate::client::cluster::member::Member;
use crate::client::cluster::{Cluster, Wish};
use crate::client::endpoint::{Endpoint, Line};
use crate::client::exchange::EndpointCall;
use crate::context::now;
use crate::status::{Certainty, Status};

/// Where a channel's calls go, as a service: what its layers stand on. One server, or the many behind a name.
///
/// Each call that passes layers clones it twice, so that is one count, whichever it is.
#[derive(Clone)]
pub struct Destination(Arc<Kind>);

enum Kind {
    One(Endpoint),
    Many(Cluster),
}

/// The server that a call goes to, where there is a choice, and the call's place among those under way there.
pub(crate) struct Chosen {
    member: Arc<Member>,
    load: InFlight,
}

/// Where a call that had to wait goes.
pub(crate) struct Connected {
    /// `None` where there is no choice.
    pub(crate) at: Option<Chosen>,
    pub(crate) line: Line,
}

impl Chosen {
    pub(crate) fn new(member: Arc<Member>, load: InFlight) -> Self {
        Self { member, load }
    }

    #[inline]
    pub(crate) fn endpoint(&self) -> &Endpoint {
        self.member.endpoint()
    }

    /// Stands for the server, where a call notes whom it has tried.
    pub(crate) fn mark(&self) -> u64 {
        self.member.mark()
    }

    /// The call succeeded.
    #[inline]
    pub(crate) fn succeeded(self) {
        self.load.finish(now(), Outcome::Success);
    }

    /// The call failed; what that says of the server, the balancer knows. The status notes where it was, for a layer
    /// above that tries again elsewhere.
    #[cold]
    pub(crate) fn failed(self, status: &mut Status) {
        status.set_origin(self.member.mark());
        self.load.finish(now(), balance::outcome::of_status(status));
        self.member.failed();
    }
}

impl Destination {
    pub(crate) fn one(endpoint: Endpoint) -> Self {
        Self(Arc::new(Kind::One(endpoint)))
    }

    pub(crate) fn many(cluster: Cluster) -> Self {
        Self(Arc::new(Kind::Many(cluster)))
    }

    /// The server, where there is no choice.
    #[inline]
    pub(crate) fn only(&self) -> Option<&Endpoint> {
        match &*self.0 {
            Kind::One(endpoint) => Some(endpoint),
            Kind::Many(_) => None,
        }
    }

    /// A server for this call, where there is a choice, and one can be named without waiting.
    #[inline]
    pub(crate) fn choose(&self, request: &Request) -> Option<Chosen> {
        match &*self.0 {
            Kind::One(_) => None,
            Kind::Many(cluster) => cluster.choose(request),
        }
    }

    /// A connection for this call, as soon as there is one.
    ///
    /// # Errors
    /// Why there is none, unless the call waits for one: then it waits for ever, and its caller keeps the deadline.
    pub(crate) async fn connected(&self, wish: Wish) -> Result<Connected, Status> {
        match &*self.0 {
            Kind::One(endpoint) => {
                endpoint.connected(wish.wait).await.map(|line| Connected { at: None, line })
            }
            Kind::Many(cluster) => cluster.connected(wish).await,
        }
    }

    /// The error of a call whose time was up while it waited for a connection: with the reason why there was none.
    #[cold]
    pub(crate) fn not_in_time(&self, status: Status) -> Status {
        let reason = match &*self.0 {
            Kind::One(endpoint) => endpoint.reason(),
            Kind::Many(cluster) => cluster.reason(),
        };
        let message = format!("{}: {reason}", status.message());
        status.with_message(message).with_certainty(Certainty::NotSent)
    }

    /// Whether a call that failed at one server may find another here.
    pub(crate) fn has_others(&self) -> bool {
        matches!(*self.0, Kind::Many(_))
    }

    /// Waits until there is a server that has shown that it speaks the protocol.
    pub(crate) async fn ready(&self) -> Result<(), Status> {
        match &*self.0 {
            Kind::One(endpoint) => endpoint.established().await.map(drop),
            Kind::Many(cluster) => cluster.ready().await,
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        match &*self.0 {
            Kind::One(endpoint) => endpoint.snapshot(),
            Kind::Many(cluster) => cluster.snapshot(),
        }
    }
}

impl Service<Request> for Destination {
    type Response = Response;
    type Error = Status;
    type Future = EndpointCall;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request) -> EndpointCall {
        EndpointCall::new(self.clone(), request)
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::One(endpoint) => endpoint.fmt(f),
            Kind::Many(cluster) => cluster.fmt(f),
        }
    }
}
