//! Errors: what crosses a hop and what does not, and one clear status for every limit.

use std::time::Duration;

use rpc_core::codec::{Json, Protobuf};
use rpc_core::wire::Config;
use rpc_core::{Certainty, Channel, Code, Context, Server, Status, service};

use crate::support::chain::Chain;
use crate::support::raw::{Raw, frame};
use crate::support::{
    Bed, LabClient, LabServer, bench, drained, ms, quiet, secs, until, until_server_quiet, within,
};

#[test]
fn a_status_crosses_with_all_its_parts_in_both_codecs() {
    bench(async |bench| {
        let pair = bench
            .pair(Bed::new(async |_| {
                Err(Status::not_found("no user 7")
                    .with_detail("test.Hint", b"\x01\x02".to_vec())
                    .with_metadata("hint", "try 8")
                    .with_retry_after(ms(250)))
            }))
            .await;
        let calls =
            [pair.client.run("x".into()).codec::<Protobuf>(), pair.client.run("x".into()).codec::<Json>()];
        for call in calls {
            let status = call.await.unwrap_err();
            assert_eq!((status.code(), status.message()), (Code::NotFound, "no user 7"));
            assert_eq!(status.details()[0].type_name, "test.Hint");
            assert_eq!(&status.details()[0].value[..], b"\x01\x02");
            assert_eq!(status.metadata().get("hint"), Some("try 8"));
            assert_eq!(status.retry_after(), Some(ms(250)));
            assert_eq!(status.certainty(), Certainty::Executed);
        }
        pair.finish().await;
    });
}

#[test]
fn every_code_arrives_as_it_was() {
    bench(async |bench| {
        let pair = bench
            .pair(Bed::new(async |input: String| {
                let code = Code::from_number(input.parse().unwrap());
                Err(Status::new(code, format!("as {code}")))
            }))
            .await;
        for code in Code::ALL {
            let status = pair.client.run((code as u8).to_string()).await.unwrap_err();
            assert_eq!((status.code(), status.message()), (code, format!("as {code}").as_str()));
        }
        pair.finish().await;
    });
}

#[test]
fn a_downstream_status_passed_on_neither_leaks_nor_lies() {
    bench(async |bench| {
        let chain = Chain::new(&bench, |hop, next| async move {
            if hop == 2 {
                // It claims what it cannot know: certainty is the framework's.
                return Err(Status::unavailable("the disk is full")
                    .with_metadata("secret", "of C")
                    .with_retry_after(secs(9))
                    .with_detail("test.Disk", b"1".to_vec())
                    .with_certainty(Certainty::NotExecuted));
            }
            next.await
        })
        .await;
        let status = chain.client().run("x".into()).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, "the disk is full"));
        assert_eq!(status.details().len(), 1, "details are for whoever asked in the first place");
        assert!(status.metadata().is_empty() && status.retry_after().is_none(), "{status:?}");
        assert_eq!(status.certainty(), Certainty::Executed, "A's handler ran, whatever C says");
        assert_eq!((chain.log(0).started(), chain.log(2).started()), (1, 1), "nobody tried again");
        chain.finish().await;
    });
}

#[test]
fn a_server_that_cannot_reach_the_next_one_says_that_it_ran() {
    bench(async |bench| {
        let gone = bench.serve(Server::builder().service(LabServer::new(Bed::echoing()))).await;
        let next = LabClient::new(Channel::builder(gone.local_addr()).build().unwrap());
        drained(gone).await;
        let pair = bench
            .pair(Bed::new(move |input| {
                let next = next.clone();
                async move { next.run(input).await }
            }))
            .await;
        let status = pair.client.run("x".into()).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::Executed), "{status}");
        assert_eq!(pair.log.started(), 1);
        pair.finish().await;
    });
}

#[test]
fn a_panic_ends_its_call_and_nothing_else() {
    bench(async |bench| {
        let (bed, gate) = {
            let gate = crate::support::lab::Gate::default();
            let inside = gate.clone();
            let bed = Bed::new(move |input: String| {
                let gate = inside.clone();
                async move {
                    match input.as_str() {
                        "at once" => panic!("a test panics on purpose"),
                        "later" => {
                            tokio::task::yield_now().await;
                            panic!("a test panics on purpose, later");
                        }
                        _ => gate.pass().await,
                    }
                    Ok(input)
                }
            });
            (bed, gate)
        };
        let pair = bench.pair(bed).await;
        let other = pair.client.run("other".into()).start();
        pair.log.until_running(1).await;
        for input in ["at once", "later"] {
            let status = pair.client.run(input.into()).await.unwrap_err();
            assert_eq!(
                (status.code(), status.certainty()),
                (Code::Internal, Certainty::Executed),
                "{status}"
            );
            assert!(!status.message().contains("on purpose"), "a panic's words stay at the server: {status}");
        }
        gate.open();
        assert_eq!(other.await.unwrap(), "other");
        assert_eq!(pair.server.snapshot().connections, 1);
        pair.finish().await;
    });
}

