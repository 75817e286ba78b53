//! A service with streams that does what the test says, and a stream that can be watched.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use futures_util::Stream;
use rpc_core::{Server, Status, Streaming, message, service};

use super::bench::{Bench, drained, quiet};
use super::wait::until;

/// A line of a chat.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) number: u64,
    pub(crate) text: String,
}

/// Does what the test says, in every shape.
#[service(name = "test.Flow")]
pub(crate) trait Flow {
    async fn echo(&self, text: String) -> Result<String, Status>;
    async fn down(&self, input: String) -> Result<Streaming<Bytes>, Status>;
    async fn up(&self, items: Streaming<Bytes>) -> Result<u64, Status>;
    async fn both(&self, lines: Streaming<Line>) -> Result<Streaming<Line>, Status>;
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Status>> + Send>>;
type Handler<I, O> = Arc<dyn Fn(I) -> Answer<O> + Send + Sync>;

/// The service whose methods are closures of the test.
#[derive(Clone)]
pub(crate) struct Rig {
    down: Handler<String, Streaming<Bytes>>,
    up: Handler<Streaming<Bytes>, u64>,
    both: Handler<Streaming<Line>, Streaming<Line>>,
}

fn handler<I, O, F, Fut>(handler: F) -> Handler<I, O>
where
    F: Fn(I) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Status>> + Send + 'static,
{
    Arc::new(move |input| Box::pin(handler(input)))
}

impl Default for Rig {
    /// `down` counts to its input, in 8 bytes each; `up` gives the number of bytes; `both` gives back what comes.
    fn default() -> Self {
        Self {
            down: handler(async |input: String| {
                let last: u64 = input.parse().unwrap();
                Ok(Streaming::iter((0..last).map(number)))
            }),
            up: handler(async |mut items: Streaming<Bytes>| {
                let mut bytes = 0;
                while let Some(item) = items.next().await {
                    bytes += item?.len() as u64;
                }
                Ok(bytes)
            }),
            both: handler(async |lines| Ok(lines)),
        }
    }
}

/// A number as an item.
pub(crate) fn number(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// An item as a number.
pub(crate) fn read(item: &Bytes) -> u64 {
    u64::from_be_bytes(item[..].try_into().unwrap())
}

impl Rig {
    pub(crate) fn down<F, Fut>(self, down: F) -> Self
    where
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Streaming<Bytes>, Status>> + Send + 'static,
    {
        Self { down: handler(down), ..self }
    }

    pub(crate) fn up<F, Fut>(self, up: F) -> Self
    where
        F: Fn(Streaming<Bytes>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<u64, Status>> + Send + 'static,
    {
        Self { up: handler(up), ..self }
    }

    pub(crate) fn both<F, Fut>(self, both: F) -> Self
    where
        F: Fn(Streaming<Line>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Streaming<Line>, Status>> + Send + 'static,
    {
        Self { both: handler(both), ..self }
    }

    /// A server of this, and a client that is connected to it.
    pub(crate) async fn serve(self, bench: &Bench) -> FlowPair {
        let server = bench.serve(Server::builder().service(FlowServer::new(self))).await;
        let client = FlowClient::connect(server.local_addr()).await.unwrap();
        FlowPair { server, client }
    }
}

impl Flow for Rig {
    async fn echo(&self, text: String) -> Result<String, Status> {
        Ok(text)
    }

    async fn down(&self, input: String) -> Result<Streaming<Bytes>, Status> {
        (self.down)(input).await
    }

    async fn up(&self, items: Streaming<Bytes>) -> Result<u64, Status> {
        (self.up)(items).await
    }

    async fn both(&self, lines: Streaming<Line>) -> Result<Streaming<Line>, Status> {
        (self.both)(lines).await
    }
}

impl fmt::Debug for Rig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rig")
    }
}

/// A server and a client.
#[derive(Debug)]
pub(crate) struct FlowPair {
    pub(crate) server: Server,
    pub(crate) client: FlowClient,
}

impl FlowPair {
    /// Both sides hold nothing, and the connection still works; then the server is drained.
    pub(crate) async fn finish(self) {
        let Self { server, client } = self;
        assert_eq!(client.echo("still there".into()).await.unwrap(), "still there");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    }
}

/// What became of a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe(Arc<(AtomicU64, AtomicBool)>);

impl Probe {
    /// Watches a stream.
    pub(crate) fn watch<S: Stream>(&self, stream: S) -> Watched<S> {
        Watched { stream: Box::pin(stream), probe: self.clone() }
    }

    /// How many items it has given.
    pub(crate) fn given(&self) -> u64 {
        self.0.0.load(Ordering::SeqCst)
    }

    /// Whether it was dropped.
    pub(crate) fn is_dropped(&self) -> bool {
        self.0.1.load(Ordering::SeqCst)
    }

    /// Waits until it is dropped.
    #[track_caller]
    pub(crate) fn until_dropped(&self) -> impl Future<Output = ()> {
        until("the stream is dropped", move || self.is_dropped())
    }

    /// How many items it has given when it gives no more: when nothing has come for a while although it was asked.
    pub(crate) async fn until_still(&self) -> u64 {
        let mut before = (self.given(), std::time::Instant::now());
        loop {
            tokio::time::sleep(super::wait::ms(5)).await;
            let given = self.given();
            if given != before.0 {
                before = (given, std::time::Instant::now());
            } else if given > 0 && before.1.elapsed() > super::wait::ms(200) {
                return given;
            }
        }
    }
}

/// A stream that is watched.
#[derive(Debug)]
pub(crate) struct Watched<S> {
    stream: Pin<Box<S>>,
    probe: Probe,
}

impl<S: Stream> Stream for Watched<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<S::Item>> {
        let polled = self.stream.as_mut().poll_next(cx);
        if let Poll::Ready(Some(_)) = polled {
            self.probe.0.0.fetch_add(1, Ordering::SeqCst);
        }
        polled
    }
}

impl<S> Drop for Watched<S> {
    fn drop(&mut self) {
        self.probe.0.1.store(true, Ordering::SeqCst);
    }
}
