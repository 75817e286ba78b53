//! The orderly end of a server, whatever runs at the time.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use rpc_core::client::Backoff;
use rpc_core::wire::Kind;
use rpc_core::wire::field::{put_bytes, put_number};
use rpc_core::{Certainty, Channel, Code, Server};

use crate::support::raw::{Raw, RawServer, frame};
use crate::support::{
    Bed, LabClient, LabServer, bench, drained, ms, secs, until, until_channel_quiet, within,
};

fn builder(bed: Bed) -> rpc_core::server::Builder {
    Server::builder().service(LabServer::new(bed))
}

#[test]
fn an_idle_server_is_gone_at_once() {
    bench(async |bench| {
        let server = bench.serve(builder(Bed::echoing())).await;
        let clients = [
            LabClient::connect(server.local_addr()).await.unwrap(),
            LabClient::connect(server.local_addr()).await.unwrap(),
        ];
        assert!(drained(server).await < secs(1));
        drop(clients);
        let server = bench.serve(builder(Bed::echoing())).await;
        assert!(drained(server).await < secs(1), "nobody was ever connected");
    });
}

#[test]
fn calls_that_run_are_finished_and_answered() {
    bench(async |bench| {
        let (bed, gate) = Bed::gated();
        let log = bed.log();
        let server = bench.serve(builder(bed)).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let calls: Vec<_> = (0..100).map(|n| client.run(n.to_string()).start()).collect();
        client.note("a oneway call".into()).await.unwrap();
        log.until_running(101).await;

        let draining = tokio::spawn(server.drain(secs(10)));
        until("the client has heard", || !client.channel().snapshot().connected).await;
        assert!(!draining.is_finished());
        gate.open();
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(within(secs(5), call).await.unwrap(), n.to_string());
        }
        let report = within(secs(5), draining).await.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!((log.finished(), log.dropped()), (101, 0));
        until_channel_quiet(client.channel()).await;
    });
}

#[test]
fn later_calls_go_to_the_next_server_without_an_error() {
    bench(async |bench| {
        let (bed, gate) = Bed::gated();
        let log = bed.log();
        let old = bench.serve(builder(bed)).await;
        let address = old.local_addr().to_string();
        let backoff = Backoff { base: ms(10), factor: 1.0, max: ms(10) };
        let channel = Channel::builder(address.as_str()).backoff(backoff).wait_for_ready().build().unwrap();
        let client = LabClient::new(channel);
        let running = client.run("old".into()).start();
        log.until_running(1).await;

        let draining = tokio::spawn(old.drain(secs(10)));
        until("the client has heard", || !client.channel().snapshot().connected).await;
        let next = Bed::echoing();
        let new = bench.serve_at(builder(next.clone()), &address).await;
        assert_eq!(within(secs(5), client.run("new".into())).await.unwrap(), "new");
        assert_eq!((next.log().runs("new"), log.runs("new")), (1, 0));
        gate.open();
        assert_eq!(running.await.unwrap(), "old");
        assert!(draining.await.unwrap().is_clean());
        drop(client);
        drained(new).await;
    });
}

#[test]
fn calls_under_load_survive_restarts() {
    bench(async |bench| {
        let mut server = bench.serve(builder(Bed::echoing())).await;
        let address = server.local_addr().to_string();
        let backoff = Backoff { base: ms(5), factor: 1.0, max: ms(5) };
        let channel = Channel::builder(address.as_str()).backoff(backoff).wait_for_ready().build().unwrap();
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let mut load = tokio::task::JoinSet::new();
        for worker in 0..8 {
            let (client, stop) = (LabClient::new(channel.clone()), stop.clone());
            load.spawn(async move {
                let mut calls = 0_u64;
                while !stop.load(Relaxed) {
                    let text = format!("{worker}-{calls}");
                    // Not idempotent: nobody tries again but for what was certainly not run.
                    assert_eq!(client.run(text.clone()).await.unwrap(), text);
                    calls += 1;
                }
                calls
            });
        }
        for _ in 0..10 {
            let before = server.snapshot().methods.iter().map(|method| method.ok).sum::<u64>();
            until("the load goes on", || {
                server.snapshot().methods.iter().map(|method| method.ok).sum::<u64>() > before + 100
            })
            .await;
            drained(server).await;
            server = bench.serve_at(builder(Bed::echoing()), &address).await;
        }
        stop.store(true, Relaxed);
        assert!(load.join_all().await.iter().all(|calls| *calls > 0));
        drop(channel);
        drained(server).await;
    });
}

