//! Transports: the three that are built in, what becomes of a connection that cannot be made, and of one that dies.

use std::time::Instant;

use rpc_core::client::Backoff;
use rpc_core::{Certainty, Channel, Code, Server, Status};
use tokio::net::TcpListener;

use crate::support::raw::RawServer;
use crate::support::{
    Bed, Faults, LabClient, LabServer, Proxy, bench, drained, ms, quiet, secs, until, within,
};

fn builder(bed: Bed) -> rpc_core::server::Builder {
    Server::builder().service(LabServer::new(bed))
}

/// A back-off that tests have the patience for.
fn quick() -> Backoff {
    Backoff { base: ms(10), factor: 1.5, max: ms(50) }
}

#[test]
fn tcp_unix_and_memory_carry_calls() {
    bench(async |bench| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lab.sock");
        let unix = format!("unix://{}", path.display());
        for address in ["127.0.0.1:0", "tcp://localhost:0", &unix, "memory://transports"] {
            let server = bench.serve_at(builder(Bed::echoing()), address).await;
            let client = LabClient::connect(server.local_addr()).await.unwrap();
            assert_eq!(client.echo(address.into()).await.unwrap(), address);
            let big = vec![7; 3_000_000];
            assert_eq!(client.blob(big.clone().into()).await.unwrap(), big);
            quiet(&server, client.channel()).await;
            drop(client);
            drained(server).await;
        }
        assert!(!path.exists(), "the socket's file goes with the server");
    });
}

#[test]
fn a_refused_connection_says_so_at_once_and_backs_off() {
    bench(async |_| {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let began = Instant::now();
        let status = LabClient::connect(address).await.unwrap_err();
        assert!(began.elapsed() < secs(1));
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent));
        assert!(status.message().contains(&address.to_string()), "{status}");
        assert!(status.message().to_lowercase().contains("refused"), "{status}");
    });
}

#[test]
fn a_server_that_accepts_and_says_nothing_fails_within_the_connect_timeout() {
    bench(async |_| {
        // The kernel takes the connection; nobody ever reads it.
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let channel =
            Channel::builder(silent.local_addr().unwrap()).connect_timeout(ms(200)).build().unwrap();
        let began = Instant::now();
        let status = within(secs(3), channel.ready()).await.unwrap_err();
        assert!(began.elapsed() >= ms(190), "{:?}", began.elapsed());
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent), "{status}");
        assert!(status.message().contains("did not come within"), "{status}");

        // A call on it ends at its own deadline, if that is nearer.
        let client = LabClient::new(channel);
        let status =
            within(secs(3), client.echo("x".into()).timeout(ms(50)).wait_for_ready()).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
    });
}

#[test]
fn a_server_that_accepts_and_closes_is_not_run_over() {
    bench(async |bench| {
        let server = bench.serve(builder(Bed::echoing())).await;
        let proxy = Proxy::to(server.local_addr());
        proxy.set_server(None);
        let channel = Channel::builder(proxy.address()).backoff(quick()).build().unwrap();
        let status = within(secs(3), channel.ready()).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent), "{status}");
        assert!(status.message().contains("closed") || status.message().contains("reset"), "{status}");

        let client = LabClient::new(channel);
        let before = proxy.accepted();
        let status =
            within(secs(3), client.echo("x".into()).timeout(ms(300)).wait_for_ready()).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        let attempts = proxy.accepted() - before;
        assert!((3..60).contains(&attempts), "{attempts} attempts in 300 ms");

        // Once the server is back, a call that waits gets through.
        let waiting = client.echo("back".into()).timeout(secs(5)).wait_for_ready().start();
        proxy.set_server(Some(server.local_addr()));
        assert_eq!(waiting.await.unwrap(), "back");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_server_of_another_protocol_is_named_at_once() {
    bench(async |_| {
        let http = RawServer::new(async |mut raw| {
            raw.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
            // It keeps the connection, as web servers do.
            raw.until_closed().await;
            std::future::pending::<()>().await;
        })
        .await;
        let channel = Channel::builder(http.address).build().unwrap();
        let status = within(secs(2), channel.ready()).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent), "{status}");
        assert!(status.message().contains("does not speak this protocol"), "{status}");
        let status = within(secs(2), LabClient::new(channel).echo("x".into())).await.unwrap_err();
        assert!(status.message().contains("does not speak this protocol"), "{status}");
    });
}

