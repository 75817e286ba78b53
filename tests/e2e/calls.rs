//! Calls: every way to make one, and every way to give one up.

use futures_util::future::join_all;
use rpc_core::{Certainty, Channel, Code, Server, Status};

use crate::support::{
    Bed, LabClient, LabServer, bench, drained, ms, polled, quiet, secs, until, until_channel_quiet, within,
};

#[test]
fn a_call_gives_what_the_handler_gave() {
    bench(async |bench| {
        let pair = bench.pair(Bed::echoing()).await;
        assert_eq!(pair.client.echo("hello".into()).await.unwrap(), "hello");
        assert_eq!(pair.client.run("word".into()).await.unwrap(), "word");
        pair.finish().await;
    });
}

#[test]
fn a_reply_has_metadata_and_says_where_the_time_went() {
    bench(async |bench| {
        let pair = bench
            .pair(Bed::new(async |input| {
                tokio::time::sleep(ms(20)).await;
                Ok(input)
            }))
            .await;
        let reply =
            pair.client.run("x".into()).timeout(secs(5)).metadata("tenant", "a").reply().await.unwrap();
        assert_eq!(reply.value, "x");
        assert!(reply.timings.handler >= ms(20), "{:?}", reply.timings);
        assert!(reply.timings.queue < ms(20) && reply.timings.network < secs(1), "{:?}", reply.timings);
        pair.finish().await;
    });
}

#[test]
fn a_started_call_goes_out_before_anybody_polls_it() {
    bench(async |bench| {
        let (bed, gate) = Bed::gated();
        let pair = bench.pair(bed).await;
        let pending = pair.client.run("x".into()).start();
        pair.log.until_running(1).await;
        assert!(!pending.is_complete());
        gate.open();
        assert_eq!(pending.await.unwrap(), "x");
        pair.finish().await;
    });
}

#[test]
fn a_call_that_is_not_polled_is_not_sent() {
    bench(async |bench| {
        let pair = bench.pair(Bed::echoing()).await;
        drop(pair.client.run("never".into()));
        assert_eq!(pair.client.run("x".into()).await.unwrap(), "x");
        assert_eq!(pair.log.runs("never"), 0);
        pair.finish().await;
    });
}

#[test]
fn dropping_a_started_call_drops_the_handler() {
    bench(async |bench| {
        let pair = bench.pair(Bed::stuck()).await;
        let pending = pair.client.run("x".into()).start();
        pair.log.until_running(1).await;
        drop(pending);
        pair.log.until_running(0).await;
        assert_eq!(pair.log.dropped(), 1);
        pair.finish().await;
    });
}

#[test]
fn a_callback_gets_the_result_and_the_error() {
    bench(async |bench| {
        let pair =
            bench
                .pair(Bed::new(async |input| {
                    if input == "bad" { Err(Status::not_found("no such thing")) } else { Ok(input) }
                }))
                .await;
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        for input in ["good", "bad"] {
            let tell = tell.clone();
            pair.client.run(input.into()).on_complete(move |result| tell.send(result).unwrap());
        }
        let mut results = [told.recv().await.unwrap(), told.recv().await.unwrap()];
        results.sort_by_key(|result| result.is_err());
        assert_eq!(results[0].as_ref().unwrap(), "good");
        assert_eq!(results[1].as_ref().unwrap_err().code(), Code::NotFound);
        pair.finish().await;
    });
}

#[test]
fn a_oneway_call_returns_when_it_is_handed_over_and_its_error_is_counted() {
    bench(async |bench| {
        let (bed, gate) = Bed::gated();
        let pair = bench.pair(bed).await;
        within(secs(1), pair.client.note("slow".into())).await.unwrap();
        pair.log.until_running(1).await;
        gate.open();
        pair.log.until_running(0).await;
        pair.finish().await;

        let pair = bench.pair(Bed::new(async |_| Err(Status::internal("nobody hears this")))).await;
        pair.client.note("x".into()).await.unwrap();
        let failed = || {
            let methods = pair.server.snapshot().methods;
            methods
                .iter()
                .filter(|method| method.path == "test.Lab/Note")
                .map(|method| method.failed)
                .sum::<u64>()
        };
        until("the failure is counted", || failed() == 1).await;
        pair.finish().await;
    });
}

