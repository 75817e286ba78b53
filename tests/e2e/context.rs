//! The context: deadlines, cancellation, values and metadata through three hops, A to B to C.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rpc_core::wire::Config;
use rpc_core::{Certainty, Channel, Code, Context, Server, Status};

use crate::support::chain::Chain;
use crate::support::{
    Bed, LabClient, LabServer, Proxy, bench, drained, ms, quiet, secs, until, until_server_quiet, within,
};

#[test]
fn what_is_left_of_the_deadline_shrinks_from_hop_to_hop() {
    bench(async |bench| {
        // Each server notes what it has left; B takes 50 ms before it goes on.
        let left = Arc::new(Mutex::new(Vec::new()));
        let note = left.clone();
        let note = move || note.lock().unwrap().push(Context::current().remaining());
        let chain = Chain::new(&bench, move |hop, next| {
            let note = note.clone();
            async move {
                note();
                if hop == 1 {
                    tokio::time::sleep(ms(50)).await;
                }
                next.await
            }
        })
        .await;
        chain.client().run("x".into()).timeout(ms(500)).await.unwrap();
        let left: Vec<_> = left.lock().unwrap().iter().map(|left| left.unwrap()).collect();
        assert_eq!(left.len(), 3);
        assert!(left[0] < ms(500) && left[0] > ms(300), "{left:?}");
        assert!(left[1] < left[0], "{left:?}");
        assert!(left[2] < left[1] - ms(45), "{left:?}");
        chain.finish().await;
    });
}

