//! Deadlines: they are kept however busy the runtime is, whatever layers and codecs take, and whatever becomes of an
//! attempt.

use std::time::Instant;

use rpc_core::codec::{Bytes, BytesMut, Codec, CodecError};
use rpc_core::middleware::{Next, from_fn};
use rpc_core::{Certainty, Channel, Code, Context, Request, Response, Server, Status, service};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;

use crate::support::raw::Raw;
use crate::support::{Bed, LabClient, LabServer, bench, ms, quiet, secs, within};

/// A server that has stopped: it greets, and says nothing else, ever.
async fn stopped() -> (LabClient, Raw) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = LabClient::new(Channel::builder(listener.local_addr().unwrap()).build().unwrap());
    let accepted = async {
        let mut raw = Raw(listener.accept().await.unwrap().0);
        raw.accept().await;
        raw
    };
    let (ready, raw) = tokio::join!(client.channel().ready(), accepted);
    ready.unwrap();
    (client, raw)
}

// One thread, so that everybody waits for it.
#[tokio::test]
async fn a_deadline_that_has_passed_before_the_connection_looked_ends_the_call() {
    let (client, _raw) = stopped().await;
    let began = Instant::now();
    let call = tokio::spawn(client.run("x".into()).timeout(ms(5)));
    // Many tasks stand in line between the call and its connection's driver.
    for _ in 0..200 {
        tokio::spawn(async { std::thread::sleep(std::time::Duration::from_micros(200)) });
    }
    let status = within(secs(5), call).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(began.elapsed() < secs(1), "{:?}", began.elapsed());
}

// One thread, so that everybody waits for it.
#[tokio::test]
async fn many_calls_with_little_time_end_all_of_them() {
    let (client, _raw) = stopped().await;
    let began = Instant::now();
    let calls: Vec<_> = (0..5_000).map(|_| tokio::spawn(client.run("x".into()).timeout(ms(5)))).collect();
    for call in calls {
        let status = within(secs(20), call).await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
    }
    assert!(began.elapsed() < secs(10), "{:?}", began.elapsed());
}

/// A layer that computes for 300 ms.
async fn computes(request: Request, next: Next) -> Result<Response, Status> {
    std::thread::sleep(ms(300));
    next.run(request).await
}

#[test]
fn what_a_layer_takes_is_taken_off_the_time_that_is_sent() {
    bench(async |bench| {
        let (bed, left) = Bed::timed();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let channel = Channel::builder(server.local_addr()).layer(from_fn(computes)).build().unwrap();
        channel.ready().await.unwrap();
        LabClient::new(channel).run("x".into()).timeout(ms(1_000)).await.unwrap();
        let left = left.lock().unwrap().unwrap();
        assert!(left <= ms(700), "{left:?} left of 1 s, after 300 ms in a layer");
    });
}

#[test]
fn a_call_whose_time_is_up_before_it_is_sent_is_not_run() {
    bench(async |bench| {
        let bed = Bed::echoing();
        let log = bed.log();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let channel = Channel::builder(server.local_addr()).layer(from_fn(computes)).build().unwrap();
        channel.ready().await.unwrap();
        let client = LabClient::new(channel.clone());
        let status = client.run("x".into()).timeout(ms(200)).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::DeadlineExceeded, Certainty::NotSent));
        quiet(&server, &channel).await;
        assert_eq!(log.started(), 0);
    });
}

#[test]
fn a_request_of_a_layer_s_own_does_not_move_the_deadline_of_the_call() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(LabServer::new(Bed::stuck()))).await;
        async fn own(request: Request, next: Next) -> Result<Response, Status> {
            let mut own = Request::new(request.method(), request.codec(), request.body().clone());
            own.limit_deadline(Instant::now() + secs(3));
            next.run(own).await
        }
        let channel = Channel::builder(server.local_addr()).layer(from_fn(own)).build().unwrap();
        channel.ready().await.unwrap();
        let began = Instant::now();
        let status = LabClient::new(channel).run("x".into()).timeout(ms(200)).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(began.elapsed() < secs(1), "{:?}: {status}", began.elapsed());
    });
}

#[test]
fn an_attempt_that_a_layer_gives_up_does_not_keep_the_deadline() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(LabServer::new(Bed::stuck()))).await;
        async fn checks(request: Request, next: Next) -> Result<Response, Status> {
            let check = std::future::ready(Err::<(), _>(Status::aborted("no")));
            let failed = futures_util::future::try_join(next.run(request.clone()), check).await;
            assert!(failed.is_err());
            tokio::time::sleep(secs(3)).await;
            next.run(request).await
        }
        let channel = Channel::builder(server.local_addr()).layer(from_fn(checks)).build().unwrap();
        channel.ready().await.unwrap();
        let began = Instant::now();
        let status = LabClient::new(channel).run("x".into()).timeout(ms(200)).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert!(began.elapsed() < secs(1), "{:?}: {status}", began.elapsed());
    });
}

/// Takes 300 ms to encode what has "slow" in it.
#[derive(Clone, Copy, Debug)]
struct Slow;

impl<T: Serialize + DeserializeOwned> Codec<T> for Slow {
    const ID: u8 = 78;
    const NAME: &'static str = "slow";

    fn encode(value: &T, out: &mut BytesMut) -> Result<(), CodecError> {
        let text = rmp_serde::to_vec(value).map_err(CodecError::new)?;
        if text.windows(4).any(|part| part == b"slow") {
            std::thread::sleep(ms(300));
        }
        out.extend_from_slice(&text);
        Ok(())
    }

    fn decode(bytes: Bytes) -> Result<T, CodecError> {
        rmp_serde::from_slice(&bytes).map_err(CodecError::new)
    }
}

#[service(codecs(Slow))]
trait Left {
    async fn left(&self, how: String) -> Result<u64, Status>;
}

struct Handlers;

impl Left for Handlers {
    async fn left(&self, _how: String) -> Result<u64, Status> {
        Ok(Context::current().remaining().unwrap().as_millis() as u64)
    }
}

#[test]
fn what_an_encoder_takes_is_taken_off_the_time_that_is_sent() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(LeftServer::new(Handlers))).await;
        let client = LeftClient::connect(server.local_addr()).await.unwrap();
        for how in ["slow".to_owned(), "slow ".repeat(1_000)] {
            let left = client.left(how.clone()).timeout(ms(1_000)).await.unwrap();
            assert!(left <= 700, "{left} ms left of 1 s, after an encoder's 300 ms");
            let status = client.left(how).timeout(ms(200)).await.unwrap_err();
            assert_eq!((status.code(), status.certainty()), (Code::DeadlineExceeded, Certainty::NotSent));
        }
    });
}
