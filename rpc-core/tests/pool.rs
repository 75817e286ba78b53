//! The connections to one server: how many there are, how long they are kept, and what comes of those that cannot be
//! made.

mod support;

use std::io;
use std::time::Duration;

use rpc_core::call::Peer;
use rpc_core::client::{Backoff, pool};
use rpc_core::transport::BoxIo;
use rpc_core::{Channel, Code, Server};
use support::{
    Attempt, Count, LabClient, Scripted, a_call_outlives_the_runtime_that_connects, connects, fresh_address,
    hangs, meets_one_that_greets_and_closes, ms, secs, serve, until, within,
};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};

struct Pooled {
    _server: Server,
    client: LabClient,
    /// That the server has had.
    calls: Count,
}

/// A server, and a client with this pool.
async fn pooled(config: pool::Config) -> Pooled {
    let (server, calls) = serve().await;
    let channel = Channel::builder(server.local_addr()).pool(config).build().unwrap();
    Pooled { _server: server, client: LabClient::new(channel), calls }
}

impl Pooled {
    fn statistics(&self) -> pool::Statistics {
        self.client.channel().snapshot().pool
    }
}

fn exclusive(max: usize) -> pool::Config {
    pool::Config { max_connections: max, exclusive: true, ..Default::default() }
}

/// A channel for which nobody is there but the connector.
fn nowhere(connector: &Scripted, backoff: Backoff) -> Channel {
    Channel::builder(fresh_address()).connector(connector.clone()).backoff(backoff).build().unwrap()
}

fn refuses() -> Attempt {
    Box::pin(async { Err(io::Error::other("refused")) })
}

fn panics() -> Attempt {
    Box::pin(async { panic!("a connector's bug") })
}

