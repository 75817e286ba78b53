//! Three members, of which one is always well enough to be asked.

use std::time::Instant;

use registry_etcd::EtcdRegistry;
use rpc_core::Code;
use rpc_core::discovery::{Registry, Watch};

use crate::support::*;

/// What the lease is with three members: their election takes longer.
const LEASE: std::time::Duration = secs(3);

async fn connect<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> EtcdRegistry {
    quick(endpoints).ttl(LEASE).connect().await.unwrap()
}

/// Some that are registered, and somebody who watches them. They begin at different members.
async fn town(endpoints: &[String]) -> (Vec<EtcdRegistry>, EtcdRegistry, Watch) {
    let mut servers = Vec::new();
    for id in ["a", "b", "c", "d"] {
        let server = connect(endpoints).await;
        soon("registering", server.register(SERVICE, instance(id))).await.unwrap();
        servers.push(server);
    }
    let client = connect(endpoints).await;
    let watch = client.watch(SERVICE);
    until_trusted(&watch, &["a", "b", "c", "d"]).await;
    (servers, client, watch)
}

/// A change that is made now is seen soon, and everybody is still there.
async fn all_is_well(servers: &[EtcdRegistry], watch: &Watch, id: &str) {
    soon("registering", servers[0].register(SERVICE, instance(id))).await.unwrap();
    until_trusted(watch, &["a", "b", "c", "d", id]).await;
    // An election may take longer than a withdrawal waits: it then says that etcd is told later, which must be true.
    if let Err(later) = soon("withdrawing", servers[0].withdraw(SERVICE, id)).await {
        assert_eq!(later.code(), Code::Unavailable, "{later}");
    }
    until_trusted(watch, &["a", "b", "c", "d"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_may_be_killed_or_stand_still_one_after_another() {
    let mut cluster = Cluster::start().await;
    let (servers, client, watch) = town(&cluster.endpoints()).await;
    let never_empty = NeverEmpty::watch(&watch);
    for turn in 0..2 {
        let leader = cluster.leader().await;
        let began = Instant::now();
        if turn == 0 {
            cluster.members[leader].stop();
        } else {
            cluster.members[leader].kill();
        }
        all_is_well(&servers, &watch, "e").await;
        assert!(began.elapsed() < secs(30), "{:?}", began.elapsed());
        if turn == 0 {
            cluster.members[leader].go_on();
            cluster.members[leader].until_healthy().await;
        } else {
            cluster.members[leader].run().await;
        }
    }
    // One by one, the whole cluster.
    for member in 0..3 {
        cluster.members[member].kill();
        tokio::time::sleep(ms(300)).await;
        cluster.members[member].run().await;
        all_is_well(&servers, &watch, "f").await;
    }
    never_empty.check().await;
    let failovers: u64 = servers.iter().chain([&client]).map(|one| one.stats().failovers).sum();
    assert!(failovers > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_leaves_a_member_that_it_hears_nothing_from() {
    let cluster = Cluster::start().await;
    let mut proxies = Vec::new();
    for endpoint in cluster.endpoints() {
        proxies.push(Proxy::to(&endpoint).await);
    }
    let addresses: Vec<String> = proxies.iter().map(Proxy::address).collect();
    let (servers, client, watch) = town(&addresses).await;
    // Somebody who sees all of it.
    let near = connect(cluster.endpoints()).await;
    let all = near.watch(SERVICE);
    until_trusted(&all, &["a", "b", "c", "d"]).await;
    let never_gone = tokio::spawn(async move {
        loop {
            let there = trusted(&all);
            assert!(
                there.len() >= 4 && there.starts_with(&["a", "b", "c", "d"].map(str::to_owned)),
                "{there:?}"
            );
            tokio::time::sleep(ms(5)).await;
        }
    });
    for proxy in &proxies {
        // Whoever is on this one hears nothing any more, not even that.
        proxy.freeze();
        tokio::time::sleep(LEASE).await;
        all_is_well(&servers, &watch, "e").await;
        proxy.thaw();
    }
    assert!(!never_gone.is_finished(), "somebody was away for a moment: {:?}", never_gone.await);
    never_gone.abort();
    for server in &servers {
        assert_eq!(server.stats().registered, 1, "{:?}", server.stats());
    }
    let failovers: u64 = servers.iter().chain([&client]).map(|one| one.stats().failovers).sum();
    assert!(failovers > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_cut_off_from_the_others_is_not_believed() {
    let cluster = Cluster::start().await;
    let (servers, _client, _watch) = town(&cluster.endpoints()).await;
    for alone in [cluster.leader().await, (cluster.leader().await + 1) % 3] {
        // Somebody who watches at exactly this member, and another place to go to.
        let endpoints = [cluster.members[alone].endpoint(), cluster.members[(alone + 1) % 3].endpoint()];
        let far = connect(endpoints).await;
        let watch = far.watch(SERVICE);
        until_trusted(&watch, &["a", "b", "c", "d"]).await;
        // And somebody who has no other place: it keeps what it knows, and says that it is old.
        let blind = connect([cluster.members[alone].endpoint()]).await;
        let old = blind.watch(SERVICE);
        until_trusted(&old, &["a", "b", "c", "d"]).await;
        let never_empty = NeverEmpty::watch(&watch);
        cluster.part(alone).await;
        let began = Instant::now();
        all_is_well(&servers, &watch, "e").await;
        assert!(began.elapsed() < secs(30), "{:?}", began.elapsed());
        until("it is noticed", async || old.error().is_some()).await;
        assert_eq!(seen(&old), ["a", "b", "c", "d"]);
        never_empty.check().await;
        cluster.heal();
        all_is_well(&servers, &watch, "f").await;
        all_is_well(&servers, &old, "g").await;
    }
}
