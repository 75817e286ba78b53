//! What a process registers stays registered, whatever happens to key and lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rpc_core::Code;
use rpc_core::discovery::{Registry, State};

use crate::support::*;

fn key(id: &str) -> String {
    format!("/courier/services/{SERVICE}/{id}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_registered_is_seen_and_what_is_withdrawn_is_not() {
    let etcd = Etcd::start().await;
    let (server, client) = (registry(&etcd).await, registry(&etcd).await);
    let watch = client.watch(SERVICE);
    until("the empty list", async || watch.current().is_some()).await;
    soon("registering", server.register(SERVICE, instance("a").with_zone("z"))).await.unwrap();
    soon("registering", server.register(SERVICE, instance("b"))).await.unwrap();
    until_trusted(&watch, &["a", "b"]).await;
    assert_eq!(etcd.leases().await, 1, "one lease for everything");

    let changed = instance("a").with_weight(7).with_state(State::Draining);
    soon("registering again", server.register(SERVICE, changed)).await.unwrap();
    until("the new weight", async || watch.current().unwrap().instances()[0].weight == 7).await;
    let snapshot = server.list(SERVICE).await.unwrap();
    assert_eq!(snapshot.instances()[0].state, State::Draining);
    assert!(snapshot.instances()[0].started > 0, "it says when it started");

    soon("withdrawing", server.withdraw(SERVICE, "a")).await.unwrap();
    assert_eq!(etcd.keys(SERVICE).await, [key("b")]);
    until_trusted(&watch, &["b"]).await;
    // The last one says that it leaves: nobody has to doubt the empty list.
    soon("withdrawing", server.withdraw(SERVICE, "b")).await.unwrap();
    until_within("the empty list", secs(2), async || seen(&watch).is_empty()).await;
    soon("withdrawing what is not there", server.withdraw(SERVICE, "b")).await.unwrap();
    until("no lease is left", async || etcd.leases().await == 0).await;
    let stats = server.stats();
    assert_eq!((stats.wanted, stats.registered, stats.losses), (0, 0, 0), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_and_dropping_leave_nothing_behind() {
    let etcd = Etcd::start().await;
    for dropped in [true, false] {
        let server = registry(&etcd).await;
        for id in ["a", "b", "c"] {
            soon("registering", server.register(SERVICE, instance(id))).await.unwrap();
        }
        if dropped {
            drop(server);
            until("the keys go", async || etcd.keys(SERVICE).await.is_empty()).await;
        } else {
            soon("closing", server.close()).await.unwrap();
            assert!(etcd.keys(SERVICE).await.is_empty());
            let late = soon("registering", server.register(SERVICE, instance("a"))).await.unwrap_err();
            assert!(late.message().contains("closed"), "{late}");
        }
        until("the lease goes", async || etcd.leases().await == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_cannot_be_are_refused_at_once() {
    // There is no etcd at all.
    let server = quick(["127.0.0.1:1"]).connect().await.unwrap();
    for service in ["", "a/b", "a\nb"] {
        let error = soon("an error", server.register(service, instance("a"))).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert_eq!(server.list(service).await.unwrap_err().code(), Code::InvalidArgument);
        let error = soon("an error", server.watch(service).changed()).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    }
    let large = instance("a").with_tag("large", "x".repeat(100_000));
    let error = soon("an error", server.register(SERVICE, large)).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert_eq!(server.ping().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_key_and_a_revoked_lease_are_repaired() {
    let etcd = Etcd::start().await;
    let server = registry(&etcd).await;
    soon("registering", server.register(SERVICE, instance("a"))).await.unwrap();
    soon("registering", server.register(SERVICE, instance("b"))).await.unwrap();

    etcd.ctl(&["del", &key("a")]).await;
    let took = until("the key is back", async || etcd.keys(SERVICE).await.len() == 2).await;
    assert!(took < TTL * 2, "{took:?}");
    assert!(server.stats().repairs >= 1, "{:?}", server.stats());

    // Without a lease, and with nonsense in it.
    etcd.put(&key("a"), b"nonsense").await;
    until("the entry is back", async || listed(&server).await.unwrap() == ["a", "b"]).await;

    let lease = server.stats().lease.unwrap();
    let before = [etcd.created(&key("a")).await, etcd.created(&key("b")).await];
    etcd.ctl(&["lease", "revoke", &format!("{lease:x}")]).await;
    // They may be back before anybody sees that they were gone; when they were made tells that they were.
    until("the keys are back", async || etcd.keys(SERVICE).await.len() == 2).await;
    for (id, before) in ["a", "b"].into_iter().zip(before) {
        let after = etcd.created(&key(id)).await;
        assert!(after > before, "{id} was made at {before}, and again at {after}");
    }
    let stats = server.stats();
    assert_ne!(stats.lease.unwrap(), lease);
    assert_eq!((stats.losses, stats.grants, etcd.leases().await), (1, 2, 1), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_processes_with_one_id_the_later_one_has_it_and_the_earlier_one_comes_back() {
    let etcd = Etcd::start().await;
    let (old, new) = (registry(&etcd).await, registry(&etcd).await);
    let version = |version: &str, started| instance("a").with_version(version).with_started(started);
    let current = async || etcd.value(&key("a")).await;
    soon("registering", old.register(SERVICE, version("old", 1))).await.unwrap();
    soon("registering", new.register(SERVICE, version("new", 2))).await.unwrap();
    assert!(current().await.contains("new"));
    until("the old one notices", async || old.stats().contested == 1).await;
    assert!(current().await.contains("new"));
    // What the old one withdraws is not its own any more.
    let again = soon("registering", old.register(SERVICE, version("old", 1))).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists, "{again}");
    soon("withdrawing", new.withdraw(SERVICE, "a")).await.unwrap();
    until("the old one is back", async || current().await.contains("old")).await;
    soon("registering", new.register(SERVICE, version("new", 2))).await.unwrap();
    soon("withdrawing", old.withdraw(SERVICE, "a")).await.unwrap();
    assert!(current().await.contains("new"), "the old one took away what was not its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_never_comes_back_whatever_is_under_way() {
    let etcd = Etcd::start().await;
    let server = Arc::new(registry(&etcd).await);
    let watcher = registry(&etcd).await;
    let entry = key("a");
    // Another process deletes the key and revokes the lease all the time, so that there is always something to repair.
    let over = Arc::new(AtomicBool::new(false));
    let vandal = {
        let (server, over) = (server.clone(), over.clone());
        let endpoint = etcd.endpoint();
        let entry = entry.clone();
        tokio::spawn(async move {
            let mut client = etcd_client::Client::connect([endpoint], None).await.unwrap();
            let mut turns = 0;
            while !over.load(Ordering::Relaxed) {
                turns += 1;
                if turns % 7 == 0 {
                    if let Some(lease) = server.stats().lease {
                        let _ = client.lease_revoke(lease).await;
                    }
                } else {
                    client.delete(entry.as_str(), None).await.unwrap();
                }
                tokio::time::sleep(ms(1)).await;
            }
        })
    };
    for turn in 0..1_000_u64 {
        // Dropped before it is done, and withdrawn while it is under way, at another point each time.
        let registering = server.register(SERVICE, instance("a").with_weight(1));
        tokio::time::sleep(std::time::Duration::from_micros(turn * 7 % 3_000)).await;
        let again = server.register(SERVICE, instance("a").with_weight(2));
        soon("withdrawing", server.withdraw(SERVICE, "a")).await.unwrap();
        drop((registering, again));
        if turn % 50 == 0 {
            for _ in 0..3 {
                assert!(listed(&watcher).await.unwrap().is_empty(), "it came back in turn {turn}");
            }
        } else {
            assert!(listed(&watcher).await.unwrap().is_empty(), "it came back in turn {turn}");
        }
    }
    over.store(true, Ordering::Relaxed);
    soon("the vandal", vandal).await.unwrap();
    tokio::time::sleep(TTL).await;
    assert!(listed(&watcher).await.unwrap().is_empty());
}