/// What a newer server may have and this one does not.
#[service(name = "test.Lab")]
pub(crate) trait NewerLab {
    async fn teleport(&self) -> Result<(), Status>;
}

/// A service that nobody serves.
#[service(name = "test.Nowhere")]
pub(crate) trait Nowhere {
    async fn go(&self) -> Result<(), Status>;
}

/// The lab, with a request that is no text.
#[service(name = "test.Lab", codecs(Protobuf, Json))]
pub(crate) trait OddLab {
    async fn echo(&self, text: bool) -> Result<String, Status>;
}

#[test]
fn what_is_not_there_is_said_to_be_missing_and_what_is_there_is_named() {
    bench(async |bench| {
        let pair = bench.pair(Bed::echoing()).await;
        let channel = pair.client.channel();
        let status = NewerLabClient::new(channel.clone()).teleport().await.unwrap_err();
        assert_eq!(
            (status.code(), status.certainty()),
            (Code::Unimplemented, Certainty::NotExecuted),
            "{status}"
        );
        assert!(status.message().contains("Teleport") && status.message().contains("Echo"), "{status}");

        let status = NowhereClient::new(channel.clone()).go().await.unwrap_err();
        assert_eq!(
            (status.code(), status.certainty()),
            (Code::Unimplemented, Certainty::NotExecuted),
            "{status}"
        );
        assert!(
            status.message().contains("test.Nowhere") && status.message().contains("test.Lab"),
            "{status}"
        );

        for call in [
            OddLabClient::new(channel.clone()).echo(true).codec::<Protobuf>(),
            OddLabClient::new(channel.clone()).echo(true).codec::<Json>(),
        ] {
            let status = call.await.unwrap_err();
            assert_eq!(
                (status.code(), status.certainty()),
                (Code::InvalidArgument, Certainty::NotExecuted),
                "{status}"
            );
            assert!(status.message().contains("test.Lab/Echo"), "{status}");
        }
        assert_eq!(pair.client.echo("alive".into()).await.unwrap(), "alive");
        assert_eq!(pair.log.started(), 1);
        pair.finish().await;
    });
}

