//! The servers behind a name: who gets the calls while some of them are away, unwell, new or in use, and that neither
//! keeper nor pickers are stopped or worn out by what servers and policies do.

mod support;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rpc_core::balance::{self, Endpoint, LeastLoad, Picker, RoundRobin, outlier};
use rpc_core::client::health::HealthWatch;
use rpc_core::client::pool;
use rpc_core::discovery::resolver::{self, Name};
use rpc_core::discovery::{Instance, Snapshot, State, Watch, watch};
use rpc_core::server::health::ServingStatus;
use rpc_core::transport::{Address, BoxIo};
use rpc_core::{Channel, Code, Server, Status, Streaming, service};
use support::{
    Attempt, Count, LabClient, Scripted, a_call_outlives_the_runtime_that_connects, connects, fresh_address,
    meets_one_that_greets_and_closes, ms, secs, serve, serve_at, until, within,
};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// The name of these servers.
fn name(addresses: &[&Address]) -> String {
    let list: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    format!("static://{}", list.join(","))
}

/// Begins a channel that goes round these servers, so that each is sure of its share.
fn round(addresses: &[&Address]) -> rpc_core::client::Builder {
    Channel::builder(name(addresses)).balancer(RoundRobin)
}

/// All that can happen now has: a stopped clock goes on only then.
async fn settled() {
    sleep(ms(1)).await;
}

/// There is a connection to each of so many servers, and the picker knows of them.
async fn all_ready(channel: &Channel, count: usize) {
    channel.ready().await.unwrap();
    settled().await;
    assert_eq!(channel.snapshot().pool.open, count);
}

#[service]
trait Till {
    /// Counts what comes.
    async fn count(&self, items: Streaming<u32>) -> Result<u32, Status>;
    /// Fails if it is to.
    async fn sell(&self, fail: bool) -> Result<(), Status>;
}

struct Shop {
    sales: Count,
    /// Every sale fails.
    is_unwell: bool,
}

impl Till for Shop {
    async fn count(&self, mut items: Streaming<u32>) -> Result<u32, Status> {
        let mut count = 0;
        while let Some(item) = items.next().await {
            item?;
            count += 1;
        }
        Ok(count)
    }

    async fn sell(&self, fail: bool) -> Result<(), Status> {
        self.sales.add();
        if fail || self.is_unwell { Err(Status::unavailable("not well")) } else { Ok(()) }
    }
}

/// A server, and how many sales it has been asked for.
async fn shop(is_unwell: bool) -> (Server, Count) {
    let sales = Count::default();
    let server = Server::builder().service(TillServer::new(Shop { sales: sales.clone(), is_unwell }));
    (server.bind(fresh_address().as_str()).await.unwrap(), sales)
}

/// Goes round, once the test has seen how many servers there are to choose from.
struct Watched<F>(F);

impl<F> fmt::Debug for Watched<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

impl<F: Fn(usize) + Send + Sync + 'static> balance::Builder for Watched<F> {
    fn name(&self) -> &'static str {
        "watched"
    }

    fn build(
        &self,
        endpoints: &[Endpoint],
        before: Option<&dyn Picker>,
        now: std::time::Instant,
    ) -> Arc<dyn Picker> {
        (self.0)(endpoints.len());
        RoundRobin.build(endpoints, before, now)
    }
}

/// Counts its pickers.
fn counting(built: &Count) -> impl balance::Builder {
    let built = built.clone();
    Watched(move |_| {
        built.add();
    })
}

/// Panics when it sees so many servers for the first time; `seen` is how often it has seen them.
fn panicking(servers: usize, seen: &Count) -> impl balance::Builder {
    let seen = seen.clone();
    Watched(move |count| {
        if count == servers && seen.add() == 0 {
            panic!("a policy's bug")
        }
    })
}

/// A resolver whose list is the test's.
#[derive(Clone)]
struct List(Arc<watch::Publisher>);

impl List {
    fn set(&self, servers: &[&Server]) {
        let instances = servers.iter().map(|server| Instance::new(server.local_addr().clone()));
        self.0.publish(Snapshot::new(instances));
    }
}

impl resolver::Builder for List {
    fn scheme(&self) -> &str {
        "list"
    }

    fn build(&self, _: &Name) -> Result<Watch, Status> {
        Ok(self.0.watch())
    }
}

