//! [`HealthWatch`]: whether a server wants calls, as its health service says.
//!
//! ```
//! use rpc_core::client::health::HealthWatch;
//! use rpc_core::discovery::State;
//! use rpc_core::server::health::ServingStatus;
//! use rpc_core::{Channel, Server};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder().bind("memory://watched").await?;
//! // The empty name is the server as a whole.
//! let mut watch = HealthWatch::new(Channel::builder(server.local_addr()).build()?, "");
//! assert_eq!(watch.changed().await, State::Up);
//! server.health().set("", ServingStatus::NotServing);
//! assert_eq!(watch.changed().await, State::Down);
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::pending;
use std::time::{Duration, Instant};

use crate::client::Channel;
use crate::context::{now, sleep_until};
use crate::discovery::State;
use crate::server::health::{HealthCheckRequest, HealthCheckResponse, HealthClient, ServingStatus};
use crate::status::{Code, Status};
use crate::stream::Streaming;

/// One call lasts no longer than this; then it is made again.
const LAST: Duration = Duration::from_secs(86_400);

/// After the first call that failed it is made again in this time, then in 1.6 times as much, up to [`MOST`].
const FIRST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(30);

/// Whether one server wants calls for one service.
///
/// A server without a health service is taken to be well. One that cannot be asked is not, and is asked again, at growing
/// intervals. The channel is to be that of one server, for a name stands for many. It should be the watch's own where its
/// pool is exclusive: a watch has its connection for as long as it lasts.
pub struct HealthWatch {
    client: HealthClient,
    service: String,
    stream: Option<Streaming<HealthCheckResponse>>,
    /// What was said last.
    said: Option<State>,
    failures: u32,
    /// When to ask again.
    retry_at: Option<Instant>,
    /// The server has no such service, so nothing will change.
    is_silent: bool,
}

impl HealthWatch {
    /// Watches this service of the server that the channel goes to; the empty name is the server as a whole.
    pub fn new(channel: Channel, service: impl Into<String>) -> Self {
        let (client, service) = (HealthClient::new(channel), service.into());
        Self { client, service, stream: None, said: None, failures: 0, retry_at: None, is_silent: false }
    }

    /// Waits until the server is known to want calls, or not to, or until that has changed.
    ///
    /// # Cancel safety
    /// It can be dropped and called again at any time; nothing is lost.
    pub async fn changed(&mut self) -> State {
        loop {
            let state = self.next().await;
            if self.said.replace(state) != Some(state) {
                return state;
            }
        }
    }

    async fn next(&mut self) -> State {
        if self.is_silent {
            return pending().await;
        }
        if let Some(at) = self.retry_at {
            sleep_until(at).await;
            self.retry_at = None;
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let request = HealthCheckRequest { service: self.service.clone() };
                match self.client.watch(request).timeout(LAST).await {
                    Ok(stream) => self.stream.insert(stream),
                    Err(status) => return self.failed(&status),
                }
            }
        };
        match stream.next().await {
            Some(Ok(HealthCheckResponse { status: ServingStatus::Serving })) => {
                self.failures = 0;
                State::Up
            }
            Some(Ok(_)) => {
                self.failures = 0;
                State::Down
            }
            Some(Err(status)) => self.failed(&status),
            None => self.failed(&Status::unavailable("the server goes away")),
        }
    }

    fn failed(&mut self, status: &Status) -> State {
        self.stream = None;
        let state = self.state_after(status);
        if self.failures > 0 {
            let factor = 1.6_f64.powi(i32::try_from(self.failures.min(16)).unwrap_or(16) - 1);
            let rest = FIRST.mul_f64(factor).min(MOST).mul_f64(0.8 + 0.4 * fastrand::f64());
            self.retry_at = Some(now() + rest);
        }
        state
    }

    fn state_after(&mut self, status: &Status) -> State {
        match status.code() {
            Code::Unimplemented => {
                tracing::info!(%status, "the server has no health service, and is taken to be well");
                self.is_silent = true;
                State::Up
            }
            // The call has lasted long enough: nothing is known to have changed.
            Code::DeadlineExceeded if self.said.is_some() && self.failures == 0 => {
                self.failures = 1;
                self.said.unwrap_or(State::Down)
            }
            _ => {
                self.failures = self.failures.saturating_add(1);
                State::Down
            }
        }
    }
}

impl fmt::Debug for HealthWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthWatch")
            .field("service", &self.service)
            .field("said", &self.said)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Server, service};

    /// A health service of an older kind: without a watch.
    #[service(name = "rpc.v1.Health")]
    trait Old {
        async fn check(&self, request: HealthCheckRequest) -> Result<HealthCheckResponse, Status>;
    }

    struct Checked;

    impl Old for Checked {
        async fn check(&self, _: HealthCheckRequest) -> Result<HealthCheckResponse, Status> {
            Ok(HealthCheckResponse { status: ServingStatus::NotServing })
        }
    }

    fn watch(address: &str, service: &str) -> HealthWatch {
        HealthWatch::new(Channel::builder(address).build().unwrap(), service)
    }

    #[tokio::test]
    async fn a_server_that_cannot_be_watched_is_well() {
        let _server =
            Server::builder().service(OldServer::new(Checked)).bind("memory://old-health").await.unwrap();
        let mut watch = watch("memory://old-health", "");
        assert_eq!(watch.changed().await, State::Up);
        assert!(tokio::time::timeout(Duration::from_millis(50), watch.changed()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_gone_is_down_until_it_is_back() {
        let mut watch = watch("memory://health-back", "");
        assert_eq!(watch.changed().await, State::Down);
        let server = Server::builder().bind("memory://health-back").await.unwrap();
        assert_eq!(watch.changed().await, State::Up);
        let draining = tokio::spawn(server.drain(Duration::from_secs(5)));
        assert_eq!(watch.changed().await, State::Down);
        assert!(draining.await.unwrap().is_clean());
    }

    #[tokio::test]
    async fn a_service_that_the_server_does_not_have_is_down() {
        let server = Server::builder().bind("memory://health-unknown").await.unwrap();
        let mut watch = watch("memory://health-unknown", "no.Such");
        assert_eq!(watch.changed().await, State::Down);
        server.health().set("no.Such", ServingStatus::Serving);
        assert_eq!(watch.changed().await, State::Up);
    }
}
