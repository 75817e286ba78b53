//! Several connections to one server: when they are opened, who gets which, and that none is lost.

use std::time::Instant;

use rpc_core::client::{Backoff, pool};
use rpc_core::{Certainty, Channel, Code, Server};

use crate::support::lab::{Gate, Log};
use crate::support::{
    Bed, Bench, LabClient, LabServer, Proxy, bench, drained, ms, polled, quiet, secs, until,
    until_channel_quiet, within,
};

struct Pooled {
    server: Server,
    client: LabClient,
    gate: Gate,
    log: Log,
}

/// A server whose `run` waits at a gate, and a client with this pool.
async fn pooled(bench: &Bench, config: pool::Config) -> Pooled {
    let (bed, gate) = Bed::gated();
    let log = bed.log();
    let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
    let client = client(server.local_addr(), config);
    Pooled { server, client, gate, log }
}

fn client(target: impl rpc_core::client::IntoTarget, config: pool::Config) -> LabClient {
    let backoff = Backoff { base: ms(10), factor: 1.0, max: ms(10) };
    LabClient::new(Channel::builder(target).pool(config).backoff(backoff).build().unwrap())
}

fn exclusive(max: usize) -> pool::Config {
    pool::Config { max_connections: max, exclusive: true, ..Default::default() }
}

impl Pooled {
    fn statistics(&self) -> pool::Statistics {
        self.client.channel().snapshot().pool
    }

    /// Nothing is held, no connection is lost in the books; then the server is drained.
    async fn finish(self) {
        quiet(&self.server, self.client.channel()).await;
        let statistics = self.statistics();
        let closed = statistics.closed_idle
            + statistics.closed_lifetime
            + statistics.closed_drained
            + statistics.closed_broken;
        assert_eq!(statistics.opened, statistics.open as u64 + closed, "{statistics:?}");
        assert_eq!((statistics.idle, statistics.waiting), (statistics.open, 0), "{statistics:?}");
        drop(self.client);
        drained(self.server).await;
    }
}

#[test]
fn connections_grow_with_the_calls_up_to_the_maximum_and_shrink_when_idle() {
    bench(async |bench| {
        let config = pool::Config {
            max_connections: 3,
            high_water: 4,
            idle_timeout: Some(ms(50)),
            min_idle: 1,
            ..Default::default()
        };
        let pooled = pooled(&bench, config).await;
        let mut calls = Vec::new();
        for n in 0..30 {
            calls.push(pooled.client.run(n.to_string()).start());
            pooled.log.until_running(n + 1).await;
        }
        until("there are three connections", || pooled.statistics().open == 3).await;
        for n in 30..60 {
            calls.push(pooled.client.run(n.to_string()).start());
        }
        pooled.log.until_running(60).await;
        assert_eq!(pooled.statistics().open, 3, "and no more");
        pooled.gate.open();
        for call in calls {
            call.await.unwrap();
        }
        until("one is left", || pooled.statistics().open == 1).await;
        pooled.finish().await;
    });
}

#[test]
fn an_exclusive_connection_has_one_call_and_the_others_wait_in_line() {
    bench(async |bench| {
        let pooled = pooled(&bench, exclusive(2)).await;
        let mut calls = Vec::new();
        for n in 0..2 {
            calls.push(pooled.client.run(n.to_string()).start());
        }
        pooled.log.until_running(2).await;
        for n in 2..6 {
            calls.push(pooled.client.run(n.to_string()).start());
            until("it waits", || pooled.statistics().waiting == n - 1).await;
        }
        assert_eq!((pooled.log.running(), pooled.statistics().open), (2, 2));
        // One after the other, in the order in which they came.
        for n in 2..6 {
            pooled.gate.pass_one();
            until("the next one has begun", || pooled.log.runs(&n.to_string()) == 1).await;
        }
        pooled.gate.open();
        for call in calls {
            call.await.unwrap();
        }
        let statistics = pooled.statistics();
        assert_eq!((statistics.opened, statistics.waits, statistics.timeouts), (2, 4, 0), "{statistics:?}");
        pooled.finish().await;
    });
}

#[test]
fn who_waits_too_long_for_a_connection_is_told_what_to_change() {
    bench(async |bench| {
        let config = pool::Config { acquire_timeout: Some(ms(50)), ..exclusive(1) };
        let pooled = pooled(&bench, config).await;
        let first = pooled.client.run("first".into()).start();
        pooled.log.until_running(1).await;
        let status = within(secs(5), pooled.client.run("nested".into())).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::ResourceExhausted, Certainty::NotSent));
        assert!(status.message().contains("max_connections"), "{status}");
        assert_eq!(pooled.statistics().timeouts, 1);
        pooled.gate.open();
        first.await.unwrap();
        pooled.finish().await;
    });
}

