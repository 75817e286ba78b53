//! The health service, which every server has: how a server says that it does, or does not, want calls.
//!
//! A server that can be connected to may still not want calls: it warms up, or what it needs is gone. It says so for each
//! service, and for the whole under the empty name, and whoever watches is told at once. Names, methods and meanings are
//! those of gRPC's health checking (`grpc.health.v1`), in `proto/rpc/v1/health.proto` and in the trait here, which are the
//! same. It stands outside of the server's layers, for whoever checks has no password.
//!
//! ```
//! use rpc_core::server::health::{HealthCheckRequest, Health, HealthClient, ServingStatus};
//! use rpc_core::{Server, Status, service};
//!
//! # #[service] pub trait Greeter { async fn hello(&self, name: String) -> Result<String, Status>; }
//! # struct English;
//! # impl Greeter for English { async fn hello(&self, name: String) -> Result<String, Status> { Ok(name) } }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder().service(GreeterServer::new(English)).bind("memory://healthy").await?;
//! let health = HealthClient::connect(server.local_addr()).await?;
//! let mut watch = health.watch(HealthCheckRequest { service: "Greeter".into() }).await?;
//! assert_eq!(watch.next().await.unwrap()?.status, ServingStatus::Serving);
//!
//! server.health().set("Greeter", ServingStatus::NotServing);
//! assert_eq!(watch.next().await.unwrap()?.status, ServingStatus::NotServing);
//! # drop(watch);
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use futures_core::Stream;
use tokio::sync::watch;

use crate::call::BoxFuture;
use crate::status::Status;
use crate::stream::Streaming;
use crate::{message, service};

/// Which service is asked about.
#[message]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthCheckRequest {
    /// Its name; empty for the server as a whole.
    pub service: String,
}

/// How a service does.
#[message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheckResponse {
    /// How it does.
    pub status: ServingStatus,
}

/// Whether a service wants calls.
#[message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServingStatus {
    /// Nobody has said.
    Unknown,
    /// It does.
    Serving,
    /// It does not.
    NotServing,
    /// The server does not have it; only in what [`Health::watch`] gives, for it may come.
    ServiceUnknown,
}

/// How the services of a server do.
#[service(name = "rpc.v1.Health")]
pub trait Health {
    /// How a service does now. `NOT_FOUND` for one that the server does not have.
    #[rpc(idempotent)]
    async fn check(&self, request: HealthCheckRequest) -> Result<HealthCheckResponse, Status>;

    /// How a service does now, and each time that this changes; the newest counts. It ends when the server drains.
    async fn watch(&self, request: HealthCheckRequest) -> Result<Streaming<HealthCheckResponse>, Status>;
}

/// What the server says of its services. A clone says it of the same.
#[derive(Clone, Debug)]
pub struct Reporter(Arc<watch::Sender<Board>>);

#[derive(Clone, Debug, Default)]
struct Board {
    services: BTreeMap<String, ServingStatus>,
    /// The server goes away: nothing changes any more.
    closed: bool,
}

impl Reporter {
    /// All of these do well, and so does the whole.
    pub(crate) fn new<'a>(services: impl IntoIterator<Item = &'a str>) -> Self {
        let services = services.into_iter().chain([""]);
        let services = services.map(|name| (name.to_owned(), ServingStatus::Serving)).collect();
        Self(Arc::new(watch::Sender::new(Board { services, closed: false })))
    }

    /// Says how a service does; the empty name is the server as a whole. Once the server drains nothing changes any more.
    pub fn set(&self, service: &str, status: ServingStatus) {
        self.0.send_if_modified(|board| {
            let news = !board.closed && board.services.get(service) != Some(&status);
            if news {
                board.services.insert(service.to_owned(), status);
            }
            news
        });
    }

    /// How a service does; nothing for one that the server does not have.
    pub fn status(&self, service: &str) -> Option<ServingStatus> {
        self.0.borrow().services.get(service).copied()
    }

    /// Nothing wants calls any more, for good.
    pub(crate) fn close(&self) {
        self.0.send_modify(|board| {
            board.closed = true;
            board.services.values_mut().for_each(|status| *status = ServingStatus::NotServing);
        });
    }
}

