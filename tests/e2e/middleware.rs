//! The built-in layers, over real sockets.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rpc_core::balance::RoundRobin;
use rpc_core::context::TraceContext;
use rpc_core::middleware::{
    CatchPanicLayer, ConcurrencyLimitLayer, Next, RetryLayer, TimeoutLayer, TraceLayer, from_fn, retry,
};
use rpc_core::{Certainty, Channel, Code, Context, Request, Server, Status};
use tracing_subscriber::util::SubscriberInitExt;

use crate::support::lab::lab;
use crate::support::{Bed, LabClient, LabServer, Proxy, bench, drained, ms, quiet, secs, until};

fn patient() -> retry::Policy {
    retry::Policy { attempts: 20, base: ms(20), max: ms(100) }
}

#[test]
fn a_cut_connection_costs_no_idempotent_call_and_runs_no_other_twice() {
    bench(async |bench| {
        let runs = Arc::new(AtomicUsize::new(0));
        let count = runs.clone();
        let lab = Bed::new(move |input| {
            let count = count.clone();
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(ms(2)).await;
                Ok(input)
            }
        });
        let server = bench.serve(Server::builder().service(LabServer::new(lab))).await;
        let proxy = Proxy::to(server.local_addr());
        let channel = Channel::builder(proxy.address())
            .layer(RetryLayer::new(patient()))
            .timeout(secs(20))
            .build()
            .unwrap();
        let client = LabClient::new(channel);
        let (mut asked, mut unknown) = (0, 0);
        for round in 0..10 {
            let echoes: Vec<_> = (0..20).map(|n| client.echo(format!("{round} {n}")).start()).collect();
            let others: Vec<_> = (0..5).map(|n| client.run(format!("{round} {n}")).start()).collect();
            asked += others.len();
            proxy.cut();
            for (n, echo) in echoes.into_iter().enumerate() {
                assert_eq!(echo.await.unwrap(), format!("{round} {n}"));
            }
            for other in others {
                if let Err(status) = other.await {
                    // What may have run was not tried again.
                    assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::Unknown));
                    unknown += 1;
                }
            }
        }
        let runs = runs.load(Ordering::SeqCst);
        assert!(runs <= asked && runs >= asked - unknown, "{asked} asked, {unknown} unknown, {runs} run");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_server_that_hangs_is_escaped_by_a_timeout_for_each_attempt() {
    bench(async |bench| {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        // It does its work, and never says so.
        let hangs = from_fn(move |request, next: Next| {
            count.fetch_add(1, Ordering::SeqCst);
            async move {
                let _ = next.run(request).await;
                std::future::pending().await
            }
        });
        let stuck = Server::builder().service(LabServer::new(Bed::echoing())).layer(hangs);
        let stuck = bench.serve_layered(stuck).await;
        let well = bench.serve(Server::builder().service(LabServer::new(Bed::echoing()))).await;
        let servers = format!("static://{},{}", stuck.local_addr(), well.local_addr());
        let channel = Channel::builder(servers.as_str())
            .balancer(RoundRobin)
            .timeout(secs(10))
            .layer(RetryLayer::new(retry::Policy { attempts: 3, base: ms(1), max: ms(1) }))
            .layer(TimeoutLayer::new(ms(100)))
            .build()
            .unwrap();
        let client = LabClient::new(channel);
        // Whether the list has both servers yet or not, whoever goes to the one that hangs gets an answer of the other.
        let mut asked_before = 0;
        for n in 0..20 {
            assert_eq!(client.echo(n.to_string()).await.unwrap(), n.to_string());
            asked_before = asked.load(Ordering::SeqCst);
            if n > 2 && asked_before > 0 {
                break;
            }
        }
        assert!(asked_before > 0, "some of them went there first");
        // What may have run there is not run again.
        for _ in 0..20 {
            if let Err(status) = client.run("once".into()).await {
                assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
                break;
            }
        }
        assert_eq!(asked.load(Ordering::SeqCst), asked_before + 1);
        drop(client);
        drained(well).await;
        stuck.drain(ms(100)).await;
    });
}

#[test]
fn the_retry_bit_reaches_the_next_hop_and_stops_the_retries_there() {
    bench(async |bench| {
        // Nothing reaches the far server: what is below the near one's retry layer refuses, unexecuted.
        let asked = Arc::new(AtomicUsize::new(0));
        let far_server = bench.serve(Server::builder().service(LabServer::new(Bed::echoing()))).await;
        let policy = retry::Policy { attempts: 3, base: ms(1), max: ms(1) };
        let count = asked.clone();
        let refuse = tower::layer::layer_fn(move |_| {
            let count = count.clone();
            tower::service_fn(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                std::future::ready(Err::<rpc_core::Response, _>(
                    Status::unavailable("not now").with_certainty(Certainty::NotExecuted),
                ))
            })
        });
        let to_far = Channel::builder(far_server.local_addr())
            .layer(RetryLayer::new(policy))
            .layer(refuse)
            .build()
            .unwrap();
        let far_client = LabClient::new(to_far);
        let through = far_client.clone();
        let near = Bed::new(move |input| {
            let through = through.clone();
            async move { through.run(input).await }
        });
        let near_server = bench.serve(Server::builder().service(LabServer::new(near))).await;
        let client = LabClient::connect(near_server.local_addr()).await.unwrap();

        client.run("first".into()).await.unwrap_err();
        assert_eq!(asked.swap(0, Ordering::SeqCst), 3, "nobody above tries again: this hop does");

        // The same call as a caller's layer sends it that tries again.
        let method = lab::DESCRIPTOR.method("Run").unwrap();
        let mut again = Request::new(method, 0, &b"\x0a\x05again"[..]);
        again.set_attempt(1);
        client.channel().send(again).await.unwrap_err();
        assert_eq!(asked.load(Ordering::SeqCst), 1, "somebody above tries again: this hop does not");

        quiet(&near_server, client.channel()).await;
        drop(client);
        drained(near_server).await;
        drop(far_client);
        drained(far_server).await;
    });
}