#[test]
fn a_call_that_comes_back_is_sent_again_with_the_same_message() {
    bench(async |_| {
        let connections = AtomicUsize::new(0);
        let server = RawServer::new(move |mut raw| {
            let drains = connections.fetch_add(1, Relaxed) == 0;
            async move {
                raw.accept().await;
                loop {
                    let Ok(next) = raw.frame().await else { return };
                    if next.kind() != Kind::REQUEST {
                        continue;
                    }
                    if drains {
                        // Two words: it is going away, and has run nothing.
                        let mut last = bytes::BytesMut::new();
                        put_number(&mut last, 1, 0);
                        raw.send(&frame(Kind::DRAIN, 0, 0, &[], &[])).await;
                        raw.send(&frame(Kind::DRAIN, 0, 0, &last, &[])).await;
                    } else {
                        raw.send(&frame(Kind::RESPONSE, 1, next.prefix.stream, &[], &next.body)).await;
                    }
                }
            }
        })
        .await;
        let client = LabClient::connect(server.address).await.unwrap();
        // Not idempotent: it is sent again only because it was certainly not run.
        assert_eq!(within(secs(3), client.run("the very same".into())).await.unwrap(), "the very same");
    });
}

#[test]
fn what_is_late_at_the_limit_is_cancelled_and_named() {
    bench(async |bench| {
        let bed = Bed::stuck();
        let log = bed.log();
        let server = bench.serve(builder(bed)).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let calls = [client.run("a".into()).start(), client.run("b".into()).start()];
        client.note("c".into()).await.unwrap();
        log.until_running(3).await;
        let began = Instant::now();
        let report = within(secs(5), server.drain(ms(200))).await;
        assert!(began.elapsed() >= ms(200) && began.elapsed() < secs(2), "{:?}", began.elapsed());
        assert!(!report.is_clean());
        assert_eq!(report.late.len(), 1, "{report}");
        let mut methods = report.late[0].calls.clone();
        methods.sort_unstable();
        assert_eq!(methods, ["test.Lab/Note", "test.Lab/Run", "test.Lab/Run"]);
        assert!(report.late[0].peer.starts_with("127.0.0.1:"), "{report}");
        assert!(report.to_string().contains("test.Lab/Note"), "{report}");
        for call in calls {
            let status = within(secs(2), call).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            assert!(!status.certainty().is_safe_to_retry(), "{status:?}");
        }
        log.until_running(0).await;
        assert_eq!(log.dropped(), 3);
    });
}

#[test]
fn a_request_that_is_half_here_may_come_to_its_end() {
    bench(async |bench| {
        let bed = Bed::echoing();
        let server = bench.serve(builder(bed.clone())).await;
        let mut raw = half_a_request(&server).await;
        let draining = tokio::spawn(server.drain(secs(10)));
        raw.next(Kind::DRAIN).await;
        let ping = raw.next(Kind::PING).await;
        raw.send(&frame(Kind::PONG, 0, 0, &ping.header, &[])).await;
        // The rest of it.
        raw.send(&frame(Kind::DATA, 0, 1, &[], &[b'x'; 96])).await;
        let answer = raw.next(Kind::RESPONSE).await;
        assert_eq!((answer.prefix.stream, answer.field(16)), (1, None), "{answer:?}");
        // Everything is said: the server closes its half and waits for ours.
        drop(raw);
        let report = within(secs(5), draining).await.unwrap();
        assert!(report.is_clean(), "{report}");
        assert_eq!(bed.log().runs("blob"), 1);
    });
}

/// A client that has sent four bytes of a hundred.
async fn half_a_request(server: &Server) -> Raw {
    let mut raw = Raw::client(server.local_addr()).await;
    let mut header = bytes::BytesMut::new();
    put_bytes(&mut header, 2, b"test.Lab/Blob");
    put_number(&mut header, 32, 100);
    raw.send(&frame(Kind::REQUEST, 0x03, 1, &header, b"\x0a\x62xx")).await;
    until("it is there", || server.snapshot().calls == 1).await;
    raw
}

