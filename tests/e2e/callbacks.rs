//! Calls in the other direction: a server calls its clients over the connections that they made.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::future::join_all;
use rpc_core::call::{BoxFuture, Peer};
use rpc_core::client::{Backoff, BuildError};
use rpc_core::context::TraceContext;
use rpc_core::middleware::ConcurrencyLimitLayer;
use rpc_core::transport::{Address, BoxIo, Connector, DefaultConnector};
use rpc_core::wire::field::put_bytes;
use rpc_core::wire::{Config, Kind};
use rpc_core::{Certainty, Channel, Code, Context, RpcError, Server, Status, service};

use crate::support::lab::Log;
use crate::support::raw::{Raw, frame};
use crate::support::{
    Bed, Bench, LabClient, LabServer, Proxy, bench, drained, ms, quiet, secs, until, until_channel_quiet,
    until_server_quiet, within,
};

/// A server and a client that both are labs.
struct Both {
    server: Server,
    client: LabClient,
    /// What the server's handlers did.
    theirs: Log,
    /// What the client's handlers did.
    mine: Log,
}

impl Both {
    async fn new(bench: &Bench, theirs: Bed, mine: Bed) -> Self {
        Self::with(bench, theirs, mine, Config::default()).await
    }

    /// A client with these limits.
    async fn with(bench: &Bench, theirs: Bed, mine: Bed, config: Config) -> Self {
        let (their_log, my_log) = (theirs.log(), mine.log());
        let server = bench.serve(Server::builder().service(LabServer::new(theirs))).await;
        let channel = Channel::builder(server.local_addr()).config(config).serve(LabServer::new(mine));
        let client = LabClient::new(channel.build().unwrap());
        Self { server, client, theirs: their_log, mine: my_log }
    }

    /// Neither side holds anything, and nothing of the two remains.
    async fn finish(self) {
        quiet(&self.server, self.client.channel()).await;
        assert_eq!((self.theirs.running(), self.mine.running()), (0, 0), "handlers that still run");
        drop(self.client);
        until("the connection is gone", || self.server.snapshot().connections == 0).await;
        drained(self.server).await;
    }
}

fn caller() -> LabClient {
    Context::current().caller()
}

/// A server's handler that asks its caller.
fn asking() -> Bed {
    Bed::new(async |input| caller().run(input).await)
}

/// A server's handler that keeps its caller, and where it keeps it.
fn keeping() -> (Bed, Kept) {
    let kept = Kept::default();
    let inside = kept.clone();
    let bed = Bed::new(move |input| {
        inside.0.lock().unwrap().push(caller());
        async move { Ok(input) }
    });
    (bed, kept)
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<LabClient>>>);

impl Kept {
    fn last(&self) -> LabClient {
        self.0.lock().unwrap().last().unwrap().clone()
    }
}

#[test]
fn a_handler_calls_its_caller_before_it_replies() {
    bench(async |bench| {
        let both = Both::new(&bench, asking(), Bed::new(async |input| Ok(format!("{input}!")))).await;
        assert_eq!(both.client.run("well".into()).await.unwrap(), "well!");
        assert_eq!((both.theirs.runs("well"), both.mine.runs("well")), (1, 1));
        assert_eq!(both.server.snapshot().connections, 1, "it went over the connection that was there");
        both.finish().await;
    });
}

#[test]
fn a_caller_that_was_kept_is_called_after_the_reply_and_from_tasks() {
    bench(async |bench| {
        let (bed, kept) = keeping();
        let both = Both::new(&bench, bed, Bed::echoing()).await;
        both.client.run("hello".into()).await.unwrap();
        let listener = kept.last();
        let text = bench.on_server(async move { listener.run("later".into()).await }).await.unwrap();
        assert_eq!((text.as_str(), both.mine.runs("later")), ("later", 1));
        drop(kept);
        both.finish().await;

        let bed = Bed::new(async |input: String| {
            let task = rpc_core::spawn(async move { caller().run(input).await });
            task.await.unwrap()?
        });
        let both = Both::new(&bench, bed, Bed::echoing()).await;
        assert_eq!(both.client.run("in a task".into()).await.unwrap(), "in a task");
        both.finish().await;
    });
}

