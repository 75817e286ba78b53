//! Streams in all three shapes: what comes, in which order, what holds whom, and how they end.

use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use rpc_core::{Channel, Code, Metadata, Server, Status, Streaming};

use crate::support::flow::{FlowClient, FlowServer, Line, Probe, Rig, number, read};
use crate::support::{Proxy, bench, ms, until};

/// Numbers without end.
fn endless() -> impl futures_util::Stream<Item = Bytes> + Send {
    stream::iter((0..).map(number))
}

fn line(number: u64) -> Line {
    Line { number, text: format!("line {number}") }
}

#[test]
fn a_reply_streams_in_order() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        for last in [0, 1, 2, 1_000, 50_000] {
            let items = pair.client.down(last.to_string()).await.unwrap();
            let numbers: Vec<_> = items.map_ok(|item| read(&item)).try_collect().await.unwrap();
            assert_eq!(numbers, (0..last).collect::<Vec<_>>());
        }
        pair.finish().await;
    });
}

#[test]
fn a_request_streams_in_order() {
    bench(async |bench| {
        let rig = Rig::default().up(async |items: Streaming<Bytes>| {
            let numbers: Vec<_> = items.map_ok(|item| read(&item)).try_collect().await?;
            let count = numbers.len() as u64;
            match numbers == (0..count).collect::<Vec<_>>() {
                true => Ok(count),
                false => Err(Status::data_loss("out of order")),
            }
        });
        let pair = rig.serve(&bench).await;
        for last in [0, 1, 2, 1_000, 50_000] {
            let items = Streaming::iter((0..last).map(number));
            assert_eq!(pair.client.up(items).await.unwrap(), last);
        }
        pair.finish().await;
    });
}

#[test]
fn both_directions_at_once() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        for last in [0, 1, 2, 1_000, 20_000] {
            let back = pair.client.both(Streaming::iter((0..last).map(line))).await.unwrap();
            let lines: Vec<_> = back.try_collect().await.unwrap();
            assert_eq!(lines, (0..last).map(line).collect::<Vec<_>>());
        }
        pair.finish().await;
    });
}

#[test]
fn a_conversation_goes_back_and_forth() {
    bench(async |bench| {
        let rig = Rig::default().both(async |lines: Streaming<Line>| {
            Ok(Streaming::new(lines.map_ok(|line| Line { text: line.text.to_uppercase(), ..line })))
        });
        let pair = rig.serve(&bench).await;
        let (sender, lines) = Streaming::channel(1);
        let mut back = pair.client.both(lines).await.unwrap();
        for n in 0..100 {
            sender.send(line(n)).await.unwrap();
            assert_eq!(back.next().await.unwrap().unwrap().text, format!("LINE {n}"));
        }
        drop(sender);
        assert!(back.next().await.is_none() && back.next().await.is_none());
        pair.finish().await;
    });
}

#[test]
fn dropping_the_reply_frees_the_producer() {
    bench(async |bench| {
        let probe = Probe::default();
        let watch = probe.clone();
        let rig = Rig::default().down(move |_| {
            let items = Streaming::new(watch.watch(endless()));
            async { Ok(items) }
        });
        let pair = rig.serve(&bench).await;
        let mut items = pair.client.down(String::new()).await.unwrap();
        for n in 0..10 {
            assert_eq!(read(&items.next().await.unwrap().unwrap()), n);
        }
        assert!(!probe.is_dropped());
        drop(items);
        probe.until_dropped().await;
        pair.finish().await;
    });
}

#[test]
fn dropping_the_call_frees_what_it_sends() {
    bench(async |bench| {
        let rig = Rig::default().up(async |items| {
            let _items = items;
            std::future::pending().await
        });
        let pair = rig.serve(&bench).await;
        let probe = Probe::default();
        let call = pair.client.up(Streaming::new(probe.watch(endless()))).start();
        probe.until_still().await;
        drop(call);
        probe.until_dropped().await;
        until("the handler is gone", || pair.server.snapshot().calls == 0).await;
        pair.finish().await;
    });
}