#[tokio::test(start_paused = true)]
async fn exclusive_connections_do_not_keep_calls_from_going_round() {
    let ((a, at_a), (b, at_b)) = (serve().await, serve().await);
    let config = pool::Config { exclusive: true, max_connections: 4, ..Default::default() };
    let channel = round(&[a.local_addr(), b.local_addr()]).pool(config).build().unwrap();
    all_ready(&channel, 2).await;
    let client = LabClient::new(channel);
    for _ in 0..100 {
        client.work(0).await.unwrap();
    }
    let (at_a, at_b) = (at_a.get(), at_b.get());
    assert!(at_a >= 40 && at_b >= 40, "{at_a} {at_b}");
}

/// The only connection that calls may have is theirs, however long the server is asked about its health.
#[tokio::test(start_paused = true)]
async fn a_health_check_takes_no_call_its_exclusive_connection() {
    let (server, calls) = serve().await;
    let config = pool::Config { exclusive: true, max_connections: 1, ..Default::default() };
    let channel = round(&[server.local_addr()]).pool(config).health_check("").build().unwrap();
    all_ready(&channel, 1).await;
    let client = LabClient::new(channel);
    let call = client.work(100).start();
    until(ms(90), "it has the connection", || calls.get() == 1).await;
    server.health().set("", ServingStatus::NotServing);
    settled().await;
    let status = client.work(0).await.unwrap_err();
    assert!(status.message().contains("not well"), "{status}");
    call.await.unwrap();
    server.health().set("", ServingStatus::Serving);
    settled().await;
    client.work(0).timeout(ms(10)).await.unwrap();
    let statistics = client.channel().snapshot().pool;
    assert_eq!((statistics.opened, statistics.open, statistics.idle), (1, 1, 1), "{statistics:?}");
}