#[test]
fn a_layer_that_leaves_the_deadline_out_does_not_make_the_call_wait_for_ever() {
    bench(async |bench| {
        let forgets = || {
            from_fn(|request: Request, next: Next| async move {
                next.run(Request::new(request.method(), request.codec(), request.into_body())).await
            })
        };
        let server = bench.serve(Server::builder().service(LabServer::new(Bed::stuck()))).await;
        // It is sent to the one, and the other never says a word.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for to in [server.local_addr().to_string(), silent.local_addr().unwrap().to_string()] {
            let channel = Channel::builder(to.as_str()).layer(forgets()).build().unwrap();
            let client = LabClient::new(channel);
            let call = async { client.run("x".into()).timeout(ms(100)).wait_for_ready().await };
            let began = Instant::now();
            // Whatever else wakes the task lets the call see that it is late: what counts is when.
            let status = tokio::time::timeout(secs(5), call).await.expect("it hangs").unwrap_err();
            assert!(began.elapsed() < secs(2), "{:?}", began.elapsed());
            assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        }
        drained(server).await;
    });
}

#[test]
fn a_trace_goes_on_over_hops_with_a_span_of_its_own_for_each() {
    // Somebody listens, on every thread; other tests in this process may not mind.
    let _ = tracing_subscriber::registry().try_init();
    bench(async |bench| {
        let seen: Arc<Mutex<Vec<TraceContext>>> = Arc::default();
        let note = |seen: &Arc<Mutex<Vec<TraceContext>>>| {
            seen.lock().unwrap().push(Context::current().trace().expect("a trace"));
        };
        let at_far = seen.clone();
        let far = Bed::new(move |input| {
            let at_far = at_far.clone();
            async move {
                note(&at_far);
                Ok(input)
            }
        });
        let far_server = bench
            .serve_layered(Server::builder().layer(TraceLayer::server()).service(LabServer::new(far)))
            .await;
        let to_far = Channel::builder(far_server.local_addr()).layer(TraceLayer::client()).build().unwrap();
        let far_client = LabClient::new(to_far);
        let (through, at_near) = (far_client.clone(), seen.clone());
        let near = Bed::new(move |input| {
            let through = through.clone();
            let at_near = at_near.clone();
            async move {
                note(&at_near);
                through.run(input).await
            }
        });
        let near_server = bench
            .serve_layered(Server::builder().layer(TraceLayer::server()).service(LabServer::new(near)))
            .await;
        let channel = Channel::builder(near_server.local_addr()).layer(TraceLayer::client()).build().unwrap();
        let client = LabClient::new(channel);

        let root = TraceContext::new_root();
        Context::background().with_trace(root).scope(async { client.run("x".into()).await.unwrap() }).await;
        let [near, far] = seen.lock().unwrap()[..] else { panic!("two handlers") };
        assert!(near.trace_id == root.trace_id && far.trace_id == root.trace_id);
        assert!(near.span_id != root.span_id && far.span_id != near.span_id && far.span_id != root.span_id);
        quiet(&near_server, client.channel()).await;
        drop(client);
        drained(near_server).await;
        quiet(&far_server, far_client.channel()).await;
        drop(far_client);
        drained(far_server).await;
    });
}

#[test]
fn a_servers_limit_lets_some_run_some_wait_and_refuses_the_rest_unexecuted() {
    bench(async |bench| {
        let (lab, gate) = Bed::gated();
        let log = lab.log();
        let limit = ConcurrencyLimitLayer::new(2).with_queue(1);
        let server = bench.serve_layered(Server::builder().layer(limit).service(LabServer::new(lab))).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let mut calls: Vec<_> = (0..2).map(|n| client.run(n.to_string()).start()).collect();
        until("two run", || log.running() == 2).await;
        calls.push(client.run("waits".into()).start());
        until("one waits", || server.snapshot().calls == 3).await;
        let refused = client.run("refused".into()).await.unwrap_err();
        assert_eq!((refused.code(), refused.certainty()), (Code::ResourceExhausted, Certainty::NotExecuted));
        assert_eq!(log.running(), 2);
        gate.open();
        for call in calls {
            call.await.unwrap();
        }
        assert_eq!(log.runs("refused"), 0);
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_servers_timeout_holds_however_long_its_caller_would_wait() {
    bench(async |bench| {
        let lab = Bed::stuck();
        let log = lab.log();
        let builder = Server::builder().layer(TimeoutLayer::new(ms(50)));
        let server = bench.serve_layered(builder.service(LabServer::new(lab))).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let began = Instant::now();
        let status = client.run("x".into()).timeout(secs(30)).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!(began.elapsed() < secs(5), "{:?}", began.elapsed());
        until("the handler is gone", || log.running() == 0).await;
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_panic_below_a_catching_layer_is_a_status_above_it() {
    bench(async |bench| {
        let lab = Bed::new(async |input| {
            assert!(input != "bad", "a secret");
            Ok(input)
        });
        let builder = Server::builder().layer(CatchPanicLayer::new());
        let server = bench.serve_layered(builder.service(LabServer::new(lab))).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let status = client.run("bad".into()).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Internal, Certainty::Executed));
        assert!(!status.message().contains("secret"), "{status}");
        assert_eq!(client.run("good".into()).await.unwrap(), "good");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}