#[test]
fn when_connecting_fails_everybody_in_line_is_told() {
    bench(async |_| {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = closed.local_addr().unwrap();
        drop(closed);
        let client = client(address, exclusive(1));
        let calls: Vec<_> = (0..50).map(|n| client.run(n.to_string()).start()).collect();
        for call in calls {
            let status = within(secs(5), call).await.unwrap_err();
            assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent));
        }
        until_channel_quiet(client.channel()).await;
    });
}

#[test]
fn a_call_that_is_dropped_anywhere_gives_its_place_back() {
    bench(async |bench| {
        let config = pool::Config { acquire_timeout: None, ..exclusive(1) };
        let pooled = pooled(&bench, config).await;
        pooled.gate.open();
        for polls in 0..40 {
            // Two at once: the one is dropped while it waits, connects, runs, or hands its place on.
            let other = pooled.client.run("other".into()).start();
            let mut call = Box::pin(pooled.client.run("dropped".into()).into_future());
            let _ = polled(&mut call, polls).await;
            drop(call);
            within(secs(5), other).await.unwrap();
        }
        assert_eq!(within(secs(5), pooled.client.run("last".into())).await.unwrap(), "last");
        assert_eq!(pooled.statistics().open, 1);
        pooled.finish().await;
    });
}

#[test]
fn places_are_kept_under_a_storm_of_cancelled_calls() {
    bench(async |bench| {
        let pooled = pooled(&bench, exclusive(3)).await;
        pooled.gate.open();
        let tasks: Vec<_> = (0..8)
            .map(|seed| {
                let client = pooled.client.clone();
                tokio::spawn(async move {
                    for n in 0..200u64 {
                        let patience = std::time::Duration::from_micros((seed * 37 + n * 13) % 400);
                        let _ = tokio::time::timeout(patience, client.run(n.to_string())).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        until_channel_quiet(pooled.client.channel()).await;
        // All three places are there: three calls at once, and no connection more.
        let calls: Vec<_> = (0..3).map(|n| pooled.client.run(n.to_string()).start()).collect();
        for call in calls {
            within(secs(5), call).await.unwrap();
        }
        assert!(pooled.statistics().open <= 3);
        pooled.finish().await;
    });
}

#[test]
fn after_a_restart_no_dead_connection_is_given_out() {
    bench(async |bench| {
        let pooled = pooled(&bench, exclusive(4)).await;
        let calls: Vec<_> = (0..4).map(|n| pooled.client.run(n.to_string()).start()).collect();
        pooled.log.until_running(4).await;
        pooled.gate.open();
        for call in calls {
            call.await.unwrap();
        }
        let address = pooled.server.local_addr().to_string();
        drained(pooled.server).await;
        let bed = Bed::echoing();
        let server = bench.serve_at(Server::builder().service(LabServer::new(bed)), &address).await;
        for n in 0..20 {
            let reply = pooled.client.run(n.to_string()).wait_for_ready();
            assert_eq!(within(secs(5), reply).await.unwrap(), n.to_string());
        }
        Pooled { server, ..pooled }.finish().await;
    });
}

#[test]
fn connections_that_broke_are_replaced_before_they_are_needed() {
    bench(async |bench| {
        let (bed, gate) = Bed::gated();
        let log = bed.log();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let proxy = Proxy::to(server.local_addr());
        let config = pool::Config { max_connections: 2, min_idle: 2, ..Default::default() };
        let client = client(proxy.address(), config);
        client.channel().ready().await.unwrap();
        let pooled = Pooled { server, client, gate, log };
        // The proxy takes a connection a little later than the client has it.
        until("both are there", || pooled.statistics().open == 2 && proxy.accepted() == 2).await;
        proxy.cut();
        until("both are there again", || {
            let statistics = pooled.statistics();
            (statistics.open, statistics.closed_broken) == (2, 2)
        })
        .await;
        drop(proxy);
        pooled.gate.open();
        drop(pooled.client);
        drained(pooled.server).await;
    });
}

#[test]
fn old_connections_are_replaced_under_load_and_no_call_fails() {
    bench(async |bench| {
        let config = pool::Config { max_lifetime: Some(ms(40)), max_connections: 2, ..Default::default() };
        let pooled = pooled(&bench, config).await;
        pooled.gate.open();
        let began = Instant::now();
        let mut calls = 0;
        while pooled.statistics().closed_lifetime < 5 {
            assert!(began.elapsed() < secs(20), "{:?}", pooled.statistics());
            pooled.client.run("x".into()).await.unwrap();
            calls += 1;
        }
        assert_eq!(pooled.log.started(), calls);
        quiet(&pooled.server, pooled.client.channel()).await;
        drop(pooled.client);
        drained(pooled.server).await;
    });
}