#[test]
fn a_call_may_be_dropped_after_any_number_of_polls() {
    bench(async |bench| {
        let pair = bench.pair(Bed::echoing()).await;
        for polls in 0..6 {
            for _ in 0..20 {
                polled(&mut pair.client.run("x".into()), polls).await;
            }
            assert_eq!(pair.client.echo("still there".into()).await.unwrap(), "still there");
        }
        pair.finish().await;
    });
}

#[test]
fn a_call_may_be_dropped_while_it_waits_for_its_connection() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(LabServer::new(Bed::echoing()))).await;
        for polls in 0..4 {
            let channel = Channel::builder(server.local_addr()).build().unwrap();
            let client = LabClient::new(channel);
            polled(&mut client.echo("x".into()), polls).await;
            quiet(&server, client.channel()).await;
        }
        drained(server).await;
    });
}

#[test]
fn ten_thousand_calls_are_in_flight_on_one_connection() {
    bench(async |bench| {
        let (bed, gate) = Bed::gated();
        let pair = bench.pair(bed).await;
        let calls: Vec<_> =
            (0..10_000).map(|n| pair.client.run(n.to_string()).timeout(secs(50)).start()).collect();
        until("all are in their handlers", || pair.log.running() == 10_000).await;
        assert_eq!(pair.server.snapshot().connections, 1);
        gate.open();
        for (n, reply) in join_all(calls).await.into_iter().enumerate() {
            assert_eq!(reply.unwrap(), n.to_string());
        }
        pair.finish().await;
    });
}

#[test]
fn a_call_that_waits_for_a_stream_keeps_its_deadline() {
    bench(async |bench| {
        let (bed, gate) = Bed::gated();
        let log = bed.log();
        let server =
            bench.serve(Server::builder().max_calls_per_connection(16).service(LabServer::new(bed))).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let busy: Vec<_> = (0..16).map(|n| client.run(n.to_string()).start()).collect();
        log.until_running(16).await;

        let status = within(secs(2), client.run("late".into()).timeout(ms(50))).await.unwrap_err();
        assert_eq!(
            (status.code(), status.certainty()),
            (Code::DeadlineExceeded, Certainty::NotSent),
            "{status}"
        );

        // One that has time waits until a stream is free.
        let waiting = client.run("patient".into()).start();
        until("it waits", || client.channel().snapshot().pending == 1).await;
        gate.open();
        assert_eq!(waiting.await.unwrap(), "patient");
        assert!(join_all(busy).await.iter().all(Result::is_ok));
        assert_eq!(log.runs("late"), 0);
        until_channel_quiet(client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn answers_find_their_questions_in_a_storm_of_cancels() {
    bench(async |bench| {
        let pair = bench
            .pair(Bed::new(async |input: String| {
                let number: u64 = input.parse().unwrap();
                for _ in 0..number % 5 {
                    tokio::task::yield_now().await;
                }
                Ok(format!("answer to {number}"))
            }))
            .await;
        let mut tasks = tokio::task::JoinSet::new();
        for worker in 0..8_u64 {
            let client = pair.client.clone();
            tasks.spawn(async move {
                let mut answered = 0;
                for round in 0..400 {
                    let number = worker * 1_000 + round;
                    let mut call = client.run(number.to_string());
                    // Every third call is given up at some moment between its beginning and its answer.
                    if round % 3 == 0 {
                        polled(&mut call, round as usize % 7).await;
                        continue;
                    }
                    assert_eq!(call.await.unwrap(), format!("answer to {number}"));
                    answered += 1;
                }
                answered
            });
        }
        let answered: u64 = tasks.join_all().await.iter().sum();
        assert!(answered > 2_000, "{answered}");
        pair.finish().await;
    });
}
