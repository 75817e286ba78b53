//! The orderly end of a server.
//!
//! 1. It says that it wants no more calls, withdraws from the registries, and goes on until clients have heard of it.
//! 2. No more connections are accepted.
//! 3. Every peer is told; what it sent before it heard is still served, what comes later is refused as not executed.
//! 4. What runs may finish. A connection with nothing open is flushed and closed.
//! 5. At the limit the rest is cancelled, and the report says what it was.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::context::now;
use crate::server::Server;
use crate::server::accept::Shared;
use crate::status::Status;

/// How long the answers to calls that were cut off may take to leave.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a drain went.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// How long it took.
    pub took: Duration,
    /// The connections that were still busy at the limit.
    pub late: Vec<Late>,
    /// Why registries could not be told that it goes away, for each service: it is registered there until its lease ends.
    pub still_registered: Vec<Status>,
}

/// A connection that was still busy when a drain met its limit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Late {
    /// The client.
    pub peer: String,
    /// The methods of the calls that were cancelled, one entry a call.
    pub calls: Vec<&'static str>,
    /// How many messages were cut off: requests that were not yet here as a whole, replies that were not yet gone.
    pub partial: usize,
}

impl Report {
    /// Whether every call ended by itself.
    pub fn is_clean(&self) -> bool {
        self.late.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "drained in {:.1?}", self.took)?;
        for status in &self.still_registered {
            write!(f, "; {}", status.message())?;
        }
        if self.is_clean() {
            return f.write_str(", nothing was cut off");
        }
        f.write_str("; cut off:")?;
        for late in &self.late {
            write!(f, " {} ({}", late.peer, late.calls.join(", "))?;
            match late.partial {
                0 => f.write_str(")")?,
                partial if late.calls.is_empty() => write!(f, "{partial} messages in part)")?,
                partial => write!(f, ", {partial} messages in part)")?,
            }
        }
        Ok(())
    }
}

pub(super) async fn drain(mut server: Server, limit: Duration) -> Report {
    let began = now();
    #[cfg(feature = "macros")]
    server.health.close();
    let still_registered = match server.announcer.take() {
        Some(announcer) => announcer.withdraw(limit).await,
        None => Vec::new(),
    };
    let shared = server.shared.clone();
    shared.close();
    // Ends accepting and closes the socket: from here on clients are refused at once and go elsewhere.
    server.accepting.abort();
    // Once it is gone, the address is free for another server. It ends by being aborted.
    let _ = (&mut server.accepting).await;
    for link in shared.links() {
        link.with(|state| state.wire.drain(now()));
    }
    // A limit beyond the end of time is none.
    let end = began.checked_add(limit).unwrap_or_else(|| began + Duration::from_secs(86_400 * 365));
    let late = match tokio::time::timeout_at(end.into(), all_ended(&shared)).await {
        Ok(()) => Vec::new(),
        Err(_) => {
            let late = late(&shared);
            for link in shared.links() {
                link.cut_off();
            }
            // The callers are told; a peer that does not listen any more does not hold the end up for long.
            let _ = tokio::time::timeout(LAST_WORDS, all_ended(&shared)).await;
            late
        }
    };
    // Dropping the server ends what is left.
    drop(server);
    Report { took: now().saturating_duration_since(began), late, still_registered }
}

async fn all_ended(shared: &Arc<Shared>) {
    loop {
        // Asked for before looking, so that the last one's end is not missed.
        let ended = shared.ended.notified();
        if shared.links().is_empty() {
            return;
        }
        ended.await;
    }
}

fn late(shared: &Shared) -> Vec<Late> {
    let links = shared.links();
    links
        .iter()
        .map(|link| {
            let state = link.lock();
            let calls: Vec<_> =
                state.all_serving().iter().filter_map(|(context, _)| context.method()).collect();
            let partial = state.wire.snapshot().serving.saturating_sub(calls.len());
            Late { peer: link.peer().to_string(), calls, partial }
        })
        .filter(|late| !late.calls.is_empty() || late.partial > 0)
        .collect()
}
