//! What stands in etcd: garbage, neighbours, very much of it, and what never rests.

use std::time::Instant;

use rpc_core::discovery::Registry;

use crate::support::*;

fn key(service: &str, id: &str) -> String {
    format!("/courier/services/{service}/{id}")
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_neighbours_disturb_nobody() {
    let etcd = Etcd::start().await;
    let (server, client) = (registry(&etcd).await, registry(&etcd).await);
    soon("registering", server.register("svc", instance("a"))).await.unwrap();
    soon("registering", server.register("svc2", instance("b"))).await.unwrap();
    soon("registering", server.register("sv", instance("c"))).await.unwrap();
    etcd.put(&key("svc", "empty"), b"{}").await;
    let watch = client.watch("svc");
    until_trusted(&watch, &["a"]).await;
    for (id, value) in [
        ("text", &b"garbage"[..]),
        ("bytes", &[0xff, 0xfe, 0x01]),
        ("version", br#"{"v":99,"id":"version","address":"h:1"}"#),
        ("elsewhere", br#"{"v":1,"id":"a","address":"h:1"}"#),
        ("deep/er", br#"{"v":1,"id":"er","address":"h:1"}"#),
    ] {
        etcd.put(&key("svc", id), value).await;
    }
    soon("registering", server.register("svc", instance("d"))).await.unwrap();
    until_trusted(&watch, &["a", "d"]).await;
    assert!(client.stats().skipped >= 6, "{:?}", client.stats());
    let snapshot = client.list("svc").await.unwrap();
    assert_eq!(snapshot.instances().len(), 2);
    // Somebody else's tool may write an entry, without a lease.
    etcd.put(&key("svc", "e"), br#"{"id":"e","address":"10.0.0.9:1"}"#).await;
    until_trusted(&watch, &["a", "d", "e"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_a_megabyte_disturb_nobody() {
    let etcd = Etcd::start().await;
    let (server, client) = (registry(&etcd).await, registry(&etcd).await);
    let mut raw = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    // More than is read in one answer, in the list and in the history.
    for at in 0..20 {
        raw.put(key(SERVICE, &format!("large-{at}")), vec![b'x'; 1 << 20], None).await.unwrap();
    }
    soon("registering", server.register(SERVICE, instance("a"))).await.unwrap();
    let watch = client.watch(SERVICE);
    until_trusted(&watch, &["a"]).await;
    for at in 0..20 {
        raw.put(key(SERVICE, &format!("large-{at}")), vec![b'y'; 1 << 20], None).await.unwrap();
    }
    soon("registering", server.register(SERVICE, instance("b"))).await.unwrap();
    until_trusted(&watch, &["a", "b"]).await;
    assert!(client.stats().skipped >= 20, "{:?}", client.stats());
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_instances_are_found() {
    const MANY: usize = 10_000;
    let etcd = Etcd::start().await;
    let client = registry(&etcd).await;
    let watch = client.watch(SERVICE);
    let mut raw = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    for batch in (0..MANY).collect::<Vec<_>>().chunks(100) {
        let puts: Vec<_> = batch
            .iter()
            .map(|at| {
                let value = format!(r#"{{"v":1,"id":"i{at}","address":"10.0.0.1:{}"}}"#, at % 60_000 + 1);
                etcd_client::TxnOp::put(key(SERVICE, &format!("i{at}")), value, None)
            })
            .collect();
        raw.txn(etcd_client::Txn::new().and_then(puts)).await.unwrap();
    }
    until("all by the watch", async || seen(&watch).len() == MANY).await;
    let began = Instant::now();
    assert_eq!(client.list(SERVICE).await.unwrap().instances().len(), MANY);
    assert!(began.elapsed() < secs(5), "{:?}", began.elapsed());
    let late = registry(&etcd).await.watch(SERVICE);
    until("all by the list", async || seen(&late).len() == MANY).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_flaps_is_published_now_and_then() {
    let etcd = Etcd::start().await;
    let (server, client) = (registry(&etcd).await, registry(&etcd).await);
    for id in ["a", "b", "c"] {
        soon("registering", server.register(SERVICE, instance(id))).await.unwrap();
    }
    let mut watch = client.watch(SERVICE);
    until_trusted(&watch, &["a", "b", "c"]).await;
    let began = Instant::now();
    let flapping = async {
        for turn in 0..40_u32 {
            soon("flapping", server.register(SERVICE, instance("f").with_weight(turn))).await.unwrap();
            tokio::time::sleep(ms(50)).await;
            soon("flapping", server.withdraw(SERVICE, "f")).await.unwrap();
            tokio::time::sleep(ms(50)).await;
        }
    };
    let counting = async {
        let mut published = 0_u32;
        loop {
            watch.changed().await.unwrap();
            published += 1;
            tokio::task::yield_now().await;
            if began.elapsed() > secs(60) {
                return published;
            }
            COUNT.store(published, std::sync::atomic::Ordering::Relaxed);
        }
    };
    static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    tokio::select! {
        () = flapping => {}
        _ = counting => panic!("it flaps for a minute"),
    }
    let (published, took) = (COUNT.load(std::sync::atomic::Ordering::Relaxed), began.elapsed());
    // Two a second, and some to begin with, of the eighty changes.
    let allowed = 8 + u32::try_from(took.as_millis() / 450).unwrap();
    assert!(published <= allowed, "{published} lists in {took:?}");
    until_trusted(&watch, &["a", "b", "c"]).await;
    assert_eq!(etcd.leases().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_watch_are_one_watch_that_ends_with_the_last_one() {
    let etcd = Etcd::start().await;
    let (server, client) = (registry(&etcd).await, registry(&etcd).await);
    soon("registering", server.register(SERVICE, instance("a"))).await.unwrap();
    for _ in 0..3 {
        let watches: Vec<_> = (0..50).map(|_| client.watch(SERVICE)).collect();
        for watch in &watches {
            until_trusted(watch, &["a"]).await;
        }
        assert_eq!(client.stats().watches, 1);
        drop(watches);
        until("the watch ends", async || client.stats().watches == 0).await;
    }
    assert!(client.stats().lists <= 4, "{:?}", client.stats());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hint_reads_the_list_again_but_not_each_time() {
    let etcd = Etcd::start().await;
    let client = registry(&etcd).await;
    let watch = client.watch(SERVICE);
    until("the first list", async || watch.current().is_some()).await;
    let began = Instant::now();
    while began.elapsed() < secs(3) {
        watch.hint();
        tokio::time::sleep(ms(2)).await;
    }
    let stats = client.stats();
    assert!((2..=5).contains(&stats.lists), "{stats:?}");
}