#[test]
fn calls_go_back_and_forth_over_one_connection() {
    bench(async |bench| {
        let handler = async |input: String| match input.parse::<u32>().unwrap() {
            0 => Ok("done".to_owned()),
            n => caller().run((n - 1).to_string()).await,
        };
        let both = Both::new(&bench, Bed::new(handler), Bed::new(handler)).await;
        assert_eq!(both.client.run("10".into()).await.unwrap(), "done");
        assert_eq!((both.theirs.finished(), both.mine.finished()), (6, 5));
        assert_eq!(both.server.snapshot().connections, 1);
        both.finish().await;
    });
}

#[test]
fn oneway_callbacks_arrive() {
    bench(async |bench| {
        let bed = Bed::new(async |input: String| {
            for _ in 0..100 {
                caller().note(input.clone()).await?;
            }
            Ok(input)
        });
        let both = Both::new(&bench, bed, Bed::echoing()).await;
        both.client.run("news".into()).await.unwrap();
        until("all have arrived", || both.mine.runs("news") == 100).await;
        both.finish().await;
    });
}

#[test]
fn many_callbacks_run_at_once_each_with_its_own_caller() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(LabServer::new(asking()))).await;
        let clients: Vec<_> = (0..4)
            .map(|n| {
                let mine = Bed::new(move |input| async move {
                    tokio::task::yield_now().await;
                    Ok(format!("{n}:{input}"))
                });
                let channel = Channel::builder(server.local_addr()).serve(LabServer::new(mine));
                LabClient::new(channel.build().unwrap())
            })
            .collect();
        let calls = clients.iter().enumerate().flat_map(|(n, client)| {
            (0..100).map(move |call| async move {
                assert_eq!(client.run(call.to_string()).await.unwrap(), format!("{n}:{call}"));
            })
        });
        within(secs(30), join_all(calls)).await;
        for client in &clients {
            until_channel_quiet(client.channel()).await;
        }
        until_server_quiet(&server).await;
        drop(clients);
        drained(server).await;
    });
}

#[test]
fn a_callback_inherits_the_deadline_the_trace_and_the_cancellation_of_its_handler() {
    bench(async |bench| {
        let seen = Arc::new(Mutex::new(None));
        let note = seen.clone();
        let mine = Bed::new(move |_| {
            let context = Context::current();
            *note.lock().unwrap() = Some((context.remaining(), context.trace()));
            std::future::pending()
        });
        let both = Both::new(&bench, asking(), mine).await;
        let trace = TraceContext::new_root();
        let context = Context::background().with_trace(trace);

        let call = context.scope(async { both.client.run("deadline".into()).timeout(ms(300)).await });
        let status = within(secs(5), call).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        let (remaining, callback) = seen.lock().unwrap().take().unwrap();
        assert!(remaining.unwrap() <= ms(300), "{remaining:?}");
        assert_eq!(callback.unwrap().trace_id, trace.trace_id);
        until("the callback is dropped", || both.mine.dropped() == 1).await;

        let call = both.client.run("dropped".into()).start();
        both.mine.until_running(1).await;
        drop(call);
        until("both handlers are gone", || both.theirs.running() == 0 && both.mine.dropped() == 2).await;
        assert!(both.theirs.dropped() > 0, "the one whose call was dropped gave nothing");
        both.finish().await;
    });
}

#[test]
fn metadata_goes_both_ways_and_is_each_call_s_own() {
    bench(async |bench| {
        let theirs = Bed::new(async |input| {
            assert_eq!(Context::current().metadata().get("of"), Some("the call"));
            let reply = caller().run(input).metadata("of", "the callback").reply().await?;
            Context::current().set_reply_metadata("said", "the server")?;
            Ok(reply.metadata.get("said").unwrap_or("nothing").to_owned())
        });
        let mine = Bed::new(async |input| {
            assert_eq!(Context::current().metadata().get("of"), Some("the callback"));
            Context::current().set_reply_metadata("said", "the client")?;
            Ok(input)
        });
        let both = Both::new(&bench, theirs, mine).await;
        let reply = both.client.run("x".into()).metadata("of", "the call").reply().await.unwrap();
        assert_eq!((reply.value.as_str(), reply.metadata.get("said")), ("the client", Some("the server")));
        assert_eq!(reply.metadata.len(), 1);
        both.finish().await;
    });
}

