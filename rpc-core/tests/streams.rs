//! Streams on a stopped clock: whatever the sizes of items, the pauses of producers and readers and the windows are,
//! nothing is lost, doubled or out of order, and nothing waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use futures_util::stream;
use proptest::prelude::*;
use rpc_core::wire::Config;
use rpc_core::{Metadata, Server, Status, Streaming, service};

#[service]
trait Mirror {
    /// Gives back what comes.
    async fn both(&self, items: Streaming<Bytes>) -> Result<Streaming<Bytes>, Status>;
    /// How many bytes came.
    async fn up(&self, items: Streaming<Bytes>) -> Result<u64, Status>;
    /// Items of so many bytes, without an end.
    async fn endless(&self, bytes: u32) -> Result<Streaming<Bytes>, Status>;
    /// Nothing.
    async fn nothing(&self) -> Result<(), Status>;
}

struct Glass(u64);

/// Sometimes a pause, sometimes a turn for the others, most often nothing.
async fn pause(random: &mut Rng) {
    match random.u8(..) {
        0..8 => tokio::time::sleep(Duration::from_millis(random.u64(1..50))).await,
        8..40 => tokio::task::yield_now().await,
        _ => {}
    }
}

/// The items of this seed: a number each, and some bytes, now and then more than the window.
fn item(seed: u64, number: u64) -> Bytes {
    let mut random = Rng::with_seed(seed ^ (number << 32));
    let size = match random.u8(..) {
        0 => random.usize(64 * 1024..300 * 1024),
        1..16 => random.usize(1024..16 * 1024),
        _ => random.usize(..64),
    };
    let mut item = number.to_be_bytes().to_vec();
    item.resize(8 + size, number as u8);
    item.into()
}

fn produce(seed: u64, count: u64) -> Streaming<Bytes> {
    let state = (0, Rng::with_seed(seed));
    Streaming::new(stream::unfold(state, move |(number, mut random)| async move {
        pause(&mut random).await;
        (number < count).then(|| (item(seed, number), (number + 1, random)))
    }))
}

/// Reads all items of this seed, with pauses.
async fn read(mut items: Streaming<Bytes>, seed: u64, count: u64) {
    let mut random = Rng::with_seed(!seed);
    for number in 0..count {
        pause(&mut random).await;
        assert_eq!(items.next().await.unwrap().unwrap(), item(seed, number), "item {number} of {count}");
    }
    assert!(items.next().await.is_none());
}

impl Mirror for Glass {
    async fn both(&self, mut items: Streaming<Bytes>) -> Result<Streaming<Bytes>, Status> {
        let mut random = Rng::with_seed(self.0);
        let (sender, back) = Streaming::channel(random.usize(1..8));
        rpc_core::spawn(async move {
            while let Some(item) = items.next().await {
                pause(&mut random).await;
                sender.send(item?).await?;
            }
            Ok::<(), Status>(())
        });
        Ok(back)
    }

    async fn up(&self, mut items: Streaming<Bytes>) -> Result<u64, Status> {
        let mut random = Rng::with_seed(self.0);
        let mut bytes = 0;
        while let Some(item) = items.next().await {
            pause(&mut random).await;
            bytes += item?.len() as u64;
        }
        Ok(bytes)
    }

    async fn endless(&self, bytes: u32) -> Result<Streaming<Bytes>, Status> {
        let item = Bytes::from(vec![1; bytes as usize]);
        Ok(Streaming::iter(std::iter::repeat(item)))
    }

    async fn nothing(&self) -> Result<(), Status> {
        Ok(())
    }
}