#[test]
fn a_call_fails_fast_unless_it_waits_for_the_server() {
    bench(async |bench| {
        let server = bench.serve(builder(Bed::echoing())).await;
        let address = server.local_addr().clone();
        drained(server).await;
        let client = LabClient::new(Channel::builder(&address).backoff(quick()).build().unwrap());

        let began = Instant::now();
        let status = client.echo("x".into()).await.unwrap_err();
        assert!(began.elapsed() < secs(1));
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent), "{status}");

        let status = client.echo("x".into()).timeout(ms(100)).wait_for_ready().await.unwrap_err();
        assert_eq!(
            (status.code(), status.certainty()),
            (Code::DeadlineExceeded, Certainty::NotSent),
            "{status}"
        );
        assert!(status.message().to_lowercase().contains("refused"), "it says what it waited for: {status}");

        let waiting = client.echo("there".into()).wait_for_ready().start();
        let server = bench.serve_at(builder(Bed::echoing()), &address.to_string()).await;
        assert_eq!(within(secs(5), waiting).await.unwrap(), "there");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_restart_at_the_same_port_is_survived() {
    bench(async |bench| {
        let mut server = bench.serve(builder(Bed::echoing())).await;
        let address = server.local_addr().to_string();
        let client = LabClient::new(
            Channel::builder(address.as_str()).backoff(quick()).wait_for_ready().build().unwrap(),
        );
        for round in 0..5 {
            assert_eq!(client.echo(round.to_string()).await.unwrap(), round.to_string());
            drained(server).await;
            server = bench.serve_at(builder(Bed::echoing()), &address).await;
        }
        assert_eq!(client.echo("last".into()).await.unwrap(), "last");
        drop(client);
        drained(server).await;
    });
}

#[test]
fn keepalive_ends_a_connection_whose_peer_is_silent() {
    bench(async |bench| {
        let server = bench.serve(builder(Bed::stuck()).keepalive(Some(ms(100)), ms(100))).await;
        let proxy = Proxy::to(server.local_addr());
        let channel = Channel::builder(proxy.address()).keepalive(Some(ms(100)), ms(100)).build().unwrap();
        let client = LabClient::new(channel);
        let pending = client.run("x".into()).start();
        until("it runs", || server.snapshot().calls == 1).await;

        proxy.stop(true);
        let began = Instant::now();
        let status = within(secs(3), pending).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::Unknown), "{status}");
        assert!(status.message().contains("silent"), "{status}");
        assert!(began.elapsed() >= ms(90), "{:?}", began.elapsed());
        until("the server has noticed, too", || server.snapshot().connections == 0).await;

        proxy.stop(false);
        assert_eq!(within(secs(3), client.echo("again".into())).await.unwrap(), "again");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_dropped_channel_leaves_no_connection_even_if_the_server_never_closes() {
    bench(async |_| {
        // It speaks the protocol, answers nothing and never closes.
        let rude = RawServer::new(async |mut raw| {
            raw.accept().await;
            raw.until_closed().await;
            std::future::pending::<()>().await;
        })
        .await;
        // A timer of the keepalive goes off while the connection lingers.
        let channel = Channel::builder(rude.address).keepalive(Some(ms(500)), secs(60)).build().unwrap();
        within(secs(3), channel.ready()).await.unwrap();
        drop(channel);
    });
}

#[test]
fn a_wrong_target_is_an_error_and_not_a_panic() {
    bench(async |_| {
        let status: Status = LabClient::connect("nowhere").await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::InvalidArgument, Certainty::NotSent));
        let status = LabClient::connect("memory://nobody-here").await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable);
        assert!(status.message().contains("nobody listens"), "{status}");
    });
}

#[test]
fn a_server_whose_queue_is_full_fails_within_the_connect_timeout() {
    bench(async |_| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = socket.listen(1).unwrap();
        let address = full.local_addr().unwrap();
        // Whoever comes once the queue is full is not even answered.
        let mut queue = Vec::new();
        while let Ok(stream) = tokio::time::timeout(ms(100), tokio::net::TcpStream::connect(address)).await {
            queue.push(stream.unwrap());
            assert!(queue.len() < 100);
        }
        let channel = Channel::builder(address).connect_timeout(ms(200)).build().unwrap();
        let began = Instant::now();
        let status = within(secs(3), LabClient::new(channel).echo("x".into())).await.unwrap_err();
        assert!(began.elapsed() >= ms(190), "{:?}", began.elapsed());
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotSent), "{status}");
        assert!(status.message().contains("no connection within 200"), "{status}");
    });
}

#[test]
fn bytes_may_come_one_at_a_time() {
    bench(async |bench| {
        let server = bench.serve(builder(Bed::echoing())).await;
        let proxy = Proxy::to(server.local_addr());
        let one = Faults { piece: 1, ..Faults::default() };
        proxy.up(one);
        proxy.down(one);
        let client = LabClient::connect(proxy.address()).await.unwrap();
        for n in 0..20 {
            let reply = client.run(n.to_string()).metadata("tenant", "a").reply().await.unwrap();
            assert_eq!(reply.value, n.to_string());
        }
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_large_message_does_not_hold_up_small_ones() {
    bench(async |bench| {
        let server = bench.serve(builder(Bed::echoing()).max_message(64 * 1024 * 1024)).await;
        let channel = Channel::builder(server.local_addr()).max_message(64 * 1024 * 1024).build().unwrap();
        let client = LabClient::new(channel);
        client.echo("warm".into()).await.unwrap();
        let big = bytes::Bytes::from(vec![7; 60 * 1024 * 1024]);
        let large = client.blob(big.clone()).timeout(secs(40)).start();
        // Counted and not timed: behind the large one there would be one, and where a quarter of a megabyte may be in front
        // of each there are some hundred; still twenty where the machine has five times as much to do as it can.
        let mut calls = 0;
        while !large.is_complete() {
            client.echo("small".into()).await.unwrap();
            calls += 1;
        }
        assert_eq!(large.await.unwrap(), big);
        assert!(calls > 8, "{calls} small calls beside the large one");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_channel_outlives_the_runtime_that_it_connected_on() {
    bench(async |bench| {
        let server = bench.serve(builder(Bed::echoing())).await;
        let client = LabClient::new(Channel::builder(server.local_addr()).build().unwrap());
        for _ in 0..2 {
            let client = client.clone();
            let thread = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async { client.echo("x".into()).await.unwrap() })
            });
            assert_eq!(tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap(), "x");
        }
        assert_eq!(client.echo("here".into()).await.unwrap(), "here");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}