#[derive(Debug, RpcError)]
enum Refused {
    #[rpc(code = "failed_precondition", message = "the price is {price}")]
    TooDear { price: u32 },
    #[rpc(status)]
    Other(Status),
}

#[service(name = "test.Buyer")]
trait Buyer {
    async fn offer(&self, price: u32) -> Result<bool, Refused>;
}

struct Miser;

impl Buyer for Miser {
    async fn offer(&self, price: u32) -> Result<bool, Refused> {
        if price > 10 { Err(Refused::TooDear { price }) } else { Ok(true) }
    }
}

#[test]
fn a_client_serves_several_services_and_typed_errors_come_back() {
    bench(async |bench| {
        let theirs = Bed::new(async |input: String| {
            let buyer: BuyerClient = Context::current().caller();
            assert!(buyer.offer(5).await.unwrap());
            assert!(matches!(buyer.offer(50).await, Err(Refused::TooDear { price: 50 })));
            caller().echo(input).await
        });
        let server = bench.serve(Server::builder().service(LabServer::new(theirs))).await;
        let builder = Channel::builder(server.local_addr())
            .serve(LabServer::new(Bed::echoing()))
            .serve(BuyerServer::new(Miser));
        let client = LabClient::new(builder.build().unwrap());
        assert_eq!(client.run("both".into()).await.unwrap(), "both");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn two_services_of_one_name_make_no_channel() {
    let lab = || LabServer::new(Bed::echoing());
    let error = Channel::builder("localhost:1").serve(lab()).serve(lab()).build().unwrap_err();
    assert!(matches!(error, BuildError::Services(_)), "{error}");
    assert!(error.to_string().contains("test.Lab"), "{error}");
    let status = Status::from(error);
    assert_eq!((status.code(), status.certainty()), (Code::FailedPrecondition, Certainty::NotSent));
}

#[test]
fn layers_go_round_what_a_client_serves() {
    bench(async |bench| {
        let (mine, gate) = Bed::gated();
        let log = mine.log();
        let server = bench.serve(Server::builder().service(LabServer::new(asking()))).await;
        // One at a time, and nobody waits.
        let layer = ConcurrencyLimitLayer::new(1).with_queue(0);
        let services = Server::builder().layer(layer).service(LabServer::new(mine));
        let channel = Channel::builder(server.local_addr()).serve(services).build().unwrap();
        let client = LabClient::new(channel);
        let first = client.run("first".into()).start();
        log.until_running(1).await;
        let status = client.run("second".into()).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert_eq!(log.started(), 1);
        gate.open();
        first.await.unwrap();
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_callback_s_panic_is_caught_and_the_connection_goes_on() {
    bench(async |bench| {
        let mine = Bed::new(async |input: String| if input == "bad" { panic!("oh") } else { Ok(input) });
        let both = Both::new(&bench, asking(), mine).await;
        let status = both.client.run("bad".into()).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal, "{status}");
        assert!(!status.message().contains("oh"), "{status}");
        assert_eq!(both.client.run("good".into()).await.unwrap(), "good");
        assert_eq!(both.server.snapshot().connections, 1);
        both.finish().await;
    });
}

#[test]
fn the_client_s_limits_hold_for_what_it_is_called_with() {
    bench(async |bench| {
        let theirs = Bed::new(async |size: String| {
            let data = vec![0; size.parse().unwrap()];
            caller().blob(data.into()).await.map(|data| data.len().to_string())
        });
        let config = Config { max_message: 100_000, ..Config::default() };
        let both = Both::with(&bench, theirs, Bed::echoing(), config).await;
        assert_eq!(both.client.run("90000".into()).await.unwrap(), "90000");
        let status = both.client.run("110000".into()).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert_eq!(both.mine.started(), 1, "the large one never reached a handler");
        both.finish().await;
    });
}

#[test]
fn callbacks_beyond_the_client_s_streams_wait_for_their_turn() {
    bench(async |bench| {
        let (mine, gate) = Bed::gated();
        let config = Config { max_streams: 16, ..Config::default() };
        let both = Both::with(&bench, asking(), mine, config).await;
        let calls: Vec<_> = (0..40).map(|n| both.client.run(n.to_string()).start()).collect();
        both.theirs.until_running(40).await;
        both.mine.until_running(16).await;
        gate.open();
        for call in calls {
            within(secs(5), call).await.unwrap();
        }
        assert_eq!((both.mine.finished(), both.mine.dropped()), (40, 0));
        both.finish().await;
    });
}

#[test]
fn sides_that_wait_for_each_other_are_ended_by_the_deadline() {
    bench(async |bench| {
        // Each handler calls the other side, without end, until the client takes no more.
        let endless = async |input: String| caller().run(input).await;
        let config = Config { max_streams: 16, ..Config::default() };
        let both = Both::with(&bench, Bed::new(endless), Bed::new(endless), config).await;
        let began = Instant::now();
        let status = within(secs(5), both.client.run("loop".into()).timeout(ms(500))).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!(began.elapsed() < secs(2), "{:?}", began.elapsed());
        assert!(both.mine.started() >= 16, "{:?}", both.mine);
        until("all handlers are gone", || both.theirs.running() + both.mine.running() == 0).await;
        both.finish().await;
    });
}

#[test]
fn a_client_that_serves_nothing_says_what_to_do() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(LabServer::new(asking()))).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let seen = Arc::new(Mutex::new(None));
        let note = seen.clone();
        let theirs = Bed::new(move |input: String| {
            let note = note.clone();
            async move {
                *note.lock().unwrap() = caller().run(input).await.err();
                Ok(String::new())
            }
        });
        let other = bench.serve(Server::builder().service(LabServer::new(theirs))).await;
        let asked = LabClient::connect(other.local_addr()).await.unwrap();
        asked.run("x".into()).await.unwrap();
        let status = seen.lock().unwrap().take().unwrap();
        assert_eq!((status.code(), status.certainty()), (Code::Unimplemented, Certainty::NotExecuted));
        assert!(status.message().contains("test.Lab"), "{status}");
        assert!(status.message().contains("Channel::builder(…).serve(…)"), "{status}");
        // What is passed on with `?` is the handler's error by then.
        let status = client.run("x".into()).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unimplemented, Certainty::Executed));
        drop((client, asked));
        drained(server).await;
        drained(other).await;
    });
}