async fn run(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let config = Config {
        stream_credit: random.u32(64 * 1024..256 * 1024),
        connection_credit: random.u32(1024 * 1024..2 * 1024 * 1024),
        ..Config::default()
    };
    let server = Server::builder().service(MirrorServer::new(Glass(seed))).config(config.clone());
    let channel = rpc_core::client::Builder::local(server).config(config).build().unwrap();
    let client = MirrorClient::new(channel);
    let mut calls = tokio::task::JoinSet::new();
    for stream in 0..random.u64(1..12) {
        let (client, seed, count) = (client.clone(), seed + stream, random.u64(..200));
        let (both, left_early) = (random.bool(), random.u8(..) < 40);
        calls.spawn(async move {
            if !both {
                let bytes: u64 = (0..count).map(|number| item(seed, number).len() as u64).sum();
                assert_eq!(client.up(produce(seed, count)).await.unwrap(), bytes);
                return;
            }
            let mut back = client.both(produce(seed, count)).await.unwrap();
            if left_early {
                // Whatever is under way is dropped, and harms nobody.
                drop(back.next().await);
                return;
            }
            read(back, seed, count).await;
        });
    }
    let all = async { while calls.join_next().await.transpose().unwrap().is_some() {} };
    // The clock stands still while anything moves: an hour passes only if nothing ever will.
    tokio::time::timeout(Duration::from_secs(3_600), all).await.expect("nothing moves any more");
    for _ in 0..1_000 {
        if client.channel().snapshot().places == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("calls are left: {:?}", client.channel().snapshot());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn every_item_comes_once_and_in_order(seed in any::<u32>()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(u64::from(seed)));
    }
}

/// Credit is granted again in steps. What is left of a step must not be what the rest of an item waits for.
#[test]
fn an_item_as_large_as_the_window_passes_behind_small_ones() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let window = 64 * 1024;
        let config = Config { stream_credit: window, ..Config::default() };
        let server = Server::builder().service(MirrorServer::new(Glass(1))).config(config.clone());
        let channel = rpc_core::client::Builder::local(server).config(config).build().unwrap();
        let client = MirrorClient::new(channel);
        for large in [window - 8_000, window - 17, window - 16, window - 15, window - 1, window, window + 1] {
            let sizes = [100, 5_000, 1, large, 3, large, 0].map(|size| size as usize);
            let items = sizes.map(|size| Bytes::from(vec![7; size]));
            let sum: usize = sizes.iter().sum();
            let call = client.up(Streaming::iter(items));
            let bytes = tokio::time::timeout(Duration::from_secs(3_600), call).await;
            assert_eq!(bytes.expect("it stands still").unwrap(), sum as u64, "{large}");
        }
    });
}

/// What a call waits for is counted, in items that others read in the meantime: a clock would tell more of the machine.
#[test]
fn a_call_waits_for_few_items_of_a_hundred_streams() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::builder().service(MirrorServer::new(Glass(1)));
        let client = MirrorClient::new(rpc_core::client::Builder::local(server).build().unwrap());
        let read = Arc::new(AtomicU64::new(0));
        let mut readers = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (client, read) = (client.clone(), read.clone());
            readers.spawn(async move {
                let mut items = client.endless(64).await.unwrap();
                while let Some(item) = items.next().await {
                    item.unwrap();
                    read.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        while read.load(Ordering::Relaxed) < 100_000 {
            tokio::task::yield_now().await;
        }
        let mut waited = Vec::new();
        for _ in 0..50 {
            let before = read.load(Ordering::Relaxed);
            client.nothing().await.unwrap();
            waited.push(read.load(Ordering::Relaxed) - before);
        }
        // 64 KiB are 800 items: so many are read before the request goes out, before the answer does, and with it. At
        // first there was no call, and what is under way is more.
        waited.sort_unstable();
        assert!(waited[25] <= 3_200 && waited[45] <= 5_000, "{waited:?}");
    });
}

#[tokio::test]
async fn a_stream_of_nothing_has_metadata_behind_it_as_well() {
    let mut items = Streaming::<u64>::empty().with_trailing_metadata(|| {
        let mut metadata = Metadata::new();
        metadata.insert("source", "cache").expect("a valid name");
        metadata
    });
    assert!(items.next().await.is_none());
    assert_eq!(items.trailing_metadata().and_then(|metadata| metadata.get("source")), Some("cache"));
}
