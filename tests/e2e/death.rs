//! Connections that die, and what a caller may believe of the calls on them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::future::join_all;
use rpc_core::client::Backoff;
use rpc_core::{Certainty, Channel, Code, Server};

use crate::support::raw::{RawServer, frame};
use crate::support::{
    Bed, Faults, LabClient, LabServer, Proxy, bench, drained, ms, quiet, secs, until, until_server_quiet,
    within,
};

fn quick() -> Backoff {
    Backoff { base: ms(2), factor: 1.0, max: ms(2) }
}

fn client(proxy: &Proxy) -> LabClient {
    LabClient::new(Channel::builder(proxy.address()).backoff(quick()).build().unwrap())
}

#[test]
fn a_call_that_never_left_was_not_sent() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(LabServer::new(Bed::echoing()))).await;
        let proxy = Proxy::to(server.local_addr());
        let client = client(&proxy);
        client.echo("warm".into()).await.unwrap();
        // Nothing is read any more: the sockets fill, and the last calls cannot leave.
        proxy.stop(true);
        let mut calls: Vec<_> = (0..40).map(|_| client.blob(vec![0; 500_000].into()).start()).collect();
        let last = client.run("last".into()).start();
        until("all are under way", || client.channel().snapshot().calls == 41).await;
        // What was not sent is moved to the next connection; there is none.
        proxy.set_server(None);
        proxy.cut();
        let began = Instant::now();
        // The last blob waited for credit, and so cannot have been run.
        let status = within(secs(3), calls.pop().unwrap()).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent), "{status}");
        for call in calls {
            let status = within(secs(3), call).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{status}");
            assert!(matches!(status.certainty(), Certainty::Unknown | Certainty::NotSent), "{status:?}");
        }
        // It is small and may have overtaken them; if it failed it says so.
        if let Err(status) = within(secs(3), last).await {
            assert_eq!(status.code(), Code::Unavailable, "{status}");
        }
        assert!(began.elapsed() < secs(2), "at once, not at the deadline: {:?}", began.elapsed());
        proxy.stop(false);
        proxy.set_server(Some(server.local_addr()));
        until_server_quiet(&server).await;
        assert_eq!(within(secs(5), client.echo("again".into()).wait_for_ready()).await.unwrap(), "again");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_call_in_its_handler_may_have_been_run() {
    bench(async |bench| {
        let bed = Bed::stuck();
        let log = bed.log();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let proxy = Proxy::to(server.local_addr());
        let client = client(&proxy);
        let calls: Vec<_> = (0..10).map(|n| client.run(n.to_string()).start()).collect();
        log.until_running(10).await;
        proxy.cut();
        for result in within(secs(3), join_all(calls)).await {
            let status = result.unwrap_err();
            assert_eq!(
                (status.code(), status.certainty()),
                (Code::Unavailable, Certainty::Unknown),
                "{status}"
            );
        }
        log.until_running(0).await;
        assert_eq!(log.dropped(), 10, "nobody waits for them any more");
        until_server_quiet(&server).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_connection_may_die_at_any_byte() {
    bench(async |bench| {
        let bed = Bed::echoing();
        let log = bed.log();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let proxy = Proxy::to(server.local_addr());
        let mut ended = HashMap::new();
        for bytes in (1..400).step_by(7) {
            for up in [true, false] {
                let faults = Faults { cut_after: bytes, piece: 64, ..Faults::default() };
                proxy.up(if up { faults } else { Faults::default() });
                proxy.down(if up { Faults::default() } else { faults });
                let client = client(&proxy);
                let id = format!("{bytes}-{up}");
                let result = within(secs(5), client.run(id.clone())).await;
                let runs = log.runs(&id);
                let kind = match result {
                    Ok(text) => {
                        assert_eq!((text, runs), (id, 1));
                        "ok"
                    }
                    Err(status) => {
                        assert_eq!(status.code(), Code::Unavailable, "{status}");
                        match status.certainty() {
                            Certainty::NotSent | Certainty::NotExecuted => assert_eq!(runs, 0, "{status}"),
                            Certainty::Executed => assert_eq!(runs, 1, "{status}"),
                            _ => assert!(runs <= 1, "{status}"),
                        }
                        "failed"
                    }
                };
                *ended.entry((up, kind)).or_insert(0) += 1;
            }
        }
        assert!(ended.contains_key(&(true, "failed")) && ended.contains_key(&(false, "failed")), "{ended:?}");
        until_server_quiet(&server).await;
        drained(server).await;
    });
}

#[test]
fn half_closing_a_connection_ends_it_for_both_sides() {
    bench(async |bench| {
        let bed = Bed::stuck();
        let log = bed.log();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        for up in [true, false] {
            let proxy = Proxy::to(server.local_addr());
            let client = client(&proxy);
            let call = client.run("x".into()).start();
            log.until_running(1).await;
            if up {
                proxy.close_up();
            } else {
                proxy.close_down();
            }
            let status = within(secs(3), call).await.unwrap_err();
            assert_eq!(
                (status.code(), status.certainty()),
                (Code::Unavailable, Certainty::Unknown),
                "{status}"
            );
            log.until_running(0).await;
            until_server_quiet(&server).await;
        }
        drained(server).await;
    });
}

#[test]
fn no_call_is_run_twice_and_none_that_is_said_not_to_have_run_has() {
    bench(async |bench| {
        let bed = Bed::new(async |input| {
            tokio::task::yield_now().await;
            Ok(input)
        });
        let log = bed.log();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let proxy = Arc::new(Proxy::to(server.local_addr()));
        let client = LabClient::new(
            Channel::builder(proxy.address()).backoff(quick()).wait_for_ready().build().unwrap(),
        );
        let results = Arc::new(Mutex::new(Vec::new()));
        let mut load = tokio::task::JoinSet::new();
        for worker in 0..8 {
            let (client, results) = (client.clone(), results.clone());
            load.spawn(async move {
                for call in 0..300 {
                    let id = format!("{worker}-{call}");
                    let result = client.run(id.clone()).timeout(secs(20)).await;
                    results.lock().unwrap().push((id, result));
                }
            });
        }
        let cutter = {
            let proxy = proxy.clone();
            tokio::spawn(async move {
                loop {
                    tokio::time::sleep(ms(7)).await;
                    proxy.cut();
                }
            })
        };
        while let Some(done) = load.join_next().await {
            done.unwrap();
        }
        cutter.abort();
        until_server_quiet(&server).await;
        let mut counts: HashMap<&str, u32> = HashMap::new();
        for (id, result) in results.lock().unwrap().drain(..) {
            let runs = log.runs(&id);
            assert!(runs <= 1, "{id} was run {runs} times");
            match result {
                Ok(text) => {
                    assert_eq!((text, runs), (id, 1));
                    *counts.entry("ok").or_default() += 1;
                }
                Err(status) => {
                    match status.certainty() {
                        Certainty::NotSent | Certainty::NotExecuted => assert_eq!(runs, 0, "{id}: {status}"),
                        Certainty::Executed => assert_eq!(runs, 1, "{id}: {status}"),
                        _ => {}
                    }
                    *counts.entry("failed").or_default() += 1;
                }
            }
        }
        assert!(counts["ok"] > 1_000, "{counts:?}");
        assert!(proxy.accepted() > 3, "the proxy did cut");
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_reply_for_a_call_that_is_over_reaches_nobody_else() {
    bench(async |_| {
        use rpc_core::wire::Kind;
        // It answers the first call twice, and late, under the ids that it had.
        let server = RawServer::new(|mut raw| async move {
            raw.accept().await;
            let mut first = None;
            loop {
                let Ok(next) = raw.frame().await else { return };
                if next.kind() != Kind::REQUEST {
                    continue;
                }
                let id = next.prefix.stream;
                let first = *first.get_or_insert(id);
                // A string field of that content, in protobuf.
                let body = |text: u64| format!("\x0a\x04{text:04}").into_bytes();
                raw.send(&frame(Kind::RESPONSE, 1, first, &[], &body(first))).await;
                raw.send(&frame(Kind::RESPONSE, 1, id, &[], &body(id))).await;
                raw.send(&frame(Kind::RESPONSE, 1, id, &[], &body(9_999))).await;
            }
        })
        .await;
        let client = LabClient::connect(server.address).await.unwrap();
        let mut last = String::new();
        for _ in 0..20 {
            let text = within(secs(3), client.run("x".into())).await.unwrap();
            assert!(text > last && text != "9999", "{text} after {last}");
            last = text;
        }
    });
}