#[test]
fn outside_of_a_handler_there_is_nobody_to_call() {
    bench(async |_| {
        let status = caller().run("x".into()).wait_for_ready().await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::FailedPrecondition, Certainty::NotSent));
        assert!(status.message().contains("handler"), "{status}");
    });
}

#[test]
fn a_caller_that_left_is_known_to_be_gone_at_once() {
    bench(async |bench| {
        let (bed, kept) = keeping();
        let both = Both::new(&bench, bed, Bed::stuck()).await;
        both.client.run("hello".into()).await.unwrap();
        let listener = kept.last();
        let Both { server, client, .. } = both;
        until_channel_quiet(client.channel()).await;
        drop(client);
        until("a held caller does not hold the connection", || server.snapshot().connections == 0).await;
        let began = Instant::now();
        for call in [listener.run("x".into()), listener.run("y".into()).wait_for_ready()] {
            let status = within(secs(2), call).await.unwrap_err();
            assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent));
            assert!(status.message().contains("caller 127.0.0.1:"), "{status}");
        }
        assert!(began.elapsed() < secs(1));
        assert!(!listener.channel().snapshot().connected);
        drained(server).await;
    });
}

#[test]
fn a_callback_that_was_under_way_as_the_client_died_may_have_run() {
    bench(async |bench| {
        let (bed, kept) = keeping();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let proxy = Proxy::to(server.local_addr());
        let mine = Bed::stuck();
        let log = mine.log();
        let channel = Channel::builder(proxy.address()).serve(LabServer::new(mine)).build().unwrap();
        let client = LabClient::new(channel);
        client.run("hello".into()).await.unwrap();
        let listener = kept.last();
        let callback = tokio::spawn(listener.run("under way".into()));
        log.until_running(1).await;
        let began = Instant::now();
        proxy.cut();
        let status = within(secs(3), callback).await.unwrap().unwrap_err();
        assert!(began.elapsed() < secs(2), "at once, not at the deadline");
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::Unknown), "{status}");
        until("the callback's handler is dropped", || log.dropped() == 1).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_channel_that_goes_finishes_the_callbacks_that_run_and_takes_no_more() {
    bench(async |bench| {
        let (bed, kept) = keeping();
        let (mine, gate) = Bed::gated();
        let both = Both::new(&bench, bed, mine).await;
        both.client.run("hello".into()).await.unwrap();
        let listener = kept.last();
        let running = tokio::spawn(listener.run("running".into()));
        both.mine.until_running(1).await;

        let Both { server, client, mine, .. } = both;
        until("nothing else is under way", || client.channel().snapshot().calls == 0).await;
        drop(client);
        until("the server has heard", || !listener.channel().snapshot().connected).await;
        let status = within(secs(2), listener.run("late".into())).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent), "{status}");
        assert!(status.message().contains("leaving"), "{status}");
        assert_eq!((server.snapshot().connections, mine.runs("late")), (1, 0));
        gate.open();
        assert_eq!(within(secs(2), running).await.unwrap().unwrap(), "running");
        until("the connection is gone", || server.snapshot().connections == 0).await;
        drained(server).await;
    });
}