#[test]
fn a_final_reply_ends_the_request() {
    bench(async |bench| {
        let rig = Rig::default().up(async |mut items: Streaming<Bytes>| {
            items.next().await.unwrap()?;
            Ok(7)
        });
        let pair = rig.serve(&bench).await;
        let probe = Probe::default();
        assert_eq!(pair.client.up(Streaming::new(probe.watch(endless()))).await.unwrap(), 7);
        probe.until_dropped().await;
        pair.finish().await;
    });
}

#[test]
fn a_reader_that_stops_holds_its_producer_and_nothing_else() {
    bench(async |bench| {
        let probe = Probe::default();
        let watch = probe.clone();
        let rig = Rig::default().down(move |_| {
            let items = Streaming::new(watch.watch(endless()));
            async { Ok(items) }
        });
        let pair = rig.serve(&bench).await;
        let mut items = pair.client.down(String::new()).await.unwrap();
        let given = probe.until_still().await;
        // What it may be ahead is the window, of which each item takes at least 16 bytes and its own.
        assert!(given <= 128 * 1024 / 24, "{given} items");
        assert_eq!(pair.client.echo("x".into()).await.unwrap(), "x");
        for n in 0..given * 3 {
            assert_eq!(read(&items.next().await.unwrap().unwrap()), n);
        }
        drop(items);
        probe.until_dropped().await;
        pair.finish().await;
    });
}

#[test]
fn an_error_comes_after_the_items_before_it() {
    bench(async |bench| {
        let rig = Rig::default().down(async |_| {
            let items = (0..5_000).map(|n| Ok(number(n)));
            Ok(Streaming::iter(items.chain([Err(Status::aborted("enough")), Ok(number(0))])))
        });
        let pair = rig.serve(&bench).await;
        let mut items = pair.client.down(String::new()).await.unwrap();
        for n in 0..5_000 {
            assert_eq!(read(&items.next().await.unwrap().unwrap()), n);
        }
        let error = items.next().await.unwrap().unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::Aborted, "enough"));
        assert_eq!(error.certainty(), rpc_core::Certainty::Executed);
        assert!(items.next().await.is_none());
        pair.finish().await;
    });
}

#[test]
fn metadata_goes_before_and_behind_the_items() {
    bench(async |bench| {
        fn metadata(name: &str, value: &str) -> Metadata {
            let mut metadata = Metadata::new();
            metadata.insert(name, value.to_owned()).unwrap();
            metadata
        }
        let rig = Rig::default().down(async |_| {
            let items = Streaming::iter((0..3).map(number)).with_metadata(metadata("first", "a"));
            Ok(items.with_trailing_metadata(|| metadata("last", "z")))
        });
        let pair = rig.serve(&bench).await;
        let reply = pair.client.down(String::new()).reply().await.unwrap();
        assert_eq!(reply.metadata.get("first"), Some("a"));
        let mut items = reply.value;
        assert!(items.trailing_metadata().is_none());
        while let Some(item) = items.next().await {
            item.unwrap();
        }
        assert_eq!(items.trailing_metadata().unwrap().get("last"), Some("z"));
        pair.finish().await;
    });
}

#[test]
fn a_large_item_waits_until_it_is_known_what_the_other_side_takes() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(FlowServer::new(Rig::default()))).await;
        let proxy = Proxy::to(server.local_addr());
        proxy.delay(ms(50));
        // Nothing was said on this connection yet when the items are there.
        let client = FlowClient::new(Channel::builder(proxy.address()).build().unwrap());
        let sizes = [10, 100_000, 10, 1_000_000, 70_000];
        let items = stream::iter(sizes.map(|size| Ok::<_, Status>(Bytes::from(vec![7; size]))));
        let bytes = client.up(Streaming::new(items)).await.unwrap();
        assert_eq!(bytes, sizes.iter().sum::<usize>() as u64);
        // One that is too large is an error all the same.
        let client = FlowClient::new(Channel::builder(proxy.address()).build().unwrap());
        let items = Streaming::iter([Bytes::from(vec![7; 17 << 20])]);
        let status = client.up(items).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    });
}