#[test]
fn a_message_over_the_limit_is_refused_where_it_is_first_known() {
    bench(async |bench| {
        let bed = Bed::echoing();
        let server =
            bench.serve(Server::builder().max_message(100_000).service(LabServer::new(bed.clone()))).await;
        let channel = Channel::builder(server.local_addr()).max_message(200_000).build().unwrap();
        let client = LabClient::new(channel);
        // The first call goes out before the server has told its limit.
        for _ in 0..2 {
            let status = client.blob(vec![0; 100_001].into()).await.unwrap_err();
            assert_eq!(
                (status.code(), status.certainty()),
                (Code::ResourceExhausted, Certainty::NotSent),
                "{status}"
            );
            assert!(status.message().contains("100000"), "{status}");
        }
        assert_eq!(bed.log().started(), 0);

        let status = client.grow(200_001).await.unwrap_err();
        assert_eq!(
            (status.code(), status.certainty()),
            (Code::ResourceExhausted, Certainty::Executed),
            "{status}"
        );
        assert!(status.message().contains("200000"), "{status}");

        assert_eq!(client.blob(vec![1; 99_000].into()).await.unwrap().len(), 99_000);
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_request_over_the_limit_is_answered_even_if_the_client_does_not_know_it() {
    bench(async |bench| {
        use rpc_core::wire::Kind;
        use rpc_core::wire::field::{put_bytes, put_number};
        let bed = Bed::echoing();
        let server =
            bench.serve(Server::builder().max_message(100_000).service(LabServer::new(bed.clone()))).await;
        let mut raw = Raw::client(server.local_addr()).await;
        let mut header = bytes::BytesMut::new();
        put_bytes(&mut header, 2, b"test.Lab/Blob");
        put_number(&mut header, LENGTH, 100_001);
        raw.send(&frame(Kind::REQUEST, 0x03, 1, &header, b"some")).await;
        let answer = raw.next(Kind::RESPONSE).await;
        assert_eq!(answer.prefix.stream, 1);
        let text = answer.header.escape_ascii().to_string();
        assert!(text.contains("100001") && text.contains("100000"), "{text}");
        assert_eq!(bed.log().started(), 0);
        until_server_quiet(&server).await;
        drop(raw);
        drained(server).await;
    });
}

/// The key of a length in a header.
const LENGTH: u8 = 32;

#[test]
fn more_calls_than_a_server_takes_wait_at_the_client_and_are_refused_beyond_its_queue() {
    bench(async |bench| {
        let (bed, gate) = Bed::gated();
        let log = bed.log();
        let server =
            bench.serve(Server::builder().max_calls_per_connection(20).service(LabServer::new(bed))).await;
        let config = Config { max_pending: 5, ..Config::default() };
        let channel = Channel::builder(server.local_addr()).config(config).build().unwrap();
        channel.ready().await.unwrap();
        let client = LabClient::new(channel);
        let mut calls: Vec<_> = (0..24).map(|n| client.run(n.to_string()).start()).collect();
        until("four wait", || client.channel().snapshot().pending == 4).await;
        let late = client.run("in a hurry".into()).timeout(ms(50)).await.unwrap_err();
        assert_eq!((late.code(), late.certainty()), (Code::DeadlineExceeded, Certainty::NotSent));
        assert!(late.message().contains("a place among the calls that the server takes"), "{late}");
        calls.push(client.run("24".into()).start());
        until("all have their place", || client.channel().snapshot().pending == 5).await;
        log.until_running(20).await;
        let status = client.run("one too many".into()).await.unwrap_err();
        assert_eq!(
            (status.code(), status.certainty()),
            (Code::ResourceExhausted, Certainty::NotSent),
            "{status}"
        );
        gate.open();
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(within(secs(5), call).await.unwrap(), n.to_string());
        }
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn too_much_metadata_is_refused_both_ways_and_the_connection_lives() {
    bench(async |bench| {
        let pair = bench
            .pair(Bed::new(async |input: String| {
                if input == "much" {
                    return Err(Status::aborted("with much").with_metadata("big", vec![b'x'; 20_000]));
                }
                Ok(input)
            }))
            .await;
        let status = pair.client.run("x".into()).metadata("big", vec![b'x'; 20_000]).await.unwrap_err();
        assert_eq!(
            (status.code(), status.certainty()),
            (Code::ResourceExhausted, Certainty::NotSent),
            "{status}"
        );
        let status = pair.client.run("x".into()).metadata("huge", vec![b'x'; 70_000]).await.unwrap_err();
        assert_eq!(
            (status.code(), status.certainty()),
            (Code::ResourceExhausted, Certainty::NotSent),
            "{status}"
        );

        let mut call = pair.client.run("x".into());
        for n in 0..129 {
            call = call.metadata(&format!("k{n}"), "v");
        }
        let status = call.await.unwrap_err();
        assert!(status.certainty().is_safe_to_retry(), "{status:?}");
        assert!(status.message().contains("128"), "{status}");

        // An error keeps its code and its words.
        let status = pair.client.run("much".into()).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Aborted, Certainty::Executed), "{status}");
        assert!(status.message().starts_with("with much") && status.metadata().is_empty(), "{status:?}");

        assert_eq!(pair.client.run("alive".into()).await.unwrap(), "alive");
        assert_eq!(pair.log.runs("x"), 0);
        assert_eq!(pair.server.snapshot().connections, 1);
        pair.finish().await;
    });
}

#[test]
fn much_metadata_on_the_first_call_of_a_connection_is_not_too_much() {
    bench(async |bench| {
        // The server has not yet told its limit of 16 KiB; the least that every peer takes is 4 KiB.
        let seen = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let note = seen.clone();
        let bed = Bed::new(move |input| {
            let size = Context::current().metadata().get_bytes("big").map_or(0, <[u8]>::len);
            note.store(size, std::sync::atomic::Ordering::Relaxed);
            async move { Ok(input) }
        });
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let client = LabClient::new(Channel::builder(server.local_addr()).build().unwrap());
        client.run("x".into()).metadata("big", vec![b'x'; 10_000]).await.unwrap();
        assert_eq!(seen.load(std::sync::atomic::Ordering::Relaxed), 10_000);
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_long_message_is_cut_and_arrives() {
    bench(async |bench| {
        let pair = bench.pair(Bed::new(async |_| Err(Status::internal("ä".repeat(30_000))))).await;
        let status = pair.client.run("x".into()).timeout(Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().starts_with("ää") && status.message().len() < 4_096);
        pair.finish().await;
    });
}