/// Gets through to somebody who accepts, reads a little after half a second and closes, without a word: a proxy before
/// a server that is away.
fn meets_a_silent_one() -> Attempt {
    Box::pin(async {
        let (near, mut far) = tokio::io::duplex(1024);
        tokio::spawn(async move {
            sleep(ms(500)).await;
            far.read(&mut [0; 1024]).await
        });
        Ok((Box::new(near) as BoxIo, Peer::new("a silent one")))
    })
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_is_an_error() {
    let channel = nowhere(&Scripted::new(|_, _| panics()), Backoff::default());
    let status = within(secs(8), channel.ready()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}

#[tokio::test(start_paused = true)]
async fn one_call_needs_one_connection() {
    let pooled = pooled(pool::Config { max_connections: 4, ..Default::default() }).await;
    pooled.client.work(0).await.unwrap();
    sleep(ms(100)).await;
    assert_eq!(pooled.statistics().opened, 1, "{:?}", pooled.statistics());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_connection_gets_the_one_that_is_put_back() {
    let (server, calls) = serve().await;
    let channel = Channel::builder(server.local_addr())
        .connector(Scripted::new(|attempt, address| if attempt == 0 { connects(address) } else { hangs() }))
        .pool(exclusive(2))
        .build()
        .unwrap();
    let client = LabClient::new(channel);
    let first = client.work(100).start();
    until(ms(90), "the first call runs", || calls.get() == 1).await;
    let second = client.work(0).timeout(ms(1_500)).start();
    until(ms(90), "one more is connected for the second", || client.channel().snapshot().pool.dialing == 1)
        .await;
    first.await.unwrap();
    second.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_has_calls_now_and_then_is_not_idle() {
    let pooled = pooled(pool::Config { idle_timeout: Some(ms(300)), ..Default::default() }).await;
    // Whenever the pool looks there is no call under way.
    for _ in 0..150 {
        pooled.client.work(0).await.unwrap();
        sleep(ms(7)).await;
    }
    let statistics = pooled.statistics();
    assert_eq!((statistics.opened, statistics.closed_idle), (1, 0), "{statistics:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_idle_only_from_the_end_of_a_long_call() {
    let pooled = pooled(pool::Config { idle_timeout: Some(ms(300)), ..Default::default() }).await;
    pooled.client.work(550).await.unwrap();
    // The pool looks after 300 ms and after 600 ms, when the connection has been idle for 50 ms.
    sleep(ms(150)).await;
    let statistics = pooled.statistics();
    assert_eq!((statistics.opened, statistics.closed_idle), (1, 0), "{statistics:?}");
}

#[tokio::test(start_paused = true)]
async fn more_idle_connections_than_allowed_are_closed_at_once() {
    let pooled = pooled(pool::Config { max_idle: 2, ..exclusive(30) }).await;
    let calls: Vec<_> = (0..30).map(|_| pooled.client.work(300).start()).collect();
    until(ms(290), "all have a connection", || pooled.calls.get() == 30).await;
    assert_eq!(pooled.statistics().open, 30);
    for call in calls {
        call.await.unwrap();
    }
    until(secs(2), "two are left", || pooled.statistics().open == 2).await;
}

#[tokio::test(start_paused = true)]
async fn an_exclusive_connection_that_has_grown_old_goes_after_its_call() {
    let pooled = pooled(pool::Config { max_lifetime: Some(ms(200)), ..exclusive(2) }).await;
    pooled.client.work(500).await.unwrap();
    sleep(secs(2)).await;
    let statistics = pooled.statistics();
    assert_eq!((statistics.open, statistics.closed_lifetime), (0, 1), "{statistics:?}");
}

/// Three attempts get through to somebody who says nothing, and three to nobody. Each call would be late that had to wait.
#[tokio::test(start_paused = true)]
async fn an_old_connection_serves_until_a_successor_has_spoken() {
    for max_connections in [1, 4] {
        let (server, _) = serve().await;
        let connector = Scripted::new(|attempt, address| match attempt {
            0 | 7.. => connects(address),
            1..=3 => meets_a_silent_one(),
            _ => refuses(),
        });
        let channel = Channel::builder(server.local_addr())
            .connector(connector.clone())
            .pool(pool::Config { max_lifetime: Some(secs(1)), max_connections, ..Default::default() })
            .build()
            .unwrap();
        let client = LabClient::new(channel);
        let statistics = || client.channel().snapshot().pool;
        while statistics().closed_lifetime == 0 {
            client.work(0).timeout(ms(50)).await.unwrap();
            assert!(connector.attempts() < 9, "{:?}", statistics());
            sleep(ms(10)).await;
        }
        client.work(0).timeout(ms(50)).await.unwrap();
        let statistics = statistics();
        assert_eq!((connector.attempts(), statistics.open), (8, 1), "{statistics:?}");
        assert_eq!((statistics.closed_broken, statistics.dials_failed), (3, 3), "{statistics:?}");
    }
}

/// Each lifetime is a little longer or shorter than what is set: eight, so that some are longer.
#[tokio::test(start_paused = true)]
async fn a_lifetime_without_end_is_a_lifetime() {
    for _ in 0..8 {
        let pooled = pooled(pool::Config { max_lifetime: Some(Duration::MAX), ..Default::default() }).await;
        within(secs(3), pooled.client.channel().ready()).await.unwrap();
    }
}

#[tokio::test]
async fn who_allows_no_idle_connections_has_connections() {
    let pooled = pooled(pool::Config { max_idle: 0, max_connections: 2, ..Default::default() }).await;
    for _ in 0..5 {
        let result = pooled.client.work(0).timeout(secs(1)).await;
        let statistics = pooled.statistics();
        assert!(result.is_ok() && statistics.opened < 20, "{result:?} {statistics:?}");
        sleep(ms(50)).await;
    }
}

#[tokio::test]
async fn who_allows_no_idle_exclusive_connections_has_connections() {
    let pooled = pooled(pool::Config { max_idle: 0, ..exclusive(2) }).await;
    for _ in 0..5 {
        let calls: Vec<_> = (0..2).map(|_| pooled.client.work(20).timeout(secs(1)).start()).collect();
        for call in calls {
            let result = call.await;
            let statistics = pooled.statistics();
            assert!(result.is_ok() && statistics.opened < 20, "{result:?} {statistics:?}");
        }
        sleep(ms(50)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn there_may_be_any_number_of_exclusive_connections() {
    let (server, _) = serve().await;
    let address = server.local_addr();
    for target in [address.to_string(), format!("static://{address}")] {
        let channel = Channel::builder(target).pool(exclusive(usize::MAX)).build().unwrap();
        within(secs(3), channel.ready()).await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_greets_and_closes_is_not_stormed_by_a_call_that_waits() {
    let connector = Scripted::new(|_, _| meets_one_that_greets_and_closes());
    let client = LabClient::new(nowhere(&connector, Backoff::default()));
    let result = client.work(0).wait_for_ready().timeout(secs(1)).await;
    let attempts = connector.attempts();
    assert!(attempts < 30, "{attempts} connections in a second; {result:?}");
}

#[tokio::test(start_paused = true)]
async fn the_back_off_is_forgotten_once_a_server_has_spoken() {
    let (server, _) = serve().await;
    // Eight failures, a connection, and one failure more.
    let connector = Scripted::new(|attempt, address| match attempt {
        0..=7 | 9 => refuses(),
        _ => connects(address),
    });
    let channel = Channel::builder(server.local_addr())
        .connector(connector.clone())
        .backoff(Backoff { base: ms(10), factor: 2.0, max: secs(60) })
        .pool(pool::Config { idle_timeout: Some(ms(100)), ..Default::default() })
        .build()
        .unwrap();
    let client = LabClient::new(channel);
    client.work(0).wait_for_ready().await.unwrap();
    assert_eq!(connector.attempts(), 9);
    until(secs(10), "the connection is idle, and goes", || client.channel().snapshot().pool.open == 0).await;
    let began = Instant::now();
    client.work(0).wait_for_ready().await.unwrap();
    let took = began.elapsed();
    assert!(took < ms(200), "one failure after a good connection costs {took:?}, not 10 ms");
    assert_eq!(connector.attempts(), 11);
}

#[tokio::test]
async fn without_a_back_off_the_first_failure_is_an_error_all_the_same() {
    let connector = Scripted::new(|_, _| refuses());
    let channel = nowhere(&connector, Backoff { base: Duration::ZERO, ..Default::default() });
    within(secs(1), channel.ready()).await.unwrap_err();
    assert!(connector.attempts() < 5, "{} attempts", connector.attempts());
}

#[tokio::test(start_paused = true)]
async fn with_a_back_off_without_end_a_failure_is_an_error_at_once() {
    let backoff = Backoff { base: Duration::MAX, factor: 1.0, max: Duration::MAX };
    let channel = nowhere(&Scripted::new(|_, _| refuses()), backoff);
    within(secs(3), channel.ready()).await.unwrap_err();
}

#[test]
fn a_call_does_not_wait_for_an_attempt_that_has_ended_with_its_runtime() {
    a_call_outlives_the_runtime_that_connects(ToString::to_string);
}

/// The first connection has a call, the second is to somebody who will not say a word, and has one as well.
async fn who_waits_goes_only_where_a_server_has_spoken(target: impl FnOnce(&Server) -> String) {
    let (server, _) = serve().await;
    let connector = Scripted::new(|attempt, address| match attempt {
        0 => connects(address),
        _ => meets_a_silent_one(),
    });
    let channel = Channel::builder(target(&server))
        .connector(connector)
        .pool(pool::Config { max_connections: 2, max_dials: 1, high_water: 1, ..Default::default() })
        .build()
        .unwrap();
    channel.ready().await.unwrap();
    let client = LabClient::new(channel);
    let _first = client.work(2_000).start();
    until(secs(1), "the first call runs", || client.channel().snapshot().calls == 1).await;
    let _second = client.work(2_000).start();
    until(secs(1), "there is a second connection", || client.channel().snapshot().pool.open == 2).await;
    client.work(0).wait_for_ready().timeout(secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_goes_only_where_a_server_has_spoken() {
    who_waits_goes_only_where_a_server_has_spoken(|server| server.local_addr().to_string()).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_goes_only_where_a_server_of_the_name_has_spoken() {
    who_waits_goes_only_where_a_server_has_spoken(|server| format!("static://{}", server.local_addr())).await;
}
