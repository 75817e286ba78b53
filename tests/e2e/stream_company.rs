//! Streams in company: of each other, of calls, of layers, of the context, of other codecs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use rpc_core::codec::Json;
use rpc_core::middleware::{
    CatchPanicLayer, ConcurrencyLimitLayer, RetryLayer, TimeoutLayer, TraceLayer, layer_fn, retry::Policy,
};
use rpc_core::wire::Config;
use rpc_core::{Channel, Code, Context, Request, Response, Server, Status, Streaming};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tower::Service;

use crate::support::flow::{FlowClient, FlowPair, FlowServer, Line, Probe, Rig, number, read};
use crate::support::{bench, drained, ms, quiet, secs, until, within};

fn endless() -> impl Stream<Item = Bytes> + Send {
    stream::iter((0..).map(number))
}

fn endless_rig() -> Rig {
    Rig::default().down(async |_| Ok(Streaming::new(endless())))
}

#[test]
fn a_thousand_streams_in_all_directions_keep_their_items_apart() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        let line = |number: u64, of: u64| Line { number, text: format!("of {of}") };
        let downs = (0..400_u64).map(|n| {
            let client = pair.client.clone();
            tokio::spawn(async move {
                let items = client.down(n.to_string()).await.unwrap();
                let items: Vec<_> = items.map_ok(|item| read(&item)).try_collect().await.unwrap();
                assert_eq!(items, (0..n).collect::<Vec<_>>());
            })
        });
        let ups = (0..300_u64).map(|n| {
            let client = pair.client.clone();
            tokio::spawn(async move {
                assert_eq!(client.up(Streaming::iter((0..n).map(number))).await.unwrap(), 8 * n);
            })
        });
        let boths = (0..300_u64).map(|n| {
            let client = pair.client.clone();
            tokio::spawn(async move {
                let lines = Streaming::iter((0..100).map(move |number| line(number, n)));
                let back: Vec<_> = client.both(lines).await.unwrap().try_collect().await.unwrap();
                assert_eq!(back, (0..100).map(|number| line(number, n)).collect::<Vec<_>>());
            })
        });
        for task in downs.chain(ups).chain(boths).collect::<Vec<_>>() {
            task.await.unwrap();
        }
        pair.finish().await;
    });
}

