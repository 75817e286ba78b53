//! Handlers that run one after the other on one connection share its buffers, and leave their boxes to the next ones:
//! whatever handlers and encoders do, each call has the answer that is its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use rpc_core::codec::{Bytes, BytesMut, Codec, CodecError};
use rpc_core::{Code, Context, Server, Status, service};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// JSON, by an encoder that takes liberties with the buffer that it is given.
#[derive(Clone, Copy, Debug)]
struct Rude;

impl<T: Serialize + DeserializeOwned> Codec<T> for Rude {
    const ID: u8 = 77;
    const NAME: &'static str = "rude";

    fn encode(value: &T, out: &mut BytesMut) -> Result<(), CodecError> {
        let text = serde_json::to_vec(value).map_err(CodecError::new)?;
        let does = |what: &[u8]| text.windows(what.len()).any(|part| part == what);
        if does(b"!another") {
            *out = BytesMut::from(&text[..]);
            return Ok(());
        }
        if does(b"!split") {
            out.extend_from_slice(b"something else");
            let _ = out.split();
        } else if does(b"!clear") {
            out.extend_from_slice(b"something else");
            out.clear();
        } else if does(b"!fail") {
            out.extend_from_slice(b"half");
            return Err(CodecError::new("on purpose"));
        } else if does(b"!panic") {
            out.extend_from_slice(b"half");
            panic!("on purpose");
        }
        out.extend_from_slice(&text);
        Ok(())
    }

    fn decode(bytes: Bytes) -> Result<T, CodecError> {
        serde_json::from_slice(&bytes).map_err(CodecError::new)
    }
}

#[service(codecs(Protobuf, Rude))]
trait Odd {
    async fn text(&self, how: u32, number: u64) -> Result<String, Status>;
    /// With more in its future than is kept.
    async fn large(&self, how: u32, number: u64) -> Result<u64, Status>;
    async fn calls(&self) -> Result<u64, Status>;
}

#[derive(Default)]
struct Handlers {
    calls: AtomicU64,
}

/// What stands in a reply, and so what the encoder does.
const WORDS: [&str; 12] =
    ["", "", "", "", "!another", "!split", "!clear", "!fail", "!panic", "long", "longer", "nested"];

fn text(how: u32, number: u64) -> String {
    let word = WORDS[how as usize % WORDS.len()];
    match word {
        // Lengths on both sides of what stays in the connection's buffer.
        "long" => format!("{number}{}", "x".repeat(1000 + number as usize % 50)),
        "longer" => format!("{number}{}", "y".repeat(number as usize % 20_000)),
        _ => format!("{word} {number}"),
    }
}

impl Odd for Handlers {
    async fn text(&self, how: u32, number: u64) -> Result<String, Status> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match number % 11 {
            0 => tokio::task::yield_now().await,
            1 => tokio::time::sleep(Duration::from_millis(number % 7)).await,
            2 => panic!("on purpose"),
            3 => return Err(Status::not_found(number.to_string())),
            _ => {}
        }
        Context::current().set_reply_metadata("number", number.to_string())?;
        if WORDS[how as usize % WORDS.len()] == "nested" {
            // A handler that is polled within this one.
            let inner = OddClient::local(Self::default()).text(0, 4).await?;
            assert_eq!(inner, text(0, 4));
        }
        Ok(text(how, number))
    }

    async fn large(&self, how: u32, number: u64) -> Result<u64, Status> {
        let kept = [number; 1024];
        if how.is_multiple_of(2) {
            tokio::task::yield_now().await;
        }
        Ok(kept.iter().sum())
    }

    async fn calls(&self) -> Result<u64, Status> {
        Ok(self.calls.load(Ordering::Relaxed))
    }
}

async fn call(odd: OddClient, codec: &str, how: u32, number: u64) {
    let result = odd.text(how, number).reply().await;
    let word = WORDS[how as usize % WORDS.len()];
    match (number % 11, word) {
        (2, _) => assert_eq!(result.unwrap_err().code(), Code::Internal),
        (3, _) => {
            let status = result.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::NotFound, &*number.to_string()));
        }
        (_, "!fail" | "!panic") if codec == "rude" => {
            assert_eq!(result.unwrap_err().code(), Code::Internal);
        }
        _ => {
            let reply = result.unwrap();
            assert_eq!(reply.metadata.get("number"), Some(&*number.to_string()));
            assert_eq!(reply.value, text(how, number));
        }
    }
    let sum = odd.large(how, number).await.unwrap();
    assert_eq!(sum, number * 1024);
}

#[tokio::test(start_paused = true)]
async fn each_call_has_its_own_answer() {
    let server = Server::builder().service(OddServer::new(Handlers::default()));
    let server = server.bind("memory://in-place").await.unwrap();
    let mut random = Rng::with_seed(7);
    for codec in ["protobuf", "rude"] {
        let builder = rpc_core::Channel::builder(server.local_addr());
        let channel = if codec == "rude" { builder.codec::<Rude>().build() } else { builder.build() };
        let odd = OddClient::new(channel.unwrap());
        for _ in 0..20 {
            let calls =
                (0..100).map(|_| call(odd.clone(), codec, random.u32(..1000), random.u64(..1_000_000)));
            join_all(calls).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_has_the_answer_finds_the_call_counted() {
    let server = Server::builder().service(OddServer::new(Handlers::default()));
    let server = server.bind("memory://counted").await.unwrap();
    let odd = OddClient::connect(server.local_addr()).await.unwrap();
    for round in 1..20 {
        let calls = (0..round).map(|_| async {
            odd.calls().await.unwrap();
            odd.large(1, 1).await.unwrap();
        });
        join_all(calls).await;
        let counts = server.snapshot().methods;
        let counted = |name: &str| counts.iter().find(|it| it.path.ends_with(name)).map(|it| it.ok);
        let made = Some(round * (round + 1) / 2);
        assert_eq!((counted("/Calls"), counted("/Large")), (made, made));
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_keeps_nothing_of_its_handlers() {
    let service = Arc::new(Handlers::default());
    let server = Server::builder().service(OddServer::from_arc(service.clone()));
    let server = server.bind("memory://idle").await.unwrap();
    let odd = OddClient::connect(server.local_addr()).await.unwrap();
    let before = Arc::strong_count(&service);
    for _ in 0..3 {
        odd.calls().await.unwrap();
        odd.text(0, 4).await.unwrap();
        assert_eq!(Arc::strong_count(&service), before + 2, "one for each method, for the next call");
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(Arc::strong_count(&service), before);
    }
}