/// Its connection grew old under one call and was closed, and the next call has the one that followed.
#[tokio::test(start_paused = true)]
async fn a_server_whose_exclusive_connections_are_all_in_use_is_still_there() {
    let (server, calls) = serve().await;
    let config = pool::Config {
        exclusive: true,
        max_connections: 1,
        acquire_timeout: Some(ms(300)),
        max_lifetime: Some(ms(200)),
        ..Default::default()
    };
    let channel = round(&[server.local_addr()]).pool(config).build().unwrap();
    all_ready(&channel, 1).await;
    let client = LabClient::new(channel);
    let first = client.work(500).start();
    until(ms(90), "it has the connection", || calls.get() == 1).await;
    sleep(ms(300)).await;
    let second = client.work(2_000).start();
    first.await.unwrap();
    sleep(ms(1_900)).await;
    client.work(0).await.unwrap();
    second.await.unwrap();
    assert_eq!(client.channel().snapshot().pool.timeouts, 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_for_a_connection_is_told_in_time() {
    let (mut servers, mut list) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        let (server, _) = serve().await;
        list.push(server.local_addr().clone());
        servers.push(server);
    }
    let channel = Channel::builder(name(&list.iter().collect::<Vec<_>>()))
        .balancer(LeastLoad::default())
        .pool(pool::Config {
            exclusive: true,
            max_connections: 1,
            acquire_timeout: Some(ms(300)),
            ..Default::default()
        })
        .build()
        .unwrap();
    all_ready(&channel, 4).await;
    let client = LabClient::new(channel);
    let _busy: Vec<_> = (0..40).map(|_| client.work(5_000).start()).collect();
    until(ms(2_500), "four are served, all others have been told", || {
        client.channel().snapshot().pool.timeouts == 36
    })
    .await;
    let began = Instant::now();
    let status = client.work(0).await.unwrap_err();
    let took = began.elapsed();
    assert!(took < ms(600), "took {took:?}: {status}");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
}

#[tokio::test]
async fn a_server_that_greets_and_closes_is_not_stormed() {
    let connector = Scripted::new(|_, _| meets_one_that_greets_and_closes());
    let address = fresh_address().parse().unwrap();
    let channel = Channel::builder(name(&[&address])).connector(connector.clone()).build().unwrap();
    let _ = tokio::time::timeout(ms(200), channel.ready()).await;
    sleep(ms(800)).await;
    let attempts = connector.attempts();
    assert!(attempts < 30, "{attempts} connections in a second");
}

/// One connection to each server is kept, whatever the pool says of idle ones.
#[tokio::test(start_paused = true)]
async fn a_name_without_calls_does_not_connect_again_and_again() {
    let (server, _) = serve().await;
    let channel = round(&[server.local_addr()])
        .pool(pool::Config { idle_timeout: Some(ms(100)), ..Default::default() })
        .build()
        .unwrap();
    channel.ready().await.unwrap();
    sleep(secs(2)).await;
    let statistics = channel.snapshot().pool;
    assert!(statistics.opened <= 2, "{statistics:?}");
}

#[test]
fn a_call_does_not_wait_for_a_keeper_that_has_ended_with_its_runtime() {
    a_call_outlives_the_runtime_that_connects(|address| name(&[address]));
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_panics_is_an_error() {
    let (server, _) = serve().await;
    let channel = Channel::builder(name(&[server.local_addr()]))
        .balancer(panicking(1, &Count::default()))
        .build()
        .unwrap();
    within(secs(8), channel.ready()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn the_list_is_followed_after_a_policy_has_panicked() {
    let ((a, _), (b, at_b)) = (serve().await, serve().await);
    let list = List(Arc::new(watch::channel().0));
    let seen = Count::default();
    let channel =
        Channel::builder("list://lab").resolver(list.clone()).balancer(panicking(2, &seen)).build().unwrap();
    list.set(&[&a]);
    channel.ready().await.unwrap();
    let client = LabClient::new(channel);
    client.work(0).await.unwrap();
    list.set(&[&a, &b]);
    until(ms(300), "the policy has panicked", || seen.get() > 0).await;
    list.set(&[&b]);
    within(secs(3), async {
        while at_b.get() == 0 {
            client.work(0).await.unwrap();
            sleep(ms(10)).await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_health_watch_that_is_dropped_and_called_again_goes_on() {
    let address = fresh_address();
    let mut watch = HealthWatch::new(Channel::builder(address.as_str()).build().unwrap(), "");
    assert_eq!(watch.changed().await, State::Down);
    let _server = Server::builder().bind(address.as_str()).await.unwrap();
    let state = within(secs(500), async {
        // As in a `select!` beside a ticker.
        loop {
            if let Ok(state) = tokio::time::timeout(ms(500), watch.changed()).await {
                return state;
            }
        }
    });
    assert_eq!(state.await, State::Up);
}

#[tokio::test]
async fn the_keeper_rests_even_if_intervals_have_no_length() {
    let (server, _) = serve().await;
    let built = Count::default();
    let channel = Channel::builder(name(&[server.local_addr()]))
        .balancer(counting(&built))
        .outlier(outlier::Config { interval: Duration::ZERO, ..Default::default() })
        .build()
        .unwrap();
    channel.ready().await.unwrap();
    sleep(ms(500)).await;
    let built = built.get();
    assert!(built < 20, "{built} pickers in half a second");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_changes_nothing_makes_no_new_picker() {
    let ((a, _), (b, _)) = (shop(false).await, shop(false).await);
    let built = Count::default();
    let channel =
        Channel::builder(name(&[a.local_addr(), b.local_addr()])).balancer(counting(&built)).build().unwrap();
    all_ready(&channel, 2).await;
    let client = TillClient::new(channel);
    // Both fail. One may be ejected, the other may not.
    for _ in 0..20 {
        client.sell(true).await.unwrap_err();
    }
    settled().await;
    let before = built.get();
    for _ in 0..1_000 {
        client.sell(true).await.unwrap_err();
    }
    settled().await;
    let more = built.get() - before;
    assert!(more < 20, "{more} pickers for 1000 failed calls");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_callers_own_says_nothing_of_the_server() {
    let [(a, at_a), (b, at_b), (c, at_c)] = [shop(false).await, shop(false).await, shop(false).await];
    let channel = round(&[a.local_addr(), b.local_addr(), c.local_addr()]).build().unwrap();
    all_ready(&channel, 3).await;
    let client = TillClient::new(channel);
    for _ in 0..30 {
        // A file that the caller streams cannot be read, say.
        let items = Streaming::iter([Ok(1), Err(Status::internal("the caller's disk"))]);
        let status = client.count(items).await.unwrap_err();
        assert!(status.message().contains("disk"), "{status}");
    }
    settled().await;
    for _ in 0..30 {
        client.sell(false).await.unwrap();
    }
    assert_eq!([at_a.get(), at_b.get(), at_c.get()], [10, 10, 10], "all of them are well");
}

#[tokio::test(start_paused = true)]
async fn servers_that_cannot_be_reached_count_among_those_that_are_not_well() {
    let ((a, at_a), (b, at_b)) = (shop(true).await, shop(false).await);
    let away: [Address; 2] = [fresh_address(), fresh_address()].map(|address| address.parse().unwrap());
    let channel = round(&[a.local_addr(), b.local_addr(), &away[0], &away[1]])
        .outlier(outlier::Config { max_ejected_percent: 100, ..Default::default() })
        .build()
        .unwrap();
    all_ready(&channel, 2).await;
    sleep(ms(200)).await;
    let client = TillClient::new(channel);
    // The first one fails seven times: it is ejected.
    for _ in 0..14 {
        let _ = client.sell(false).await;
    }
    settled().await;
    let (before_a, before_b) = (at_a.get(), at_b.get());
    for _ in 0..100 {
        let _ = client.sell(false).await;
    }
    // One of four is well, so all that can be reached are chosen from.
    let (more_a, more_b) = (at_a.get() - before_a, at_b.get() - before_b);
    assert!(more_a > 0 && more_b > 0, "{more_a} {more_b}, and {before_a} {before_b} before");
}

/// Goes through somebody who cuts the connection when told to.
fn connects_through(address: &Address, cut: Arc<Notify>) -> Attempt {
    let far = connects(address);
    Box::pin(async move {
        let (mut far, peer) = far.await?;
        let (near, mut between) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut between, &mut far) => {}
                () = cut.notified() => {}
            }
        });
        Ok((Box::new(near) as BoxIo, peer))
    })
}

/// Ten calls are lost with it, which is no reason to eject the server.
#[tokio::test(start_paused = true)]
async fn one_lost_connection_is_one_failure() {
    let ((a, at_a), (b, _)) = (serve().await, serve().await);
    let cut = Arc::new(Notify::new());
    let (first, cuts) = (a.local_addr().clone(), cut.clone());
    let connector = Scripted::new(move |_, address| match *address == first {
        true => connects_through(address, cuts.clone()),
        false => connects(address),
    });
    let channel = round(&[a.local_addr(), b.local_addr()]).connector(connector).build().unwrap();
    all_ready(&channel, 2).await;
    let client = LabClient::new(channel);
    let calls: Vec<_> = (0..20).map(|_| client.work(300).start()).collect();
    until(ms(290), "half of them run there", || at_a.get() == 10).await;
    cut.notify_waiters();
    let mut failed = 0;
    for call in calls {
        failed += usize::from(call.await.is_err());
    }
    assert_eq!(failed, 10);
    sleep(ms(500)).await;
    let before = at_a.get();
    for _ in 0..20 {
        client.work(0).await.unwrap();
    }
    assert_eq!(at_a.get() - before, 10, "it is connected again and well");
}

/// Under load one of two servers ends so, and comes back at its address. All is real here: sockets, ports and time.
async fn a_server_that_ended_is_found_again(end: impl AsyncFnOnce(Server)) {
    let (a, at_a) = serve_at("127.0.0.1:0").await.unwrap();
    let (b, at_b) = serve_at("127.0.0.1:0").await.unwrap();
    let address = a.local_addr().to_string();
    let channel = round(&[a.local_addr(), b.local_addr()]).build().unwrap();
    channel.ready().await.unwrap();
    let client = LabClient::new(channel);
    let stop = Arc::new(AtomicBool::new(false));
    let mut load = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (client, stop) = (client.clone(), stop.clone());
        load.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let _ = client.work(2).await;
            }
        });
    }
    until(secs(10), "both have many calls", || at_a.get() > 1_000 && at_b.get() > 1_000).await;
    end(a).await;
    let (_again, calls) = loop {
        match serve_at(&address).await {
            Ok(served) => break served,
            Err(_) => sleep(ms(10)).await,
        }
    };
    until(secs(3), "it has calls again", || calls.get() > 0).await;
    stop.store(true, Ordering::Relaxed);
    load.join_all().await;
}

#[tokio::test]
async fn a_server_that_was_drained_gets_calls_when_it_is_back() {
    a_server_that_ended_is_found_again(async |server| drop(server.drain(secs(5)).await)).await;
}

#[tokio::test]
async fn a_server_that_was_killed_gets_calls_when_it_is_back() {
    a_server_that_ended_is_found_again(async |server| drop(server)).await;
}