#[test]
fn a_request_that_stays_half_is_cut_off_at_the_limit_and_reported() {
    bench(async |bench| {
        let server = bench.serve(builder(Bed::echoing())).await;
        let raw = half_a_request(&server).await;
        let report = within(secs(5), server.drain(ms(200))).await;
        assert!(!report.is_clean(), "{report}");
        assert!(report.late[0].calls.is_empty() && report.late[0].partial == 1, "{report}");
        assert!(report.to_string().contains("messages in part"), "{report}");
        drop(raw);
    });
}

#[test]
fn a_client_that_ignores_the_drain_is_refused_and_cannot_hold_it_up() {
    bench(async |bench| {
        let (bed, gate) = Bed::gated();
        let log = bed.log();
        let server = bench.serve(builder(bed)).await;
        let mut raw = Raw::client(server.local_addr()).await;
        let request = |stream| {
            let mut header = bytes::BytesMut::new();
            put_bytes(&mut header, 2, b"test.Lab/Run");
            frame(Kind::REQUEST, 0x01, stream, &header, b"")
        };
        raw.send(&request(1)).await;
        log.until_running(1).await;
        let draining = tokio::spawn(server.drain(secs(3)));
        raw.next(Kind::DRAIN).await;
        let ping = raw.next(Kind::PING).await;
        raw.send(&frame(Kind::PONG, 0, 0, &ping.header, &[])).await;
        // The second step names the last stream that is served.
        let last = raw.next(Kind::DRAIN).await;
        assert_eq!(last.field(1), Some(&[1][..]), "{last:?}");
        raw.send(&request(3)).await;
        let refused = raw.next(Kind::RESPONSE).await;
        assert_eq!(refused.prefix.stream, 3);
        assert_eq!(refused.field(16), Some(&[Code::Unavailable as u8][..]), "{refused:?}");
        assert_eq!(refused.field(17), Some(&[Certainty::NotExecuted as u8][..]), "{refused:?}");

        gate.open();
        let answer = raw.next(Kind::RESPONSE).await;
        assert_eq!((answer.prefix.stream, answer.field(16)), (1, None));
        // It keeps the socket open all the same: the drain does not wait longer than its limit.
        let report = within(secs(5), draining).await.unwrap();
        assert!(report.is_clean(), "nothing was cut off: {report}");
        drop(raw);
        assert_eq!(log.started(), 1);
    });
}

#[test]
fn dropping_the_server_ends_everything_at_once() {
    bench(async |bench| {
        let bed = Bed::stuck();
        let log = bed.log();
        let server = bench.serve(builder(bed)).await;
        let address = server.local_addr().to_string();
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let call = client.run("x".into()).start();
        log.until_running(1).await;
        drop(server);
        let status = within(secs(2), call).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::Unknown), "{status}");
        log.until_running(0).await;
        until("the port is free", || std::net::TcpListener::bind(&address).is_ok()).await;
    });
}

#[test]
fn dropping_a_drain_ends_everything_at_once() {
    bench(async |bench| {
        let bed = Bed::stuck();
        let log = bed.log();
        let server = bench.serve(builder(bed)).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let call = client.run("x".into()).start();
        log.until_running(1).await;
        assert!(tokio::time::timeout(ms(50), server.drain(secs(60))).await.is_err());
        let status = within(secs(2), call).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        log.until_running(0).await;
    });
}

#[test]
fn a_large_reply_is_whole_before_the_connection_goes() {
    bench(async |bench| {
        for _ in 0..5 {
            let server = bench.serve(builder(Bed::echoing())).await;
            let client = LabClient::connect(server.local_addr()).await.unwrap();
            let call = client.grow(8_000_000).start();
            until("it is on its way", || server.snapshot().calls == 1 || call.is_complete()).await;
            let draining = tokio::spawn(server.drain(secs(10)));
            assert_eq!(within(secs(5), call).await.unwrap().len(), 8_000_000);
            assert!(draining.await.unwrap().is_clean());
        }
    });
}