#[test]
fn a_server_that_drains_finishes_handlers_with_the_callbacks_that_they_need() {
    bench(async |bench| {
        let theirs = Bed::new(async |input: String| {
            for n in 0..3 {
                caller().run(format!("{input} {n}")).await?;
            }
            Ok(input)
        });
        let (mine, gate) = Bed::gated();
        let Both { server, client, mine, .. } = Both::new(&bench, theirs, mine).await;
        let call = client.run("step".into()).start();
        mine.until_running(1).await;
        let draining = tokio::spawn(server.drain(secs(10)));
        until("the client has heard", || !client.channel().snapshot().connected).await;
        // Two of the callbacks are only made now.
        gate.open();
        assert_eq!(within(secs(5), call).await.unwrap(), "step");
        let report = within(secs(5), draining).await.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(mine.finished(), 3);
        until_channel_quiet(client.channel()).await;
    });
}

#[test]
fn after_a_drain_a_caller_that_was_kept_is_gone() {
    bench(async |bench| {
        let (bed, kept) = keeping();
        let Both { server, client, mine, .. } = Both::new(&bench, bed, Bed::echoing()).await;
        client.run("hello".into()).await.unwrap();
        assert!(drained(server).await < secs(1), "a caller that is kept holds nothing up");
        let status = within(secs(1), kept.last().run("late".into())).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent), "{status}");
        assert_eq!(mine.started(), 0);
        drop(client);
    });
}

