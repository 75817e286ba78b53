//! Many servers behind one name: who gets the calls, and what happens when the list or a server changes.

use std::sync::Arc;

use rpc_core::balance::{ConsistentHash, RoundRobin, Subset};
use rpc_core::discovery::resolver::{self, Name};
use rpc_core::discovery::{Filter, Instance, Snapshot, State, Watch, watch};
use rpc_core::middleware::RetryLayer;
use rpc_core::middleware::retry::Policy;
use rpc_core::server::health::ServingStatus;
use rpc_core::transport::Address;
use rpc_core::{Certainty, Channel, Code, Server, Status};

use crate::support::lab::Log;
use crate::support::{
    Bed, Bench, LabClient, LabServer, bench, drained, ms, secs, until, until_channel_quiet, within,
};

/// A resolver whose list is the test's.
#[derive(Clone)]
struct List(Arc<watch::Publisher>);

impl List {
    fn new() -> Self {
        Self(Arc::new(watch::channel().0))
    }

    fn set<'a>(&self, servers: impl IntoIterator<Item = &'a Address>) {
        self.0.publish(Snapshot::new(servers.into_iter().cloned().map(Instance::new)));
    }

    fn channel(&self) -> Channel {
        // One after the other, so that each server is sure of its share.
        Channel::builder("list://lab").resolver(self.clone()).balancer(RoundRobin).build().unwrap()
    }
}

impl resolver::Builder for List {
    fn scheme(&self) -> &str {
        "list"
    }

    fn build(&self, name: &Name) -> Result<Watch, Status> {
        assert_eq!(name.authority, "lab");
        Ok(self.0.watch())
    }
}

/// Some servers, each with its log.
async fn servers(bench: &Bench, count: usize) -> (Vec<Server>, Vec<Log>, Vec<Address>) {
    let (mut servers, mut logs, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let bed = Bed::echoing();
        logs.push(bed.log());
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        addresses.push(server.local_addr().clone());
        servers.push(server);
    }
    (servers, logs, addresses)
}

async fn all_ready(channel: &Channel, count: usize) {
    let _ = channel.ready().await;
    until("all are connected", || channel.snapshot().pool.open == count).await;
}

