//! Servers that die or sleep, and etcd that does: clients keep what they know, and everybody is back soon after.

use std::time::Instant;

use rpc_core::discovery::Registry;

use crate::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_gone_with_its_lease() {
    let etcd = Etcd::start().await;
    let client = registry(&etcd).await;
    let watch = client.watch(SERVICE);
    let mut killed = Process::start(&etcd, "10.0.0.1:1").await;
    let (stays, ends) =
        (Process::start(&etcd, "10.0.0.2:1").await, Process::start(&etcd, "10.0.0.3:1").await);
    until_trusted(&watch, &["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]).await;
    let began = Instant::now();
    killed.kill();
    until_trusted(&watch, &["10.0.0.2:1", "10.0.0.3:1"]).await;
    // etcd looks for leases that ran out each half second.
    assert!(began.elapsed() < TTL + ms(1_500), "{:?}", began.elapsed());
    let began = Instant::now();
    ends.end().await;
    until_trusted(&watch, &["10.0.0.2:1"]).await;
    assert!(began.elapsed() < TTL, "it said goodbye: {:?}", began.elapsed());
    drop(stays);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_slept_through_its_lease_registers_again_and_once() {
    let etcd = Etcd::start().await;
    let server = Process::start(&etcd, "10.0.0.1:1").await;
    server.stop();
    let gone = until("it is gone", async || etcd.keys(SERVICE).await.is_empty()).await;
    assert!(gone < TTL * 2, "{gone:?}");
    tokio::time::sleep(TTL).await;
    server.go_on();
    let back = until("it is back", async || etcd.keys(SERVICE).await.len() == 1).await;
    assert!(back < BACK, "{back:?}");
    until("one lease", async || etcd.leases().await == 1).await;
}

/// Three registered, and somebody who watches them.
async fn town(
    etcd: &Etcd,
) -> (Vec<registry_etcd::EtcdRegistry>, registry_etcd::EtcdRegistry, rpc_core::discovery::Watch) {
    let mut servers = Vec::new();
    for id in ["a", "b", "c"] {
        let server = registry(etcd).await;
        soon("registering", server.register(SERVICE, instance(id))).await.unwrap();
        servers.push(server);
    }
    let client = registry(etcd).await;
    let watch = client.watch(SERVICE);
    until_trusted(&watch, &["a", "b", "c"]).await;
    (servers, client, watch)
}

async fn until_all_back(etcd: &Etcd, watch: &rpc_core::discovery::Watch) {
    let began = Instant::now();
    until("all keys", async || etcd.keys(SERVICE).await.len() == 3).await;
    until_trusted(watch, &["a", "b", "c"]).await;
    until("the watch is live", async || watch.error().is_none()).await;
    assert!(began.elapsed() < BACK, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_may_be_away_for_a_moment_and_for_long() {
    let mut etcd = Etcd::start().await;
    let (servers, client, watch) = town(&etcd).await;
    let never_empty = NeverEmpty::watch(&watch);
    for away in [TTL / 2, TTL * 5] {
        etcd.kill();
        tokio::time::sleep(away).await;
        assert_eq!(seen(&watch), ["a", "b", "c"]);
        assert!(listed(&client).await.is_none());
        assert!(away < TTL || watch.error().is_some(), "it says that the list is old");
        etcd.run().await;
        until_all_back(&etcd, &watch).await;
        assert_eq!(etcd.value(&format!("/courier/services/{SERVICE}/a")).await.matches("epoch").count(), 1);
    }
    never_empty.check().await;
    for server in &servers {
        until_within("registered", BACK, async || server.stats().registered == 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_may_lose_all_of_its_data() {
    let mut etcd = Etcd::start().await;
    let (_servers, client, watch) = town(&etcd).await;
    let never_empty = NeverEmpty::watch(&watch);
    etcd.kill();
    etcd.wipe();
    etcd.run().await;
    until_all_back(&etcd, &watch).await;
    never_empty.check().await;
    assert!(client.stats().restores > 0, "{:?}", client.stats());
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_may_be_set_back_to_an_older_state() {
    let mut etcd = Etcd::start().await;
    let ghost = registry(&etcd).await;
    soon("registering", ghost.register(SERVICE, instance("ghost"))).await.unwrap();
    etcd.save("early").await;
    soon("withdrawing", ghost.withdraw(SERVICE, "ghost")).await.unwrap();
    let (_servers, client, watch) = town(&etcd).await;
    let never_empty = NeverEmpty::watch(&watch);
    etcd.kill();
    etcd.restore("early").await;
    etcd.run().await;
    // The keys of the old state come back with it, and go with their leases.
    until_within("all keys", BACK, async || etcd.keys(SERVICE).await.len() >= 3).await;
    until_trusted(&watch, &["a", "b", "c"]).await;
    never_empty.check().await;
    assert!(client.stats().restores > 0, "{:?}", client.stats());
    assert!(etcd.revision().await < 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_may_stand_still() {
    let etcd = Etcd::start().await;
    let (_servers, client, watch) = town(&etcd).await;
    let never_empty = NeverEmpty::watch(&watch);
    etcd.stop();
    // Its sockets are open, and nothing comes: only the clock says that it is away.
    let noticed = until("it is noticed", async || watch.error().is_some()).await;
    assert!(noticed < secs(6), "{noticed:?}");
    tokio::time::sleep(TTL * 2).await;
    etcd.go_on();
    until_all_back(&etcd, &watch).await;
    never_empty.check().await;
    let stats = client.stats();
    assert!(stats.silences + stats.failovers > 0, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_may_be_forgotten_while_a_client_is_cut_off() {
    let etcd = Etcd::start().await;
    let (servers, _client, _watch) = town(&etcd).await;
    let proxy = Proxy::to(&etcd.endpoint()).await;
    let far = quick([proxy.address()]).connect().await.unwrap();
    let watch = far.watch(SERVICE);
    until_trusted(&watch, &["a", "b", "c"]).await;
    proxy.freeze();
    soon("registering", servers[0].register(SERVICE, instance("d"))).await.unwrap();
    soon("withdrawing", servers[0].withdraw(SERVICE, "a")).await.unwrap();
    for _ in 0..5 {
        soon("changing", servers[1].register(SERVICE, instance("b").with_weight(1))).await.unwrap();
        soon("changing", servers[1].register(SERVICE, instance("b").with_weight(2))).await.unwrap();
    }
    etcd.compact().await;
    until("it is noticed", async || watch.error().is_some()).await;
    assert_eq!(seen(&watch), ["a", "b", "c"], "what was known stays");
    proxy.thaw();
    let took = until_trusted(&watch, &["b", "c", "d"]).await;
    assert!(took < BACK, "{took:?}");
    assert_eq!(watch.current().unwrap().instances()[0].weight, 2);
}
