//! Peers that mean no good, or know no better: whatever they do, the others do not notice.

use rpc_core::wire::Kind;
use rpc_core::wire::field::put_bytes;
use rpc_core::wire::frame::MAGIC;
use rpc_core::{Channel, Server};

use crate::support::raw::{Raw, frame};
use crate::support::{
    Bed, LabClient, LabServer, bench, drained, ms, quiet, secs, until, until_server_quiet, within,
};

fn builder() -> rpc_core::server::Builder {
    Server::builder().service(LabServer::new(Bed::echoing()))
}

fn request(stream: u64, method: &[u8], body: &[u8]) -> Vec<u8> {
    let mut header = bytes::BytesMut::new();
    put_bytes(&mut header, 2, method);
    frame(Kind::REQUEST, 1, stream, &header, body)
}

#[test]
fn garbage_ends_its_connection_with_a_reason_and_no_other() {
    bench(async |bench| {
        let server = bench.serve(builder()).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let http = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec();
        let tls = [&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01][..], &[7; 200]].concat();
        let settings = frame(Kind::SETTINGS, 0, 0, &[], &[]);
        let after = |rest: Vec<u8>| [&MAGIC[..], &settings, &rest].concat();
        let mut huge = frame(Kind::PING, 0, 0, &[0; 8], &[]);
        huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        for (what, bytes) in [
            ("a web browser", http),
            ("a TLS client", tls),
            ("noise after the magic", [&MAGIC[..], &[0x55; 64]].concat()),
            ("no settings", [&MAGIC[..], &request(1, b"test.Lab/Echo", b"")].concat()),
            ("settings twice", after(settings.clone())),
            ("a length of 4 GiB", after(huge)),
            ("an unknown frame", after(frame(Kind(0x70), 0, 0, &[], &[]))),
            ("a stream of the server's", after(request(2, b"test.Lab/Echo", b""))),
            (
                "a stream twice",
                after([request(1, b"test.Lab/Echo", b""), request(1, b"test.Lab/Echo", b"")].concat()),
            ),
            ("data for nobody", after(frame(Kind::DATA, 1, 99, &[], b"x"))),
            ("an answer to nothing", after(frame(Kind::RESPONSE, 1, 2, &[], b"x"))),
        ] {
            let mut raw = Raw::connect(server.local_addr()).await;
            raw.send(&bytes).await;
            let said = raw.until_closed().await;
            // Its last frame is a DRAIN with a code.
            let last = frames(&said).pop().unwrap_or_else(|| panic!("{what}: nothing was said"));
            assert_eq!(last.0, Kind::DRAIN.0, "{what}");
            assert!(
                rpc_core::wire::field::Reader::new(&last.1).flatten().any(|field| field.key == 2),
                "{what}"
            );
            assert_eq!(client.echo(what.into()).await.unwrap(), what);
        }
        until("they are gone", || server.snapshot().connections == 1).await;
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

/// Kind and header of each frame.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some(prefix) = bytes.first_chunk::<16>() {
        let prefix = rpc_core::wire::Prefix::parse(prefix);
        let head = 16 + usize::from(prefix.header);
        frames.push((prefix.kind, bytes[16..head].to_vec()));
        bytes = &bytes[head + prefix.body as usize..];
    }
    frames
}

#[test]
fn half_a_frame_and_then_silence_is_ended_by_the_keepalive() {
    bench(async |bench| {
        let server = bench.serve(builder().keepalive(Some(ms(100)), ms(100))).await;
        let mut half = Raw::client(server.local_addr()).await;
        let bytes = request(1, b"test.Lab/Echo", b"\x0a\x01x");
        half.send(&bytes[..bytes.len() - 1]).await;
        until("it is here", || server.snapshot().connections == 1).await;
        within(secs(3), half.until_closed()).await;
        until("it is gone", || server.snapshot().connections == 0).await;
        drained(server).await;
    });
}

