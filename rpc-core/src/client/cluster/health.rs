//! What a server says of its own health, as the tender of its connection follows it.
//!
//! A connection says that a process is there; only the process knows whether it wants calls. The rules are gRPC's
//! ([A17](https://github.com/grpc/proposal/blob/master/A17-client-side-health-checking.md)): until the first word the
//! server gets no calls; one that has no health service counts as well; a watch that fails is begun anew.

use std::time::Duration;

use crate::client::channel::Channel;
use crate::client::cluster::member::{Readiness, Ready};
use crate::client::endpoint::Endpoint;
use crate::server::health::{HealthCheckRequest, HealthClient, ServingStatus};
use crate::status::{Certainty, Code, Status};

/// A watch that has ended is begun anew no sooner than this.
const AGAIN: Duration = Duration::from_secs(1);

/// Follows what the server says of the service, for as long as it says anything.
pub(super) async fn follow(endpoint: &Endpoint, service: &str, readiness: &Readiness) {
    let health = HealthClient::new(Channel::over(endpoint.clone()));
    loop {
        let request = HealthCheckRequest { service: service.to_owned() };
        let failed = match health.watch(request).await {
            Ok(mut watch) => loop {
                match watch.next().await {
                    Some(Ok(word)) => readiness.set(said(service, word.status)),
                    Some(Err(status)) => break status,
                    None => break Status::unavailable("its word of its health has ended"),
                }
            },
            // It has no such service: a server of another make, or an older one.
            Err(status) if status.code() == Code::Unimplemented => {
                readiness.set(Ready::Yes);
                return std::future::pending().await;
            }
            Err(status) => status,
        };
        readiness.set(Ready::No(failed.with_certainty(Certainty::NotSent)));
        tokio::time::sleep(AGAIN).await;
    }
}

fn said(service: &str, status: ServingStatus) -> Ready {
    if status == ServingStatus::Serving {
        return Ready::Yes;
    }
    let message = format!("the server says of {service:?}: {status:?}");
    Ready::No(Status::unavailable(message).with_certainty(Certainty::NotSent))
}