#[test]
fn a_client_that_connects_again_is_another_caller() {
    bench(async |bench| {
        // The guide's way to be called for long: a call that stays open, and is made again when it fails.
        let subscribers = Kept::default();
        let inside = subscribers.clone();
        let theirs = Bed::new(move |_| {
            inside.0.lock().unwrap().push(caller());
            async move { Err(Context::current().cancelled().await) }
        });
        let server = bench.serve(Server::builder().service(LabServer::new(theirs))).await;
        let proxy = Proxy::to(server.local_addr());
        let mine = Bed::echoing();
        let log = mine.log();
        let backoff = Backoff { base: ms(2), factor: 1.0, max: ms(2) };
        let builder = Channel::builder(proxy.address()).backoff(backoff).no_timeout();
        let client = LabClient::new(builder.serve(LabServer::new(mine)).build().unwrap());
        let subscription = tokio::spawn({
            let client = client.clone();
            async move {
                loop {
                    let status = client.run("subscribe".into()).wait_for_ready().await.unwrap_err();
                    assert_eq!(status.code(), Code::Unavailable, "{status}");
                }
            }
        });
        let count = || subscribers.0.lock().unwrap().len();
        until("it has subscribed", || count() == 1).await;
        let first = subscribers.last();
        first.run("one".into()).await.unwrap();
        proxy.cut();
        until("it has subscribed again", || count() == 2).await;
        subscribers.last().run("two".into()).await.unwrap();
        assert_eq!(first.run("three".into()).await.unwrap_err().certainty(), Certainty::NotSent);
        assert_eq!((log.runs("one"), log.runs("two"), log.runs("three")), (1, 1, 0));
        subscription.abort();
        let _ = subscription.await;
        until_server_quiet(&server).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn unix_memory_and_local_connections_carry_callbacks() {
    bench(async |bench| {
        let dir = tempfile::tempdir().unwrap();
        let unix = format!("unix://{}", dir.path().join("lab.sock").display());
        for address in [unix.as_str(), "memory://callbacks"] {
            let server = bench.serve_at(Server::builder().service(LabServer::new(asking())), address).await;
            let builder = Channel::builder(server.local_addr()).serve(LabServer::new(Bed::echoing()));
            let client = LabClient::new(builder.build().unwrap());
            assert_eq!(client.run(address.into()).await.unwrap(), address);
            quiet(&server, client.channel()).await;
            drop(client);
            drained(server).await;
        }
        let local = rpc_core::client::Builder::local(Server::builder().service(LabServer::new(asking())));
        let client = LabClient::new(local.serve(LabServer::new(Bed::echoing())).build().unwrap());
        assert_eq!(client.run("local".into()).await.unwrap(), "local");
        until_channel_quiet(client.channel()).await;

        let alone = LabClient::local(asking());
        assert_eq!(alone.run("x".into()).await.unwrap_err().code(), Code::Unimplemented);
    });
}

#[test]
fn a_handler_s_metadata_goes_with_its_error_too() {
    bench(async |bench| {
        let bed = Bed::new(async |input: String| {
            Context::current().set_reply_metadata("rows", "7")?;
            if input == "bad" {
                return Err(Status::not_found("nothing").with_metadata("own", "1"));
            }
            let error = Context::current().set_reply_metadata("not a name", "").unwrap_err();
            Ok(error.to_string())
        });
        let pair = bench.pair(bed).await;
        let reply = pair.client.run("good".into()).reply().await.unwrap();
        assert_eq!(reply.metadata.iter().collect::<Vec<_>>(), [("rows", b"7".as_slice())]);
        assert!(reply.value.contains("not a name"), "{}", reply.value);
        let reply = pair.client.echo("next".into()).reply().await.unwrap();
        assert!(reply.metadata.is_empty(), "the next call's reply has nothing of the one before");
        let status = pair.client.run("bad".into()).await.unwrap_err();
        assert_eq!((status.metadata().get("rows"), status.metadata().get("own")), (Some("7"), Some("1")));
        pair.finish().await;
    });
}

#[test]
fn both_sides_may_end_at_once_and_what_runs_is_finished() {
    bench(async |bench| {
        let (bed, kept) = keeping();
        let (mine, gate) = Bed::gated();
        let Both { server, client, mine, .. } = Both::new(&bench, bed, mine).await;
        client.run("hello".into()).await.unwrap();
        let running = tokio::spawn(kept.last().run("running".into()));
        mine.until_running(1).await;
        until("nothing else is under way", || client.channel().snapshot().calls == 0).await;
        let draining = tokio::spawn(server.drain(secs(10)));
        drop(client);
        until("the server has heard", || !kept.last().channel().snapshot().connected).await;
        assert!(!draining.is_finished() && !running.is_finished());
        gate.open();
        assert_eq!(within(secs(2), running).await.unwrap().unwrap(), "running");
        let report = within(secs(2), draining).await.unwrap();
        assert!(report.is_clean() && report.took < secs(5), "{report}");
    });
}

/// A client that is served through a proxy.
fn through(proxy: &Proxy, mine: Bed) -> LabClient {
    LabClient::new(Channel::builder(proxy.address()).serve(LabServer::new(mine)).build().unwrap())
}

#[test]
fn a_server_that_forgets_its_caller_leaves_the_connection_alone() {
    bench(async |bench| {
        let (bed, kept) = keeping();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let proxy = Proxy::to(server.local_addr());
        let client = through(&proxy, Bed::echoing());
        for text in ["one", "two", "three"] {
            client.run(text.into()).await.unwrap();
            kept.last().echo(text.into()).await.unwrap();
            drop(kept.0.lock().unwrap().drain(..));
        }
        assert_eq!(proxy.accepted(), 1);
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_callback_that_crosses_the_end_of_the_channel_is_still_served() {
    bench(async |bench| {
        let (bed, kept) = keeping();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let proxy = Proxy::to(server.local_addr());
        proxy.delay(ms(50));
        let client = through(&proxy, Bed::echoing());
        client.run("hello".into()).await.unwrap();
        until_channel_quiet(client.channel()).await;
        let listener = kept.last();
        let crossing = tokio::spawn(listener.run("in the air".into()));
        until("it is on its way", || listener.channel().snapshot().calls == 1).await;
        drop(client);
        assert_eq!(within(secs(5), crossing).await.unwrap().unwrap(), "in the air");
        drained(server).await;
    });
}

#[test]
fn a_callback_after_the_drain_s_last_word_fails_at_once_while_the_client_still_reads() {
    bench(async |bench| {
        let (bed, kept) = keeping();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let mut raw = Raw::client(server.local_addr()).await;
        let mut header = bytes::BytesMut::new();
        put_bytes(&mut header, 2, b"test.Lab/Run");
        raw.send(&frame(Kind::REQUEST, 0x01, 1, &header, b"")).await;
        raw.next(Kind::RESPONSE).await;
        let draining = tokio::spawn(server.drain(secs(10)));
        raw.next(Kind::DRAIN).await;
        let ping = raw.next(Kind::PING).await;
        raw.send(&frame(Kind::PONG, 0, 0, &ping.header, &[])).await;
        raw.next(Kind::DRAIN).await;
        let status = within(secs(2), kept.last().run("late".into())).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent), "{status}");
        assert!(!draining.is_finished(), "the socket is read to its end");
        drop(raw);
        assert!(draining.await.unwrap().is_clean());
    });
}

/// Connects by TCP to a server whose name, as the connection keeps it, the test can count.
#[derive(Debug)]
struct Named(Arc<str>);

impl Connector for Named {
    fn connect(&self, address: &Address) -> BoxFuture<std::io::Result<(BoxIo, Peer)>> {
        let (connecting, name) = (DefaultConnector.connect(address), self.0.clone());
        Box::pin(async move { connecting.await.map(|(io, _)| (io, Peer::new(name))) })
    }
}

#[test]
fn a_connection_is_freed_once_nobody_keeps_it() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(LabServer::new(asking()))).await;
        let name: Arc<str> = "counted".into();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let inside = kept.clone();
        let mine = Bed::new(move |input: String| {
            inside.lock().unwrap().push((Context::current(), caller()));
            async move {
                if input == "stuck" {
                    std::future::pending::<()>().await;
                }
                Ok(input)
            }
        });
        let log = mine.log();
        let builder = Channel::builder(server.local_addr()).connector(Named(name.clone()));
        let client = LabClient::new(builder.serve(LabServer::new(mine)).build().unwrap());
        client.run("x".into()).await.unwrap();
        // One that has a task, and is ended.
        let stuck = client.run("stuck".into()).start();
        log.until_running(1).await;
        drop(stuck);
        until("it is dropped", || log.running() == 0).await;
        until_channel_quiet(client.channel()).await;
        drop(client);
        until("the connection is gone", || server.snapshot().connections == 0).await;
        let (context, caller) = kept.lock().unwrap().pop().unwrap();
        kept.lock().unwrap().clear();
        drop(context);
        let status = caller.run("x".into()).await.unwrap_err();
        assert!(status.message().contains("the caller counted is gone"), "{status}");
        assert!(Arc::strong_count(&name) > 1, "the caller knows whose it is");
        drop(caller);
        until("nobody knows the connection", || Arc::strong_count(&name) == 1).await;
        drained(server).await;
    });
}