impl Health for Reporter {
    async fn check(&self, request: HealthCheckRequest) -> Result<HealthCheckResponse, Status> {
        match self.status(&request.service) {
            Some(status) => Ok(HealthCheckResponse { status }),
            None => Err(Status::not_found(format!("no service {:?} here", request.service))),
        }
    }

    async fn watch(&self, request: HealthCheckRequest) -> Result<Streaming<HealthCheckResponse>, Status> {
        Ok(Streaming::new(Changes {
            service: request.service,
            last: None,
            ended: false,
            waiting: Some(look(self.0.subscribe())),
        }))
    }
}

/// The stream of one watch.
struct Changes {
    service: String,
    last: Option<ServingStatus>,
    ended: bool,
    /// The next look at the board. Nothing, once the reporter is gone.
    waiting: Option<BoxFuture<Option<Receiver>>>,
}

type Receiver = watch::Receiver<Board>;

/// At once.
fn look(board: Receiver) -> BoxFuture<Option<Receiver>> {
    Box::pin(std::future::ready(Some(board)))
}

/// When it has changed.
fn look_later(mut board: Receiver) -> BoxFuture<Option<Receiver>> {
    Box::pin(async move { board.changed().await.ok().map(|()| board) })
}

impl Stream for Changes {
    type Item = Result<HealthCheckResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let this = &mut *self;
            if this.ended {
                return Poll::Ready(None);
            }
            let Some(waiting) = &mut this.waiting else { return Poll::Ready(None) };
            let board = ready!(waiting.as_mut().poll(cx));
            this.waiting = None;
            let Some(mut board) = board else { continue };
            let status = {
                let board = board.borrow_and_update();
                // What it is told last is that the service does not want calls.
                this.ended = board.closed;
                board.services.get(&this.service).copied().unwrap_or(ServingStatus::ServiceUnknown)
            };
            this.waiting = Some(look_later(board));
            if this.last.replace(status) != Some(status) {
                return Poll::Ready(Some(Ok(HealthCheckResponse { status })));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Code;

    async fn next(watch: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
        watch.next().await.map(|item| item.unwrap().status)
    }

    fn of(service: &str) -> HealthCheckRequest {
        HealthCheckRequest { service: service.to_owned() }
    }

    #[tokio::test]
    async fn a_check_of_an_unknown_service_is_not_found_and_a_watch_of_it_waits_for_it() {
        let reporter = Reporter::new(["a.A"]);
        assert_eq!(reporter.check(of("")).await.unwrap().status, ServingStatus::Serving);
        assert_eq!(reporter.check(of("b.B")).await.unwrap_err().code(), Code::NotFound);
        let mut watch = Health::watch(&reporter, of("b.B")).await.unwrap();
        assert_eq!(next(&mut watch).await, Some(ServingStatus::ServiceUnknown));
        reporter.set("a.A", ServingStatus::NotServing);
        reporter.set("b.B", ServingStatus::Serving);
        assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving), "what concerns others is not told");
    }

    #[tokio::test]
    async fn the_end_is_told_and_final() {
        let reporter = Reporter::new(["a.A"]);
        let mut watch = Health::watch(&reporter, of("a.A")).await.unwrap();
        assert_eq!(next(&mut watch).await, Some(ServingStatus::Serving));
        reporter.close();
        reporter.set("a.A", ServingStatus::Serving);
        assert_eq!(next(&mut watch).await, Some(ServingStatus::NotServing));
        assert_eq!(next(&mut watch).await, None);
        assert_eq!(reporter.status("a.A"), Some(ServingStatus::NotServing));
        let mut late = Health::watch(&reporter, of("a.A")).await.unwrap();
        assert_eq!((next(&mut late).await, next(&mut late).await), (Some(ServingStatus::NotServing), None));
    }
}
