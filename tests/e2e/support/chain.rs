//! Three servers, each of which calls the next: A, B and C, or hops 0, 1 and 2.

use std::pin::Pin;
use std::sync::Arc;

use rpc_core::{Server, Status};

use super::bench::{Bench, drained, quiet};
use super::lab::{Bed, LabClient, LabServer, Log};

/// What comes of the call to the next hop; at the last one, what a handler gives that has nobody to ask.
pub(crate) type Next = Pin<Box<dyn Future<Output = Result<String, Status>> + Send>>;

/// Three servers, and a client of each.
pub(crate) struct Chain {
    hops: Vec<(Server, LabClient, Log)>,
}

impl Chain {
    /// Servers whose handler is this closure: it gets the number of its hop and the call to the next one, not yet made.
    pub(crate) async fn new<F, Fut>(bench: &Bench, handler: F) -> Self
    where
        F: Fn(usize, Next) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, Status>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let mut hops: Vec<(Server, LabClient, Log)> = Vec::new();
        for hop in (0..3).rev() {
            let handler = handler.clone();
            let next = hops.last().map(|(_, client, _)| client.clone());
            let bed = Bed::new(move |input| {
                let next = next.clone();
                let next: Next = match next {
                    // The call is made in the context that it is polled in, not in the one of this closure.
                    Some(client) => Box::pin(async move { client.run(input).await }),
                    None => Box::pin(async move { Ok(input) }),
                };
                handler(hop, next)
            });
            let log = bed.log();
            let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
            let client = LabClient::connect(server.local_addr()).await.unwrap();
            hops.push((server, client, log));
        }
        hops.reverse();
        Self { hops }
    }

    /// The client of A.
    pub(crate) fn client(&self) -> &LabClient {
        &self.hops[0].1
    }

    /// What the handlers of a hop did.
    pub(crate) fn log(&self, hop: usize) -> &Log {
        &self.hops[hop].2
    }

    /// Nothing is left at any hop.
    pub(crate) async fn finish(self) {
        for (server, client, log) in self.hops {
            quiet(&server, client.channel()).await;
            assert_eq!(log.running(), 0, "handlers that still run");
            drop(client);
            drained(server).await;
        }
    }
}