#[test]
fn calls_are_spread_over_all_servers_of_the_list() {
    bench(async |bench| {
        let (servers, logs, addresses) = servers(&bench, 3).await;
        let list = List::new();
        list.set(&addresses);
        let channel = Channel::builder("list://lab").resolver(list).balancer(RoundRobin).build().unwrap();
        let client = LabClient::new(channel);
        all_ready(client.channel(), 3).await;
        // The last of them may be connected and not yet chosen from.
        until("each has had a call", || {
            logs.iter().all(|log| log.started() > 0) || {
                let client = client.clone();
                drop(tokio::spawn(async move { client.echo("first".into()).await }));
                false
            }
        })
        .await;
        let before: Vec<usize> = logs.iter().map(Log::started).collect();
        for n in 0..300 {
            assert_eq!(client.echo(n.to_string()).await.unwrap(), n.to_string());
        }
        for (log, before) in logs.iter().zip(before) {
            let share = log.started() - before;
            assert!((50..=200).contains(&share), "{share} of 300");
        }
        drop(client);
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn the_list_may_change_under_load_and_no_call_fails() {
    bench(async |bench| {
        let (servers, logs, addresses) = servers(&bench, 4).await;
        let list = List::new();
        list.set(&addresses[..2]);
        let client = LabClient::new(list.channel());
        client.channel().ready().await.unwrap();
        let load = {
            let client = client.clone();
            tokio::spawn(async move {
                for n in 0..2_000 {
                    client.echo(n.to_string()).await.unwrap();
                }
            })
        };
        let mut turn = 0;
        until("the load is through", || {
            turn += 1;
            list.set(&addresses[turn % 3..turn % 3 + 2]);
            load.is_finished()
        })
        .await;
        load.await.unwrap();
        assert_eq!(logs.iter().map(Log::started).sum::<usize>(), 2_000, "each call once");
        drop(client);
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn who_leaves_the_list_ends_what_it_has_and_gets_nothing_new() {
    bench(async |bench| {
        let (bed, gate) = Bed::gated();
        let old_log = bed.log();
        let old = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let (new, new_logs, addresses) = servers(&bench, 1).await;
        let list = List::new();
        list.set([old.local_addr()]);
        let client = LabClient::new(list.channel());
        let running = client.run("slow".into()).start();
        old_log.until_running(1).await;
        list.set(&addresses);
        until("the new one is chosen from", || {
            let snapshot = client.channel().snapshot();
            snapshot.servers == 1 && snapshot.pool.open == 1 && snapshot.calls == 0
        })
        .await;
        for _ in 0..20 {
            client.echo("x".into()).await.unwrap();
        }
        assert_eq!((old_log.started(), new_logs[0].started()), (1, 20));
        gate.open();
        assert_eq!(running.await.unwrap(), "slow");
        drop(client);
        drained(old).await;
        for server in new {
            drained(server).await;
        }
    });
}

#[test]
fn a_server_that_wants_no_calls_gets_none() {
    bench(async |bench| {
        let (servers, logs, addresses) = servers(&bench, 2).await;
        let list = List::new();
        let instances = |state| {
            [Instance::new(addresses[0].clone()), Instance::new(addresses[1].clone()).with_state(state)]
        };
        list.0.publish(Snapshot::new(instances(State::Draining)));
        let client = LabClient::new(list.channel());
        all_ready(client.channel(), 2).await;
        for _ in 0..50 {
            client.echo("x".into()).await.unwrap();
        }
        assert_eq!((logs[0].started(), logs[1].started()), (50, 0));
        list.0.publish(Snapshot::new(instances(State::Up)));
        until("it has calls", || {
            logs[1].started() > 0 || {
                let client = client.clone();
                drop(tokio::spawn(async move { client.echo("again".into()).await }));
                false
            }
        })
        .await;
        drop(client);
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn an_empty_list_fails_calls_at_once_unless_they_wait() {
    bench(async |bench| {
        let (servers, _, addresses) = servers(&bench, 1).await;
        let list = List::new();
        list.set([]);
        let client = LabClient::new(list.channel());
        let status = within(secs(2), client.echo("x".into())).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent));
        assert!(status.message().contains("list://lab: it has no servers at the moment"), "{status}");
        let waiting = client.echo("later".into()).wait_for_ready().start();
        let late = client.echo("late".into()).wait_for_ready().timeout(ms(50)).await.unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded);
        assert!(late.message().contains("it has no servers at the moment"), "{late}");
        list.set(&addresses);
        assert_eq!(within(secs(5), waiting).await.unwrap(), "later");
        drop(client);
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn who_calls_in_vain_again_and_again_lets_others_run() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (done, waited) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        runtime.block_on(async {
            let list = List::new();
            list.set([]);
            let client = LabClient::new(list.channel());
            client.channel().ready().await.unwrap_err();
            let in_vain = async {
                loop {
                    client.echo("x".into()).await.unwrap_err();
                }
            };
            // Its timer has to get a turn.
            tokio::time::timeout(ms(20), in_vain).await.unwrap_err();
        });
        done.send(()).unwrap();
    });
    waited.recv_timeout(secs(10)).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_list_that_cannot_be_had_is_named_and_the_last_one_is_kept() {
    bench(async |bench| {
        let (servers, _, addresses) = servers(&bench, 1).await;
        let list = List::new();
        let client = LabClient::new(list.channel());
        // Nothing is known yet: that passes, so the call waits.
        let first = client.echo("first".into()).timeout(ms(30)).await.unwrap_err();
        assert_eq!(first.code(), Code::DeadlineExceeded, "{first}");
        list.0.fail(Status::unavailable("the registry is away"));
        let status = within(secs(2), client.echo("x".into())).await.unwrap_err();
        assert!(status.message().contains("the registry is away"), "{status}");
        list.set(&addresses);
        until("it is called again", || client.channel().snapshot().connected).await;
        list.0.fail(Status::unavailable("the registry is away again"));
        for _ in 0..20 {
            client.echo("kept".into()).await.unwrap();
        }
        drop(client);
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn a_server_that_dies_costs_no_call_that_may_be_repeated() {
    bench(async |bench| {
        let (mut servers, logs, addresses) = servers(&bench, 3).await;
        let list = List::new();
        list.set(&addresses);
        let retry = RetryLayer::new(Policy::default());
        let channel = Channel::builder("list://lab").resolver(list).balancer(RoundRobin).layer(retry).build();
        let client = LabClient::new(channel.unwrap());
        all_ready(client.channel(), 3).await;
        let load = {
            let client = client.clone();
            tokio::spawn(async move {
                for n in 0..1_000 {
                    client.echo(n.to_string()).await.unwrap();
                }
            })
        };
        until("they are at work", || logs[1].started() > 10).await;
        drop(servers.remove(1));
        within(secs(20), load).await.unwrap();
        drop(client);
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn nobody_on_the_list_can_be_reached_and_then_one_can() {
    bench(async |bench| {
        let (servers, _, addresses) = servers(&bench, 1).await;
        for server in servers {
            drained(server).await;
        }
        let list = List::new();
        list.set(&addresses);
        let client = LabClient::new(list.channel());
        let status = within(secs(5), client.echo("x".into())).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent));
        assert!(status.message().contains(&addresses[0].to_string()), "{status}");
        let again = bench
            .serve_at(Server::builder().service(LabServer::new(Bed::echoing())), &addresses[0].to_string())
            .await;
        let reply = within(secs(5), client.echo("x".into()).wait_for_ready()).await.unwrap();
        assert_eq!(reply, "x");
        drop(client);
        drained(again).await;
    });
}

#[test]
fn a_server_whose_calls_fail_gets_none_for_a_while() {
    bench(async |bench| {
        let (mut servers, _, mut addresses) = servers(&bench, 2).await;
        let sick = Bed::new(async |_| Err(Status::internal("the disk is full")));
        let log = sick.log();
        let server = bench.serve(Server::builder().service(LabServer::new(sick))).await;
        addresses.push(server.local_addr().clone());
        servers.push(server);
        let list = List::new();
        list.set(&addresses);
        let channel = Channel::builder("list://lab").resolver(list).balancer(RoundRobin).build().unwrap();
        let client = LabClient::new(channel);
        all_ready(client.channel(), 3).await;
        let mut failed = 0;
        until("it is found out", || {
            log.started() >= 5 || {
                let client = client.clone();
                drop(tokio::spawn(async move { client.run("first".into()).await }));
                false
            }
        })
        .await;
        // Some may have been chosen before the word was out.
        until_channel_quiet(client.channel()).await;
        for _ in 0..90 {
            failed += usize::from(client.run("x".into()).await.is_err());
        }
        assert!(failed <= 3, "{failed} of 90 where 30 would have been its share");
        drop(client);
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn a_filter_keeps_calls_to_one_group() {
    bench(async |bench| {
        let (servers, logs, addresses) = servers(&bench, 2).await;
        let list = List::new();
        let groups = addresses.iter().zip(["blue", "green"]);
        list.0.publish(Snapshot::new(
            groups.map(|(address, group)| Instance::new(address.clone()).with_tag("group", group)),
        ));
        let channel = Channel::builder("list://lab")
            .resolver(list)
            .filter(Filter::tag("group", "green"))
            .build()
            .unwrap();
        let client = LabClient::new(channel);
        for _ in 0..20 {
            client.echo("x".into()).await.unwrap();
        }
        assert_eq!((logs[0].started(), logs[1].started()), (0, 20));
        assert_eq!(client.channel().snapshot().servers, 1);
        drop(client);
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn calls_of_one_key_go_to_one_server_whether_it_is_an_option_or_metadata() {
    bench(async |bench| {
        let (servers, logs, addresses) = servers(&bench, 4).await;
        let list = List::new();
        list.set(&addresses);
        for (balancer, by_metadata) in
            [(ConsistentHash::default(), false), (ConsistentHash::default().by_metadata("tenant"), true)]
        {
            let channel =
                Channel::builder("list://lab").resolver(list.clone()).balancer(balancer).build().unwrap();
            let client = LabClient::new(channel);
            all_ready(client.channel(), 4).await;
            let before: Vec<usize> = logs.iter().map(Log::started).collect();
            for _ in 0..40 {
                let call = client.echo("x".into());
                match by_metadata {
                    true => call.metadata("tenant", "a").await.unwrap(),
                    false => call.hash_key(7).await.unwrap(),
                };
            }
            let shares: Vec<usize> =
                logs.iter().zip(before).map(|(log, before)| log.started() - before).collect();
            // The first ones may have gone elsewhere, while not all were known to be there.
            assert!(shares.iter().any(|share| *share >= 35), "{shares:?}");
            drop(client);
        }
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn whom_the_balancer_will_never_choose_is_not_connected_to() {
    bench(async |bench| {
        let (servers, _, addresses) = servers(&bench, 5).await;
        let list = List::new();
        list.set(&addresses);
        let balancer = Subset::new(RoundRobin, 2).with_seed(7);
        let channel = Channel::builder("list://lab").resolver(list).balancer(balancer).build().unwrap();
        let client = LabClient::new(channel);
        all_ready(client.channel(), 2).await;
        for _ in 0..20 {
            client.echo("x".into()).await.unwrap();
        }
        let snapshot = client.channel().snapshot();
        assert_eq!((snapshot.servers, snapshot.pool.opened), (2, 2), "{snapshot:?}");
        drop(client);
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn a_list_that_changes_all_the_time_costs_no_call_and_keeps_what_is_known() {
    bench(async |bench| {
        let (servers, logs, addresses) = servers(&bench, 4).await;
        let list = List::new();
        list.set(&addresses);
        let client = LabClient::new(list.channel());
        all_ready(client.channel(), 4).await;
        let load = {
            let client = client.clone();
            tokio::spawn(async move {
                for n in 0..1_000 {
                    client.echo(n.to_string()).await.unwrap();
                }
            })
        };
        let mut turn = 0;
        while !load.is_finished() {
            // One is away each time, and comes back before it is forgotten.
            turn += 1;
            list.set(
                addresses.iter().enumerate().filter(|(at, _)| *at != turn % 4).map(|(_, address)| address),
            );
            tokio::time::sleep(ms(10)).await;
        }
        load.await.unwrap();
        list.set(&addresses);
        until("all are there", || client.channel().snapshot().servers == 4).await;
        assert_eq!(client.channel().snapshot().pool.opened, 4, "no connection was made twice");
        assert_eq!(logs.iter().map(Log::started).sum::<usize>(), 1_000);
        drop(client);
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn a_server_that_says_it_is_not_well_gets_no_calls() {
    bench(async |bench| {
        let (servers, logs, addresses) = servers(&bench, 2).await;
        servers[1].health().set("test.Lab", ServingStatus::NotServing);
        let list = List::new();
        list.set(&addresses);
        let channel = Channel::builder("list://lab").resolver(list).health_check("test.Lab").build().unwrap();
        let client = LabClient::new(channel);
        all_ready(client.channel(), 2).await;
        for _ in 0..50 {
            client.echo("x".into()).await.unwrap();
        }
        assert_eq!((logs[0].started(), logs[1].started()), (50, 0));

        // The one is well again, the other is not: all calls go over to it, and none fails.
        servers[1].health().set("test.Lab", ServingStatus::Serving);
        until("it has calls", || {
            logs[1].started() > 0 || {
                let client = client.clone();
                drop(tokio::spawn(async move { client.echo("again".into()).await }));
                false
            }
        })
        .await;
        servers[0].health().set("", ServingStatus::NotServing);
        client.echo("what concerns the whole is not asked here".into()).await.unwrap();
        servers[0].health().set("test.Lab", ServingStatus::NotServing);
        servers[1].health().set("test.Lab", ServingStatus::NotServing);
        let failed = async || loop {
            if let Err(status) = client.echo("x".into()).await {
                break status;
            }
        };
        let status = within(secs(5), failed()).await;
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent));
        assert!(status.message().contains("\"test.Lab\" is not well"), "{status}");
        drop(client);
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn a_rolling_restart_fails_no_call() {
    bench(async |bench| {
        let (mut servers, mut logs, _) = servers(&bench, 3).await;
        let list = List::new();
        list.set(servers.iter().map(Server::local_addr));
        let client = LabClient::new(list.channel());
        all_ready(client.channel(), 3).await;
        let load = {
            let client = client.clone();
            let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
            let stop = done.clone();
            let task = tokio::spawn(async move {
                let mut made = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    // Not idempotent, and no retries: what fails here may have run.
                    client.run(format!("call {made}")).await.unwrap();
                    made += 1;
                }
                made
            });
            (task, done)
        };
        for _ in 0..3 {
            let bed = Bed::echoing();
            logs.push(bed.log());
            let next = bench.serve(Server::builder().service(LabServer::new(bed))).await;
            let old = servers.remove(0);
            servers.push(next);
            list.set(servers.iter().map(Server::local_addr));
            drained(old).await;
            let seen = logs.last().unwrap().clone();
            until("the new one is at work", || seen.started() > 10).await;
        }
        load.1.store(true, std::sync::atomic::Ordering::Relaxed);
        let made: usize = within(secs(5), load.0).await.unwrap();
        assert_eq!(logs.iter().map(Log::started).sum::<usize>(), made, "each call once");
        drop(client);
        for server in servers {
            drained(server).await;
        }
    });
}

#[test]
fn a_scheme_that_nobody_resolves_is_refused_with_those_that_are() {
    let list = List::new();
    let error = Channel::builder("etcd://10.0.0.1:2379/lab").resolver(list).build().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("etcd://10.0.0.1:2379/lab") && text.contains("list://"), "{text}");
    assert!(text.contains(".resolver(..)"), "{text}");
}