#[test]
fn a_client_that_says_nothing_at_all_is_not_kept() {
    bench(async |bench| {
        let config = rpc_core::wire::Config { handshake_timeout: ms(100), ..Default::default() };
        let server = bench.serve(builder().config(config)).await;
        let mut silent = Raw::connect(server.local_addr()).await;
        within(secs(3), silent.until_closed()).await;
        until("it is gone", || server.snapshot().connections == 0).await;
        drained(server).await;
    });
}

#[test]
fn a_reader_that_never_reads_costs_a_bounded_amount_of_memory() {
    bench(async |bench| {
        let server = bench.serve(builder().keepalive(Some(ms(300)), ms(300))).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let mut raw = Raw::client(server.local_addr()).await;
        // Each asks for a megabyte; none of it is read.
        let ask = move |n: u64| request(2 * n + 1, b"test.Lab/Grow", b"\x08\x80\x80\x40");
        let pouring = tokio::spawn(async move {
            for n in 0..20_000 {
                let Ok(Ok(())) =
                    tokio::time::timeout(ms(500), tokio::io::AsyncWriteExt::write_all(&mut raw.0, &ask(n)))
                        .await
                else {
                    break;
                };
            }
            raw
        });
        let mut most = 0;
        let began = std::time::Instant::now();
        while server.snapshot().connections == 2 && began.elapsed() < secs(30) {
            most = most.max(server.snapshot().buffered);
            assert_eq!(client.echo("others go on".into()).await.unwrap(), "others go on");
            tokio::time::sleep(ms(5)).await;
        }
        assert!(most < 160 * 1024 * 1024, "{most} bytes");
        assert_eq!(server.snapshot().connections, 1, "who does not read is silent, and is ended");
        drop(pouring.await.unwrap());
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn refusals_that_nobody_reads_are_bounded_also_while_a_call_of_ours_waits() {
    bench(async |_| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let channel = Channel::builder(listener.local_addr().unwrap()).build().unwrap();
        let call = LabClient::new(channel).run("x".into()).start();
        let mut raw = Raw(listener.accept().await.unwrap().0);
        raw.accept().await;
        // The call, and nothing behind it, is read.
        while raw.frame().await.unwrap().kind() != Kind::REQUEST {}
        // Requests that name no method are refused by the state machine itself, in six times their length.
        let (mut poured, mut stream) = (0, 0);
        let taken = loop {
            let many: Vec<u8> = (0..4_096)
                .flat_map(|_| {
                    stream += 2;
                    frame(Kind::REQUEST, 1, stream, &[], &[])
                })
                .collect();
            match tokio::time::timeout(secs(1), tokio::io::AsyncWriteExt::write_all(&mut raw.0, &many)).await
            {
                Ok(written) => written.unwrap(),
                Err(_) => break poured,
            }
            poured += many.len();
            assert!(poured < 40 << 20, "{poured} bytes were taken, and are answered to nobody");
        };
        assert!(taken > 1 << 20, "{taken}: a connection that has a call goes on for longer than others");
        assert!(!call.is_complete());
    });
}

#[test]
fn a_thousand_idle_connections_hold_nothing() {
    bench(async |bench| {
        let server = bench.serve(builder()).await;
        let mut idle = Vec::new();
        for _ in 0..1_000 {
            idle.push(Raw::client(server.local_addr()).await);
        }
        until("all are here", || server.snapshot().connections == 1_000).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        assert_eq!(client.echo("x".into()).await.unwrap(), "x");
        until_server_quiet(&server).await;
        assert!(bench.server_tasks() < 1_010, "one task a connection: {}", bench.server_tasks());
        drop(idle);
        until("all are gone", || server.snapshot().connections == 1).await;
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn connections_over_the_limit_wait_their_turn() {
    bench(async |bench| {
        let server = bench.serve(builder().max_connections(2)).await;
        let first = LabClient::connect(server.local_addr()).await.unwrap();
        let second = LabClient::connect(server.local_addr()).await.unwrap();
        let channel = Channel::builder(server.local_addr()).build().unwrap();
        let third = LabClient::new(channel);
        let waiting = third.echo("third".into()).wait_for_ready().start();
        assert_eq!(second.echo("second".into()).await.unwrap(), "second");
        assert!(!waiting.is_complete());
        drop(first);
        assert_eq!(within(secs(3), waiting).await.unwrap(), "third");
        drop((second, third));
        until("all are gone", || server.snapshot().connections == 0).await;
        drained(server).await;
    });
}

#[test]
fn a_flood_of_cancelled_calls_holds_nothing() {
    bench(async |bench| {
        let bed = Bed::stuck();
        let log = bed.log();
        let server =
            bench.serve(Server::builder().max_calls_per_connection(50).service(LabServer::new(bed))).await;
        let mut raw = Raw::client(server.local_addr()).await;
        let mut bytes = Vec::new();
        for n in 0..5_000 {
            bytes.extend(request(2 * n + 1, b"test.Lab/Run", b""));
            bytes.extend(frame(Kind::CANCEL, 0, 2 * n + 1, &[0], &[]));
        }
        raw.send(&bytes).await;
        raw.send(&frame(Kind::PING, 0, 0, &[7; 8], &[])).await;
        // What was over the limit was answered; nothing else was said, and the connection lives.
        let pong = raw.next(Kind::PONG).await;
        assert_eq!(pong.header, [7; 8]);
        until_server_quiet(&server).await;
        assert_eq!(log.running(), 0);
        drop(raw);
        drained(server).await;
    });
}

#[test]
fn a_flood_of_pings_is_stopped() {
    bench(async |bench| {
        let server = bench.serve(builder()).await;
        let mut raw = Raw::client(server.local_addr()).await;
        raw.send(&frame(Kind::PING, 0, 0, &[7; 8], &[]).repeat(3_000)).await;
        let said = raw.until_closed().await;
        let pongs = frames(&said).iter().filter(|(kind, _)| *kind == Kind::PONG.0).count();
        assert!(pongs < 1_500, "{pongs}");
        drained(server).await;
    });
}

/// More than is looked at in one round, of which the last part needs no further read.
#[test]
fn thousands_of_requests_in_one_write_are_all_answered_without_another_byte() {
    bench(async |bench| {
        let server = bench.serve(builder()).await;
        let mut raw = Raw::client(server.local_addr()).await;
        raw.next(Kind::SETTINGS).await;
        let requests: Vec<u8> =
            (0..3_000).flat_map(|call| request(2 * call + 1, b"test.Lab/Echo", b"")).collect();
        raw.send(&requests).await;
        let mut answered = std::collections::HashSet::new();
        for _ in 0..3_000 {
            answered.insert(raw.next(Kind::RESPONSE).await.prefix.stream);
        }
        assert_eq!(answered.len(), 3_000);
        drop(raw);
        until_server_quiet(&server).await;
        drained(server).await;
    });
}

#[test]
fn many_large_heads_in_both_directions_do_not_lock_up() {
    bench(async |bench| {
        // More metadata than the pipe holds, answered by replies that are more than it holds, too: if both sides
        // stopped reading until they had written, nothing would ever move again.
        let bed = Bed::new(async |_| Ok("r".repeat(12_000)));
        let builder = Server::builder().service(LabServer::new(bed));
        let server = bench.serve_at(builder, "memory://large-heads").await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let ballast = bytes::Bytes::from(vec![b'b'; 6_000]);
        let call = |_| client.run("x".into()).metadata("ballast", ballast.clone()).timeout(secs(40));
        let replies = within(secs(15), futures_util::future::join_all((0..5_000).map(call))).await;
        let failed = replies.iter().find_map(|reply| reply.as_ref().err());
        assert!(failed.is_none(), "{failed:?}");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}