#[test]
fn a_deadline_is_cut_by_the_round_trip() {
    bench(async |bench| {
        let (bed, left) = Bed::timed();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let proxy = Proxy::to(server.local_addr());
        proxy.delay(ms(20));
        let client = LabClient::connect(proxy.address()).await.unwrap();
        until("the round trip is known", || client.channel().snapshot().round_trip.is_some()).await;
        let round_trip = client.channel().snapshot().round_trip.unwrap();
        assert!(round_trip >= ms(40), "{round_trip:?}");
        client.run("x".into()).timeout(ms(1_000)).await.unwrap();
        let left = left.lock().unwrap().unwrap();
        assert!(left <= ms(1_000) - ms(40), "{left:?}");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_child_cannot_have_more_time_than_its_parent() {
    bench(async |bench| {
        let chain = Chain::new(&bench, |hop, next| async move {
            if hop == 0 {
                // A wish for an hour does not help.
                let wide = Context::current().with_timeout(secs(3600));
                assert!(wide.remaining().unwrap() < ms(300));
                return wide.scope(next).await;
            }
            if hop == 2 {
                assert!(Context::current().remaining().unwrap() < ms(300));
            }
            next.await
        })
        .await;
        chain.client().run("x".into()).timeout(ms(300)).await.unwrap();
        chain.finish().await;
    });
}

#[test]
fn dropping_the_client_ends_all_three_handlers() {
    bench(async |bench| {
        let chain = Chain::new(&bench, |hop, next| async move {
            if hop == 2 {
                std::future::pending::<()>().await;
            }
            next.await
        })
        .await;
        let calls: Vec<_> = (0..50).map(|n| chain.client().run(n.to_string()).start()).collect();
        chain.log(2).until_running(50).await;
        drop(calls);
        for hop in 0..3 {
            chain.log(hop).until_running(0).await;
            assert_eq!(chain.log(hop).dropped(), 50, "hop {hop}");
        }
        chain.finish().await;
    });
}

#[test]
fn the_budget_of_a_deadline_that_passed_is_readable_hop_by_hop() {
    bench(async |bench| {
        let chain = Chain::new(&bench, |hop, next| async move {
            match hop {
                0 => tokio::time::sleep(ms(60)).await,
                2 => std::future::pending().await,
                _ => {}
            }
            next.await
        })
        .await;
        let began = Instant::now();
        // Each hop keeps a fiftieth of the time to report in: with much time that is enough on a busy machine, too.
        let status = chain.client().run("x".into()).timeout(ms(1500)).await.unwrap_err();
        let took = began.elapsed();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert!(took >= ms(1250) && took < ms(2500), "{took:?}");
        assert_eq!(status.certainty(), Certainty::Executed, "{status}");

        let hops = status.hops();
        assert_eq!(hops.len(), 3, "{status}");
        assert!(hops.iter().all(|hop| hop.method == "test.Lab/Run"), "{status}");
        // Each hop had less than the one before, and A's handler spent 60 ms before it called B.
        assert!(hops[1].budget < hops[0].budget - ms(55) && hops[2].budget < hops[1].budget, "{status}");
        let handler = |hop: usize| hops[hop].handler.unwrap();
        assert!(handler(0) >= handler(1) + ms(55) && handler(1) >= handler(2), "{status}");
        assert!(hops.iter().all(|hop| hop.queue.is_some() && hop.network().is_some()), "{status}");
        chain.finish().await;
    });
}

#[test]
fn every_deadline_has_a_defined_result() {
    bench(async |bench| {
        let pair = bench.pair(Bed::echoing()).await;
        let status = pair.client.run("zero".into()).timeout(Duration::ZERO).await.unwrap_err();
        assert_eq!(
            (status.code(), status.certainty()),
            (Code::DeadlineExceeded, Certainty::NotSent),
            "{status}"
        );

        let micro = within(secs(2), pair.client.run("micro".into()).timeout(Duration::from_micros(1))).await;
        assert_eq!(micro.unwrap_err().code(), Code::DeadlineExceeded);

        let years = Duration::from_secs(10 * 365 * 86_400);
        assert_eq!(pair.client.run("years".into()).timeout(years).await.unwrap(), "years");
        assert_eq!(pair.client.run("ever".into()).timeout(Duration::MAX).await.unwrap(), "ever");

        let endless = Channel::builder(pair.server.local_addr()).no_timeout().build().unwrap();
        let endless = LabClient::new(endless);
        assert_eq!(endless.run("endless".into()).await.unwrap(), "endless");
        drop(endless);
        assert_eq!(pair.log.runs("zero"), 0);
        pair.finish().await;
    });
}

#[test]
fn a_handler_that_sleeps_past_the_deadline_is_dropped_in_time() {
    bench(async |bench| {
        let pair = bench.pair(Bed::stuck()).await;
        let began = Instant::now();
        let status = pair.client.run("x".into()).timeout(ms(100)).await.unwrap_err();
        assert!(began.elapsed() >= ms(45) && began.elapsed() < ms(250), "{:?}", began.elapsed());
        assert_eq!(status.code(), Code::DeadlineExceeded);
        pair.log.until_running(0).await;
        assert_eq!(pair.log.dropped(), 1);
        pair.finish().await;
    });
}

#[test]
fn a_call_whose_time_passed_in_the_servers_queue_is_not_run() {
    bench(async |bench| {
        // The first call holds the connection's thread: it computes, and does not await.
        let pair = bench
            .pair(Bed::new(async |input| {
                if input == "slow" {
                    std::thread::sleep(ms(150));
                }
                Ok(input)
            }))
            .await;
        pair.client.echo("warm".into()).await.unwrap();
        let slow = pair.client.run("slow".into()).start();
        until("it computes", || pair.log.runs("slow") == 1).await;
        let late = pair.client.run("late".into()).timeout(ms(50));
        let status = late.await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert_eq!(slow.await.unwrap(), "slow");
        assert_eq!(pair.client.run("after".into()).await.unwrap(), "after");
        assert_eq!(pair.log.runs("late"), 0);
        pair.finish().await;
    });
}

#[test]
fn deadlines_may_travel_as_points_in_time() {
    bench(async |bench| {
        let (bed, left) = Bed::timed();
        let server = bench.serve(Server::builder().service(LabServer::new(bed))).await;
        let config = Config { timestamp_deadlines: true, ..Config::default() };
        let client = LabClient::new(Channel::builder(server.local_addr()).config(config).build().unwrap());
        client.run("x".into()).timeout(ms(500)).await.unwrap();
        let left = left.lock().unwrap().unwrap();
        assert!(left > ms(400) && left <= ms(500), "{left:?}");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn metadata_arrives_and_goes_no_further_by_itself() {
    bench(async |bench| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = seen.clone();
        let chain = Chain::new(&bench, move |hop, next| {
            let ctx = Context::current();
            let tenant = ctx.metadata().get("tenant").map(str::to_owned);
            let tags = ctx.metadata().get_all("tag").count();
            note.lock().unwrap().push((hop, tenant, tags, ctx.peer().is_some()));
            next
        })
        .await;
        chain
            .client()
            .run("x".into())
            .metadata("tenant", "a")
            .metadata("tag", "1")
            .metadata("tag", "2")
            .await
            .unwrap();
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen[0], (0, Some("a".to_owned()), 2, true));
        assert_eq!(seen[1], (1, None, 0, true));
        assert!(Context::current().metadata().is_empty());

        let status = chain.client().run("x".into()).metadata("Not A Name", "a").await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::InvalidArgument, Certainty::NotSent));
        chain.finish().await;
    });
}

#[test]
fn a_task_that_keeps_the_context_ends_with_the_call() {
    bench(async |bench| {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let bed = Bed::new(move |_| {
            let tell = tell.clone();
            async move {
                drop(rpc_core::spawn(async move {
                    let left = Context::current().remaining();
                    tell.send(left).unwrap();
                    Context::current().cancelled().await;
                }));
                std::future::pending().await
            }
        });
        let pair = bench.pair(bed).await;
        let pending = pair.client.run("x".into()).timeout(secs(5)).start();
        let left = told.recv().await.unwrap().unwrap();
        assert!(left < secs(5) && left > secs(3), "{left:?}");
        drop(pending);
        until_server_quiet(&pair.server).await;
        // The bench sees to it that the task is gone, too.
        pair.finish().await;
    });
}

#[test]
fn a_call_in_a_cancelled_context_is_not_sent() {
    bench(async |bench| {
        let pair = bench.pair(Bed::stuck()).await;
        let (ctx, handle) = Context::current().with_cancel();
        let running = ctx.sync_scope(|| pair.client.run("x".into()).start());
        pair.log.until_running(1).await;
        handle.cancel("enough");
        let status = within(secs(2), running).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Cancelled, "enough"));
        pair.log.until_running(0).await;

        let late = ctx.sync_scope(|| pair.client.run("late".into()));
        let status: Status = late.await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Cancelled, Certainty::NotSent));
        assert_eq!(pair.log.runs("late"), 0);
        pair.finish().await;
    });
}