#[test]
fn streams_that_always_have_something_starve_neither_each_other_nor_calls() {
    bench(async |bench| {
        let pair = endless_rig().serve(&bench).await;
        let counts: Vec<_> = (0..100).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let readers: Vec<_> = counts
            .iter()
            .map(|count| {
                let (client, count) = (pair.client.clone(), count.clone());
                tokio::spawn(async move {
                    let mut items = client.down(String::new()).await.unwrap();
                    while let Some(item) = items.next().await {
                        item.unwrap();
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        until("all streams flow", || counts.iter().all(|count| count.load(Ordering::Relaxed) > 100)).await;
        let began = Instant::now();
        for n in 0..20 {
            assert_eq!(pair.client.echo(n.to_string()).await.unwrap(), n.to_string());
        }
        assert!(began.elapsed() < secs(5), "20 calls took {:?}", began.elapsed());
        let before: Vec<_> = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        until("all streams flow on", || {
            counts.iter().zip(&before).all(|(count, before)| count.load(Ordering::Relaxed) > before + 1_000)
        })
        .await;
        for reader in &readers {
            reader.abort();
        }
        join_all(readers).await;
        pair.finish().await;
    });
}

#[test]
fn what_slow_readers_leave_unread_is_bounded_and_others_go_on() {
    bench(async |bench| {
        let gate = Arc::new(Semaphore::new(0));
        let waits = gate.clone();
        let rig = Rig::default().up(move |mut items: Streaming<Bytes>| {
            let gate = waits.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                let mut bytes = 0;
                while let Some(item) = items.next().await {
                    bytes += item?.len() as u64;
                }
                Ok(bytes)
            }
        });
        // The least that there is: eight windows full.
        let config = Config { max_unread: 1024 * 1024, ..Config::default() };
        let server = Server::builder().service(FlowServer::new(rig)).config(config);
        let server = bench.serve(server).await;
        let client = FlowClient::connect(server.local_addr()).await.unwrap();
        // All that a window takes, of each of a hundred.
        let (item, items) = (Bytes::from(vec![7; 1024]), 120);
        let mut uploads = JoinSet::new();
        for _ in 0..100 {
            let (client, item) = (client.clone(), item.clone());
            uploads.spawn(
                async move { client.up(Streaming::iter((0..items).map(move |_| item.clone()))).await },
            );
        }
        for _ in 0..92 {
            let ended = within(secs(20), uploads.join_next()).await.unwrap().unwrap().unwrap_err();
            assert_eq!(ended.code(), Code::ResourceExhausted, "{ended}");
            assert!(ended.message().contains("wait for their readers"), "{ended}");
        }
        assert_eq!(client.echo("goes on".into()).await.unwrap(), "goes on");
        let (lines, input) = Streaming::channel(1);
        let mut back = client.both(input).await.unwrap();
        for number in 0..100 {
            let line = Line { number, text: "x".repeat(2048) };
            lines.send(line.clone()).await.unwrap();
            assert_eq!(within(secs(20), back.next()).await.unwrap().unwrap(), line);
        }
        drop((lines, back));
        // Those that had a place for all of theirs.
        gate.add_permits(100);
        let mut whole = 0;
        while let Some(left) = within(secs(20), uploads.join_next()).await {
            match left.unwrap() {
                Ok(bytes) => whole += usize::from(bytes == items * 1024),
                Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status}"),
            }
        }
        assert!(whole > 0, "the readers of the first had their places");
        FlowPair { server, client }.finish().await;
    });
}

/// A word in the context.
#[derive(Debug)]
struct Word(&'static str);

/// Puts a word into the context of the handler.
#[derive(Clone)]
struct Says<S>(S);

impl<S: Service<Request, Response = Response, Error = Status>> Service<Request> for Says<S> {
    type Response = Response;
    type Error = Status;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Status>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> S::Future {
        let context = request.context().with_value(Word("hello"));
        request.set_context(context);
        self.0.call(request)
    }
}

#[test]
fn the_context_covers_the_stream_that_a_handler_gives() {
    bench(async |bench| {
        for layered in [false, true] {
            let rig = Rig::default().down(async |_| {
                Ok(Streaming::iter((0..3).map(|_| {
                    let ctx = Context::current();
                    let word = ctx.value::<Word>().map_or("nothing", |word| word.0);
                    let tenant = ctx.metadata().get("tenant").unwrap_or("nobody").to_owned();
                    Bytes::from(format!("{word} {tenant} {}", ctx.remaining().is_some()))
                })))
            });
            let builder = Server::builder().service(FlowServer::new(rig));
            let server = match layered {
                false => bench.serve(builder).await,
                true => bench.serve_layered(builder.layer(layer_fn(Says))).await,
            };
            let client = FlowClient::connect(server.local_addr()).await.unwrap();
            let items = client.down(String::new()).metadata("tenant", "a").timeout(secs(5)).await.unwrap();
            let items: Vec<_> = items.try_collect().await.unwrap();
            assert_eq!(items, vec![if layered { "hello a true" } else { "nothing a true" }; 3]);
            quiet(&server, client.channel()).await;
            drop(client);
            drained(server).await;
        }
    });
}

#[test]
fn what_a_client_sends_is_made_in_its_context() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        let ctx = Context::current().with_value(Word("mine"));
        let count = ctx
            .scope(async {
                let word = |_| Bytes::from(Context::current().value::<Word>().unwrap().0);
                pair.client.up(Streaming::iter((0..3).map(word))).await.unwrap()
            })
            .await;
        assert_eq!(count, 3 * "mine".len() as u64);
        pair.finish().await;
    });
}

#[test]
fn a_stream_counts_as_running_to_its_end() {
    bench(async |bench| {
        let builder = Server::builder().service(FlowServer::new(endless_rig()));
        let layer = ConcurrencyLimitLayer::new(2).with_queue(0);
        let server = bench.serve_layered(builder.layer(layer)).await;
        let client = FlowClient::connect(server.local_addr()).await.unwrap();
        let one = client.down(String::new()).await.unwrap();
        let mut two = client.down(String::new()).await.unwrap();
        two.next().await.unwrap().unwrap();
        assert_eq!(client.echo("x".into()).await.unwrap_err().code(), Code::ResourceExhausted);
        drop(one);
        // The server hears of it a moment later.
        let began = Instant::now();
        while client.echo("x".into()).await.is_err() {
            assert!(began.elapsed() < secs(5));
            tokio::time::sleep(ms(1)).await;
        }
        drop(two);
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn layers_let_streams_pass_with_all_that_belongs_to_them() {
    bench(async |bench| {
        let rig = Rig::default().down(async |input: String| {
            let last: u64 = input.parse().unwrap();
            let trailing = || {
                let mut metadata = rpc_core::Metadata::new();
                metadata.insert("last", "z").unwrap();
                metadata
            };
            Ok(Streaming::iter((0..last).map(number)).with_trailing_metadata(trailing))
        });
        let builder = Server::builder()
            .service(FlowServer::new(rig))
            .layer(TraceLayer::server())
            .layer(ConcurrencyLimitLayer::new(10))
            .layer(TimeoutLayer::new(secs(5)))
            .layer(CatchPanicLayer::new());
        let server = bench.serve_layered(builder).await;
        let channel = Channel::builder(server.local_addr())
            .layer(TraceLayer::client())
            .layer(CatchPanicLayer::new())
            .layer(RetryLayer::new(Policy::default()))
            .layer(ConcurrencyLimitLayer::new(10))
            .layer(TimeoutLayer::new(secs(5)))
            .build()
            .unwrap();
        let client = FlowClient::new(channel);
        let mut items = client.down("1000".into()).await.unwrap();
        for n in 0..1000 {
            assert_eq!(read(&items.next().await.unwrap().unwrap()), n);
        }
        assert!(items.next().await.is_none());
        assert_eq!(items.trailing_metadata().unwrap().get("last"), Some("z"));
        assert_eq!(client.up(Streaming::iter((0..1000).map(number))).await.unwrap(), 8_000);
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_timeout_layer_ends_a_stream() {
    bench(async |bench| {
        let probe = Probe::default();
        let watch = probe.clone();
        let rig = Rig::default().down(move |_| {
            let items = Streaming::new(watch.watch(stream::iter([number(0)]).chain(stream::pending())));
            async { Ok(items) }
        });
        let builder = Server::builder().service(FlowServer::new(rig)).layer(TimeoutLayer::new(ms(100)));
        let server = bench.serve_layered(builder).await;
        let client = FlowClient::connect(server.local_addr()).await.unwrap();
        let mut items = client.down(String::new()).await.unwrap();
        items.next().await.unwrap().unwrap();
        let status = within(secs(5), items.next()).await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        probe.until_dropped().await;
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn what_has_begun_to_stream_is_not_tried_again() {
    bench(async |bench| {
        let runs = Arc::new(AtomicUsize::new(0));
        let count = runs.clone();
        let rig = Rig::default().up(move |items| {
            let run = count.fetch_add(1, Ordering::SeqCst);
            async move {
                drop(items);
                match run {
                    0 => Err(Status::unavailable("not now")),
                    _ => Ok(1),
                }
            }
        });
        // A layer that says that nobody has run it, which would be tried again.
        let refuse = rpc_core::middleware::from_fn(async |request, next| {
            let result: Result<Response, Status> = next.run(request).await;
            result.map_err(|status| status.with_certainty(rpc_core::Certainty::NotExecuted))
        });
        let server = bench.serve(Server::builder().service(FlowServer::new(rig))).await;
        let channel = Channel::builder(server.local_addr())
            .layer(RetryLayer::new(Policy::default()))
            .layer(refuse)
            .build()
            .unwrap();
        let client = FlowClient::new(channel);
        let status = client.up(Streaming::iter((0..3).map(number))).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "not now"));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn streams_speak_json_too() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        let items: Vec<_> =
            pair.client.down("100".into()).codec::<Json>().await.unwrap().try_collect().await.unwrap();
        assert_eq!(items.iter().map(read).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
        assert_eq!(pair.client.up(Streaming::iter(items)).codec::<Json>().await.unwrap(), 800);
        pair.finish().await;
    });
}

#[test]
fn callbacks_and_started_calls_stream() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        let started = pair.client.down("10".into()).start();
        assert_eq!(started.await.unwrap().try_collect::<Vec<_>>().await.unwrap().len(), 10);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        pair.client.down("10".into()).on_complete(|items| {
            let _ = sender.send(items);
        });
        let items = receiver.await.unwrap().unwrap();
        assert_eq!(items.try_collect::<Vec<_>>().await.unwrap().len(), 10);
        pair.finish().await;
    });
}

#[test]
fn a_stream_counts_once_among_the_methods() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        pair.client.down("10".into()).await.unwrap().try_collect::<Vec<_>>().await.unwrap();
        pair.client.up(Streaming::iter([number(1)])).await.unwrap();
        let counts = || -> Vec<_> {
            let methods = pair.server.snapshot().methods;
            methods.into_iter().map(|method| (method.path, method.ok, method.failed)).collect()
        };
        until("both are counted", || counts() == [("test.Flow/Down", 1, 0), ("test.Flow/Up", 1, 0)]).await;
        pair.finish().await;
    });
}
