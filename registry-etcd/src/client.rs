//! [`Client`]: the members of an etcd cluster as one, with fail-over and a limit for every wait.
//!
//! `etcd-client` balances over several members, but goes on sending to one that refuses connections, and a stream that
//! ended stays ended. So this one talks to one member at a time, and to the next one as soon as that fails:
//!
//! ```text
//!            a call                 it answered
//!    none ------------> connecting ------------> member n
//!      ^                    |                       |
//!      |  no answer in time, no connection, or      |
//!      +---- it has no leader: n becomes n + 1 <----+
//! ```
//!
//! A connection that failed is thrown away with everything that was on it: whoever had a stream there notices by itself.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use etcd_client::{ConnectOptions, Error};
use rpc_core::{Certainty, Code, Status};
use tokio::time::timeout;

use crate::stats::Counters;

/// How many bytes an answer may have. A list that is longer is asked for in smaller pieces.
const MAX_ANSWER: usize = 16 << 20;

/// Why a request to etcd failed, as far as that makes a difference here.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The member did not answer: no connection, no leader, no time. Whether the request was carried out is not known.
    Unreachable(String),
    /// The lease that the request names has run out, or was revoked.
    LeaseGone,
    /// What was asked for was compacted meanwhile.
    Compacted,
    /// The answer has more bytes than are read.
    TooLarge,
    /// It was refused, and would be again: credentials, permissions, an argument.
    Refused(Code, String),
}

/// The members of a cluster. A clone is the same client.
#[derive(Clone)]
pub(crate) struct Client(Arc<Shared>);

struct Shared {
    endpoints: Vec<String>,
    options: ConnectOptions,
    timeout: Duration,
    current: Mutex<Current>,
    counters: Arc<Counters>,
}

/// Which member is talked to.
#[derive(Default)]
struct Current {
    endpoint: usize,
    /// Counts the connections, so that a failure ends the one that it was on and not its successor.
    connection: u64,
    client: Option<etcd_client::Client>,
}

impl Client {
    /// A client of these members, `host:port` or with `http://` or `https://` before it. There is at least one.
    pub(crate) fn new(
        endpoints: Vec<String>,
        options: ConnectOptions,
        timeout: Duration,
        counters: Arc<Counters>,
    ) -> Self {
        // Not everybody begins with the first one.
        let endpoint = fastrand::usize(..endpoints.len().max(1));
        let current = Mutex::new(Current { endpoint, ..Current::default() });
        Self(Arc::new(Shared { endpoints, options, timeout, current, counters }))
    }

    /// The longest wait for one answer.
    pub(crate) fn timeout(&self) -> Duration {
        self.0.timeout
    }

    /// Sends one request to the member that is in use, waits no longer than `limit`, and leaves the member if it fails.
    pub(crate) async fn once<T, F, A>(&self, limit: Duration, request: F) -> Result<T, Failure>
    where
        F: FnOnce(etcd_client::Client) -> A,
        A: Future<Output = Result<T, Error>>,
    {
        let (connection, endpoint) = {
            let current = self.current();
            (current.connection, current.endpoint)
        };
        let attempt = async {
            let client = self.connect(connection, endpoint).await?;
            request(client).await
        };
        let failure = match timeout(limit.min(self.0.timeout), attempt).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure::Unreachable("it did not answer in time".to_owned()),
        };
        Err(match failure {
            Failure::Unreachable(why) => {
                self.leave(connection);
                let name = self.0.endpoints.get(endpoint).map_or("etcd", String::as_str);
                Failure::Unreachable(format!("{name}: {why}"))
            }
            other => other,
        })
    }

    /// Sends a request that may be sent twice: to each member in turn, until one answers; each has this much time.
    pub(crate) async fn anywhere<T, F, A>(&self, limit: Duration, request: F) -> Result<T, Failure>
    where
        F: Fn(etcd_client::Client) -> A,
        A: Future<Output = Result<T, Error>>,
    {
        let mut result = self.once(limit, &request).await;
        for _ in 1..self.0.endpoints.len() {
            if !matches!(result, Err(Failure::Unreachable(_))) {
                break;
            }
            result = self.once(limit, &request).await;
        }
        result
    }

    /// The number of the connection that is in use; for [`leave`](Self::leave).
    pub(crate) fn connection(&self) -> u64 {
        self.current().connection
    }

    /// Leaves the member for the next one, if this is still the connection in use.
    pub(crate) fn leave(&self, connection: u64) {
        let mut current = self.current();
        if current.connection == connection {
            current.connection += 1;
            current.endpoint = (current.endpoint + 1) % self.0.endpoints.len().max(1);
            current.client = None;
            Counters::add(&self.0.counters.failovers);
        }
    }

    /// The connection in use, made if there is none. `etcd-client` connects at the first request, but for the
    /// authentication, which is one.
    async fn connect(&self, connection: u64, endpoint: usize) -> Result<etcd_client::Client, Error> {
        if let Some(client) = &self.current().client {
            return Ok(client.clone());
        }
        let endpoint = self.0.endpoints.get(endpoint).cloned().unwrap_or_default();
        let client = etcd_client::Client::connect([endpoint], Some(self.0.options.clone())).await?;
        let mut current = self.current();
        if current.connection == connection {
            current.client = Some(client.clone());
        }
        Ok(client)
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part for keys and values, with the limit of what it reads.
pub(crate) fn kv(client: &etcd_client::Client) -> etcd_client::KvClient {
    client.kv_client().max_decoding_message_size(MAX_ANSWER)
}

/// The part for watches, with the limit of what it reads.
pub(crate) fn watcher(client: &etcd_client::Client) -> etcd_client::WatchClient {
    client.watch_client().max_decoding_message_size(MAX_ANSWER)
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::GRpcStatus(status) => status,
            // The only one of its kind that an answer leads to; see `LeaseClient::keep_alive`.
            Error::LeaseKeepAliveError(text) if text == "lease not found" => return Self::LeaseGone,
            Error::InvalidArgs(text) => return Self::Refused(Code::InvalidArgument, text),
            Error::InvalidUri(error) => return Self::Refused(Code::InvalidArgument, error.to_string()),
            other => return Self::Unreachable(other.to_string()),
        };
        let text = status.message();
        let code = u8::try_from(i32::from(status.code())).map_or(Code::Unknown, Code::from_number);
        match code {
            Code::NotFound if text.contains("lease not found") => Self::LeaseGone,
            Code::OutOfRange if text.contains("compacted") => Self::Compacted,
            Code::OutOfRange | Code::ResourceExhausted if text.contains("message length too large") => {
                Self::TooLarge
            }
            Code::InvalidArgument
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::OutOfRange
            | Code::Unimplemented => Self::Refused(code, text.to_owned()),
            // Also `Unauthenticated`: a new connection asks for a new token.
            _ => Self::Unreachable(format!("{}: {text}", code.name())),
        }
    }
}

impl Failure {
    /// What the caller is told.
    pub(crate) fn status(&self, doing: &str) -> Status {
        let (code, why) = match self {
            Self::Unreachable(why) => (Code::Unavailable, why.as_str()),
            Self::LeaseGone => (Code::Unavailable, "the lease has run out"),
            Self::Compacted => (Code::Unavailable, "it was compacted meanwhile"),
            Self::TooLarge => (Code::ResourceExhausted, "the answer is too large"),
            Self::Refused(code, why) => (*code, why.as_str()),
        };
        Status::new(code, format!("etcd: {doing}: {why}")).with_certainty(Certainty::Unknown)
    }
}
