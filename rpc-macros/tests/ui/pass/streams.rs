//! Streams in every shape and of every kind of item, under any path, and what the description says of them.

use rpc_core::call::Shape;
use rpc_core::{Call, Status, Streaming, message, service};

#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    price: u64,
}

#[service]
pub trait Feed {
    async fn ticks(&self, symbol: String) -> Result<Streaming<Tick>, Status>;
    async fn upload(&self, points: Streaming<Tick>) -> Result<u64, Status>;
    async fn chat(&self, lines: ::rpc_core::Streaming<String>) -> Result<rpc_core::Streaming<String>, Status>;
    async fn pulse(&self) -> Result<Streaming<()>, Status>;
    async fn pulses(&self, beats: Streaming<()>) -> Result<(), Status>;
    async fn pages(&self, from: u64, to: u64) -> Result<Streaming<Vec<u64>>, Status>;
    #[rpc(idempotent, spawn, timeout = "1s")]
    async fn maybe(&self, items: Streaming<Option<u32>>) -> Result<Streaming<Option<Tick>>, Status>;
    async fn once(&self) -> Result<Tick, Status>;
}

struct Market;

impl Feed for Market {
    async fn ticks(&self, symbol: String) -> Result<Streaming<Tick>, Status> {
        Ok(Streaming::iter([Tick { price: symbol.len() as u64 }]))
    }

    async fn upload(&self, mut points: Streaming<Tick>) -> Result<u64, Status> {
        let mut sum = 0;
        while let Some(point) = points.next().await {
            sum += point?.price;
        }
        Ok(sum)
    }

    async fn chat(&self, lines: Streaming<String>) -> Result<Streaming<String>, Status> {
        Ok(lines)
    }

    async fn pulse(&self) -> Result<Streaming<()>, Status> {
        Ok(Streaming::iter([(), ()]))
    }

    async fn pulses(&self, mut beats: Streaming<()>) -> Result<(), Status> {
        beats.next().await.unwrap()
    }

    async fn pages(&self, from: u64, to: u64) -> Result<Streaming<Vec<u64>>, Status> {
        Ok(Streaming::iter((from..to).map(|page| vec![page; 2])))
    }

    async fn maybe(&self, mut items: Streaming<Option<u32>>) -> Result<Streaming<Option<Tick>>, Status> {
        let (sender, ticks) = Streaming::channel(1);
        rpc_core::spawn(async move {
            while let Some(Ok(item)) = items.next().await {
                let _ = sender.send(item.map(|price| Tick { price: price.into() })).await;
            }
        });
        Ok(ticks)
    }

    async fn once(&self) -> Result<Tick, Status> {
        Ok(Tick { price: 1 })
    }
}

async fn all<T>(mut stream: Streaming<T>) -> Result<Vec<T>, Status> {
    let mut all = Vec::new();
    while let Some(item) = stream.next().await {
        all.push(item?);
    }
    Ok(all)
}

async fn run(feed: &impl Feed) -> Result<(), Status> {
    assert_eq!(all(feed.ticks("abc".into()).await?).await?, [Tick { price: 3 }]);
    assert_eq!(feed.upload(feed.ticks("abc".into()).await?).await?, 3);
    let lines = ["a".to_owned(), "b".to_owned()];
    assert_eq!(all(feed.chat(Streaming::iter(lines.clone())).await?).await?, lines);
    assert_eq!(all(feed.pulse().await?).await?.len(), 2);
    feed.pulses(Streaming::iter([()])).await?;
    assert_eq!(all(feed.pages(1, 3).await?).await?, [[1, 1], [2, 2]]);
    let maybe = all(feed.maybe(Streaming::iter([Some(1), None])).await?).await?;
    assert_eq!(maybe, [Some(Tick { price: 1 }), None]);
    Ok(())
}

fn main() {
    let shapes: Vec<_> = feed::DESCRIPTOR.methods.iter().map(|method| method.shape).collect();
    use Shape::{BidiStreaming as Bidi, ClientStreaming as Up, ServerStreaming as Down, Unary};
    assert_eq!(shapes, [Down, Up, Bidi, Down, Up, Down, Bidi, Unary]);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        run(&Market).await.unwrap();
        let client = FeedClient::local(Market);
        run(&client).await.unwrap();
        let call: Call<feed::Ticks> = client.ticks("abc".into());
        let _: Streaming<Tick> = call.await.unwrap();
    });

    fn is_send<T: Send + Sync + Unpin + 'static>() {}
    is_send::<Streaming<std::cell::Cell<u8>>>();
    is_send::<rpc_core::Request>();
    is_send::<rpc_core::Response>();
}
