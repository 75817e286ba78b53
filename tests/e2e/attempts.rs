//! Attempts: what a second one, or two at once, must not do, and what is said of one that was made.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use rpc_core::middleware::{Next, RetryLayer, from_fn, retry};
use rpc_core::{Certainty, Channel, Code, Context, Request, Response, Server, Status, Streaming};
use tokio::sync::Notify;

use crate::support::flow::{FlowClient, Rig, number};
use crate::support::{Bed, LabClient, LabServer, bench, ms, secs, within};

fn retries() -> RetryLayer {
    RetryLayer::new(retry::Policy::default())
}

#[test]
fn a_second_attempt_that_waits_for_a_place_gets_it() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(LabServer::new(Bed::echoing()))).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let [failed, holds, go] = [(); 3].map(|()| Arc::new(Notify::new()));
        let script = {
            let (failed, holds, go) = (failed.clone(), holds.clone(), go.clone());
            from_fn(move |request: Request, next: Next| {
                let turn = asked.fetch_add(1, Ordering::SeqCst);
                let (failed, holds, go) = (failed.clone(), holds.clone(), go.clone());
                async move {
                    match turn {
                        // The first call's first attempt.
                        0 => {
                            failed.notify_one();
                            let status = Status::unavailable("later").with_retry_after(ms(200));
                            return Err(status.with_certainty(Certainty::NotSent));
                        }
                        // The other call has the place.
                        1 => {
                            holds.notify_one();
                            go.notified().await;
                        }
                        _ => {}
                    }
                    next.run(request).await
                }
            })
        };
        let channel = Channel::builder(server.local_addr())
            .layer(retries())
            .layer(tower::limit::ConcurrencyLimitLayer::new(1))
            .layer(script)
            .build()
            .unwrap();
        let client = LabClient::new(channel);
        let first = client.run("first".into()).timeout(secs(5)).start();
        failed.notified().await;
        let other = client.run("other".into()).timeout(secs(5)).start();
        holds.notified().await;
        // The second attempt of the first call stands in the line by then.
        tokio::time::sleep(ms(500)).await;
        go.notify_one();
        assert_eq!(other.await.unwrap(), "other");
        assert_eq!(first.await.unwrap(), "first");
    });
}

#[test]
fn a_handler_in_a_context_of_a_layer_s_own_counts_as_executed() {
    bench(async |bench| {
        let runs = Arc::new(AtomicUsize::new(0));
        let count = runs.clone();
        let bed = Bed::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Err(Status::unavailable("the database is gone, perhaps after the commit")) }
        });
        let fresh = from_fn(async |mut request: Request, next: Next| {
            request.set_context(Context::background().with_value(7_u64));
            next.run(request).await
        });
        let builder = Server::builder().layer(fresh).service(LabServer::new(bed));
        let server = bench.serve_layered(builder).await;
        let channel = Channel::builder(server.local_addr()).layer(retries()).build().unwrap();
        // A method that may not be run twice.
        let status = LabClient::new(channel).run("x".into()).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::Executed));
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn what_a_layer_makes_of_the_items_is_made_once() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        let made = Arc::new(AtomicUsize::new(0));
        let count = made.clone();
        let wraps = from_fn(move |request: Request, next: Next| {
            let count = count.clone();
            async move {
                if let Some(items) = request.stream() {
                    items.change(|items| {
                        // It encrypts each of them, say.
                        Streaming::new(items.inspect(move |_| {
                            count.fetch_add(1, Ordering::SeqCst);
                        }))
                    });
                }
                next.run(request).await
            }
        });
        let tries = Arc::new(AtomicUsize::new(0));
        let fails_once = from_fn(move |request: Request, next: Next| {
            let first = tries.fetch_add(1, Ordering::SeqCst) == 0;
            async move {
                match first {
                    true => Err(Status::unavailable("not now").with_certainty(Certainty::NotSent)),
                    false => next.run(request).await,
                }
            }
        });
        let channel = || Channel::builder(pair.server.local_addr());
        // Above the retry it is made once for all attempts; below it there is no second one.
        let above = channel().layer(wraps.clone()).layer(retries()).layer(fails_once).build().unwrap();
        assert_eq!(FlowClient::new(above).up(Streaming::iter([number(7)])).await.unwrap(), 8);
        assert_eq!(made.load(Ordering::SeqCst), 1);
        let attempts = Arc::new(AtomicUsize::new(0));
        let count = attempts.clone();
        let fails = from_fn(move |_: Request, _: Next| {
            count.fetch_add(1, Ordering::SeqCst);
            async { Err::<Response, _>(Status::unavailable("not now").with_certainty(Certainty::NotSent)) }
        });
        let below = channel().layer(retries()).layer(wraps).layer(fails).build().unwrap();
        let status = FlowClient::new(below).up(Streaming::iter([number(7)])).await.unwrap_err();
        assert_eq!((status.message(), attempts.load(Ordering::SeqCst)), ("not now", 1));
        pair.finish().await;
    });
}

#[test]
fn of_two_attempts_at_once_the_one_without_items_fails() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        let hedge = from_fn(async |request: Request, next: Next| {
            let (one, two) = futures_util::future::join(next.run(request.clone()), next.run(request)).await;
            one.or(two)
        });
        let channel = Channel::builder(pair.server.local_addr()).layer(hedge).build().unwrap();
        channel.ready().await.unwrap();
        let client = FlowClient::new(channel);
        let call = client.up(Streaming::iter([number(7)])).timeout(secs(20));
        assert_eq!(within(secs(5), call).await.unwrap(), 8);
        drop(client);
        pair.finish().await;
    });
}

#[test]
fn who_changes_the_items_of_a_request_may_look_at_it() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        let logs = from_fn(async |request: Request, next: Next| {
            if let Some(items) = request.stream() {
                items.change(|items| {
                    assert!(format!("{request:?}").contains("taken: true"));
                    items
                });
            }
            next.run(request).await
        });
        let channel = Channel::builder(pair.server.local_addr()).layer(logs).build().unwrap();
        let client = FlowClient::new(channel);
        let call = client.up(Streaming::iter([number(7)]));
        assert_eq!(within(secs(5), call).await.unwrap(), 8);
        drop(client);
        pair.finish().await;
    });
}

#[test]
fn what_a_handler_sends_beside_a_stream_arrives() {
    bench(async |bench| {
        let rig = Rig::default().down(async |_| {
            Context::current().set_reply_metadata("cache", "hit")?;
            Ok(Streaming::iter((0..3).map(number)))
        });
        let pair = rig.serve(&bench).await;
        let reply = pair.client.down(String::new()).reply().await.unwrap();
        assert_eq!(reply.metadata.get("cache"), Some("hit"));
        drop(reply);
        pair.finish().await;
    });
}
