//! Deadlines, signs of life, drain, loss.

use std::time::{Duration, Instant};

use super::pair::{CLIENT, Pair, SERVER, head};
use crate::status::{Certainty, Code};
use crate::wire::connection::Open;
use crate::wire::out::Body;
use crate::wire::{CancelReason, Config, ErrorCode, Event, OpenError, Opened, Token};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn call_by(pair: &mut Pair, token: u32, limit: Duration, body: Vec<u8>, oneway: bool) -> Opened {
    let mut head = head(0);
    head.deadline = Some(pair.now + limit);
    pair.open_with(CLIENT, head, body, Open { token: Token(token), oneway, end: true })
}

fn quiet() -> Config {
    Config { keepalive_interval: None, ..Config::default() }
}

/// Two ends with this latency that know it.
fn far(latency: Duration) -> Pair {
    let mut pair = Pair::strangers(quiet(), quiet());
    pair.latency(latency, latency);
    pair.run();
    pair
}

#[test]
fn the_time_that_a_request_has_is_cut_by_a_round_trip() {
    let mut pair = far(ms(20));
    let sent = pair.now;
    call_by(&mut pair, 1, ms(1000), vec![], false);
    pair.run();
    let request = pair.request(SERVER);
    assert_eq!(request.received, sent + ms(20));
    // Less 40 ms and the timers' 2, counted from the first byte.
    assert_eq!(request.deadline, Some(sent + ms(20) + ms(958)));
    call_by(&mut pair, 2, ms(10), vec![], false);
    let sent = pair.now;
    pair.run();
    assert_eq!(pair.request(SERVER).deadline, Some(sent + ms(20) + ms(5)), "at least half");
}

#[test]
fn a_point_in_time_is_the_same_on_both_sides() {
    let config = || Config { timestamp_deadlines: true, ..quiet() };
    let mut pair = Pair::with(config(), config());
    pair.latency(ms(20), ms(20));
    pair.client().set_unix_time(1_700_000_000_000_000);
    pair.server().set_unix_time(1_700_000_000_000_000);
    let due = pair.now + ms(300);
    call_by(&mut pair, 1, ms(300), vec![], false);
    pair.run();
    assert_eq!(pair.request(SERVER).deadline, Some(due));
}

#[test]
fn a_call_expires_in_each_of_its_states() {
    let mut pair = Pair::with(quiet(), Config { max_streams: 16, ..quiet() });
    // Running.
    let Opened::Stream(running) = call_by(&mut pair, 1, ms(100), vec![], false) else { panic!() };
    pair.run();
    pair.request(SERVER);
    // Half received: the socket is full.
    pair.sides[CLIENT].room = 300_000;
    call_by(&mut pair, 2, ms(100), vec![0; 1 << 20], false);
    pair.run();
    // In the out-buffer, and waiting for a stream.
    for token in 3..18 {
        call_by(&mut pair, token, ms(100), vec![], false);
    }
    assert!(matches!(call_by(&mut pair, 18, ms(100), vec![], false), Opened::Pending(_)));
    pair.wait(ms(99));
    assert!(matches!(pair.event(SERVER), Some(Event::Overdue { stream }) if stream == running));
    // The server's clock runs out first, by what the request was cut.
    assert!(matches!(pair.event(CLIENT), Some(Event::Opened { .. })));
    let (token, head, _) = pair.response(CLIENT);
    assert_eq!((token.0, head.status.unwrap().certainty()), (2, Certainty::NotExecuted));
    pair.wait(ms(2));
    let mut expired = vec![2];
    while let Some(event) = pair.event(CLIENT) {
        let Event::Expired { token } = event else { panic!("{event:?}") };
        expired.push(token.0);
    }
    expired.sort_unstable();
    assert_eq!(expired, (1..19).collect::<Vec<_>>());
    pair.sides[CLIENT].room = usize::MAX;
    pair.run();
    // The handler is still there; all else has been answered, or is dropped as late.
    while let Some(event) = pair.event(SERVER) {
        if let Event::Request(request) = event {
            pair.server().close(request.stream);
        }
    }
    assert!(pair.server().stream_ids().contains(&running));
    pair.server().close(running);
    pair.run();
    pair.assert_clean();
    assert!(pair.event(CLIENT).is_none());
}

#[test]
fn a_request_that_is_half_here_when_its_time_is_up_is_answered_and_never_run() {
    let mut pair = Pair::with(quiet(), quiet());
    pair.sides[CLIENT].room = 300_000;
    // The client has all the time in the world, but says less: as a deadline of a hop before.
    call_by(&mut pair, 1, ms(100), vec![0; 1 << 20], false);
    call_by(&mut pair, 2, ms(100), vec![0; 1 << 20], true);
    pair.wait(ms(99));
    pair.sides[CLIENT].room = usize::MAX;
    pair.wait(Duration::ZERO);
    let status = pair.response(CLIENT).1.status.unwrap();
    assert_eq!((status.code(), status.certainty()), (Code::DeadlineExceeded, Certainty::NotExecuted));
    assert!(pair.event(SERVER).is_none());
    pair.wait(ms(10));
    while pair.event(CLIENT).is_some() {}
    pair.assert_clean();
}

#[test]
fn a_deadline_far_away_is_one_and_none_is_none() {
    let mut pair = Pair::with(quiet(), quiet());
    call_by(&mut pair, 1, Duration::from_secs(10 * 365 * 24 * 3600), vec![], false);
    pair.call(CLIENT, 2, "");
    pair.run();
    assert!(pair.request(SERVER).deadline.is_some());
    assert!(pair.request(SERVER).deadline.is_none());
}

#[test]
fn a_peer_is_pinged_and_one_that_is_silent_is_given_up() {
    let mut pair = Pair::new();
    pair.wait(Duration::from_secs(100));
    assert!(pair.sides.iter().all(|side| side.wire.error().is_none()));
    assert!(pair.client().snapshot().round_trip.is_some() && pair.server().snapshot().round_trip.is_some());
    let id = pair.call(CLIENT, 1, "x");
    pair.run();
    // The server hangs: it neither reads nor writes.
    let began = pair.now;
    let hung = |pair: &mut Pair, until: Instant| {
        let mut out = crate::wire::Transmit::default();
        while let Some(at) = pair.client().poll_timeout().filter(|at| *at <= until) {
            pair.now = at;
            let _ = pair.client().handle_timeout(at);
            pair.client().poll_transmit(at, &mut out);
            out.take_all();
        }
    };
    hung(&mut pair, began + Duration::from_secs(40));
    let error = pair.client().error().unwrap();
    assert_eq!(error.code, ErrorCode::Timeout);
    assert!(pair.now <= began + Duration::from_secs(30), "interval and timeout");
    let Some(Event::Failed { status, .. }) = pair.event(CLIENT) else { panic!("{id}") };
    assert_eq!(status.certainty(), Certainty::Unknown);
}

#[test]
fn a_pong_behind_a_large_message_is_waited_for_while_bytes_come() {
    let config =
        || Config { keepalive_interval: Some(ms(50)), keepalive_timeout: ms(50), ..Config::default() };
    let mut pair = Pair::with(config(), config());
    let id = pair.call(CLIENT, 1, "x");
    pair.run();
    pair.request(SERVER);
    pair.respond(SERVER, id, vec![0; 16 << 20]);
    pair.sides[SERVER].room = 0;
    // A slow link: half a second for it all, ten times the timeout.
    for _ in 0..1700 {
        pair.sides[SERVER].room += 10_000;
        pair.wait(ms(1) / 2);
    }
    assert!(pair.client().error().is_none());
    assert_eq!(pair.response(CLIENT).2.len(), 16 << 20);
}

#[test]
fn half_a_frame_and_silence_is_noticed() {
    let mut pair = Pair::new();
    pair.piece = 10;
    pair.call(CLIENT, 1, "never whole");
    pair.client();
    // The first ten bytes arrive, then nothing.
    let now = pair.now;
    let mut out = crate::wire::Transmit::default();
    pair.client().poll_transmit(now, &mut out);
    let mut half = out.take_all().split_to(10);
    pair.server().handle_bytes(now, &mut half).unwrap();
    let mut at = now;
    while let Some(next) = pair.server().poll_timeout() {
        at = next;
        let _ = pair.server().handle_timeout(next);
    }
    assert_eq!(pair.server().error().unwrap().code, ErrorCode::Timeout);
    assert!(at - now <= Duration::from_secs(31), "{:?}", at - now);
}

#[test]
fn a_peer_that_says_nothing_at_all_is_given_up() {
    let mut pair = Pair::strangers(Config::default(), Config::default());
    let at = pair.server().poll_timeout().unwrap();
    pair.server().handle_timeout(at).unwrap_err();
    assert_eq!(pair.server().error().unwrap().code, ErrorCode::Timeout);
}

#[test]
fn a_drain_serves_what_was_sent_before_it_was_heard_and_refuses_the_rest() {
    let mut pair = far(ms(10));
    let running = pair.call(CLIENT, 1, "before");
    pair.run();
    pair.request(SERVER);
    let now = pair.now;
    pair.server().drain(now);
    // This crosses the first step on the wire, and half of a large one does.
    let crossing = pair.call(CLIENT, 2, "crossing");
    let half = pair.call(CLIENT, 3, vec![0; 4 << 20]);
    pair.wait(ms(11));
    assert!(matches!(pair.event(CLIENT), Some(Event::Draining)));
    assert_eq!(pair.request(SERVER).stream, crossing);
    let now = pair.now;
    let open = Open { token: Token(4), oneway: false, end: true };
    assert_eq!(pair.client().open(now, &head(0), Body::default(), open), Err(OpenError::Draining));
    // Callbacks of calls that run go on.
    let back = pair.call(SERVER, 5, "callback");
    pair.wait(ms(100));
    assert_eq!(pair.request(SERVER).stream, half);
    assert_eq!(pair.request(CLIENT).stream, back);
    pair.respond(CLIENT, back, "");
    for id in [running, crossing, half] {
        assert!(!pair.server().is_drained());
        pair.respond(SERVER, id, "done");
    }
    pair.run();
    pair.response(SERVER);
    assert!(pair.server().is_drained());
    for _ in 0..3 {
        assert_eq!(&pair.response(CLIENT).2[..], b"done");
    }
    pair.assert_clean();
}

#[test]
fn a_drain_whose_ping_is_not_answered_goes_on_and_says_not_executed() {
    let mut pair = far(ms(10));
    let now = pair.now;
    pair.server().drain(now);
    // The link is slow: the pong comes after the second step, and so does a request.
    pair.latency(Duration::from_secs(6), ms(10));
    pair.call(CLIENT, 1, "late");
    let oneway = Open { token: Token(2), oneway: true, end: true };
    pair.open_with(CLIENT, head(0), "late", oneway);
    pair.wait(Duration::from_secs(5) + ms(20));
    // The client learns it from the second step.
    assert!(matches!(pair.event(CLIENT), Some(Event::Draining)));
    let Some(Event::Failed { token: Token(1), status }) = pair.event(CLIENT) else { panic!() };
    assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotExecuted));
    pair.wait(Duration::from_secs(8));
    assert!(pair.event(SERVER).is_none());
    assert!(pair.server().is_drained());
    pair.assert_clean();
}

#[test]
fn calls_that_wait_for_a_stream_are_told_of_a_drain() {
    let mut pair = Pair::with(quiet(), Config { max_streams: 16, ..quiet() });
    for token in 0..18 {
        pair.open(CLIENT, token, "x");
    }
    pair.run();
    let now = pair.now;
    pair.server().drain(now);
    pair.run();
    assert!(matches!(pair.event(CLIENT), Some(Event::Draining)));
    for expected in 16..18 {
        let Some(Event::Failed { token, status }) = pair.event(CLIENT) else { panic!() };
        assert_eq!((token.0, status.certainty()), (expected, Certainty::NotSent));
    }
}

#[test]
fn both_sides_may_drain_in_either_order() {
    for first in [CLIENT, SERVER] {
        let mut pair = far(ms(5));
        let there = pair.call(CLIENT, 1, "x");
        let back = pair.call(SERVER, 2, "x");
        pair.run();
        let now = pair.now;
        pair.sides[first].wire.drain(now);
        pair.wait(ms(3));
        let now = pair.now;
        pair.sides[1 - first].wire.drain(now);
        pair.wait(ms(50));
        pair.respond(SERVER, there, "");
        pair.respond(CLIENT, back, "");
        pair.run();
        assert!(pair.sides.iter().all(|side| side.wire.is_drained()));
        pair.assert_clean();
    }
}

#[test]
fn a_drain_before_the_peer_has_said_anything_refuses_all() {
    let mut pair = Pair::strangers(Config::default(), Config::default());
    let now = pair.now;
    pair.server().drain(now);
    pair.call(CLIENT, 1, "x");
    pair.run();
    let mut ends = 0;
    while let Some(event) = pair.event(CLIENT) {
        if let Event::Failed { status, .. } = event {
            assert!(status.certainty().is_safe_to_retry());
            ends += 1;
        }
    }
    assert_eq!(ends, 1);
    assert!(pair.event(SERVER).is_none() && pair.server().is_drained());
}

#[test]
fn a_cancel_says_why() {
    let mut pair = Pair::new();
    for reason in [CancelReason::Dropped, CancelReason::Deadline, CancelReason::Superseded] {
        let id = pair.call(CLIENT, 1, "x");
        pair.run();
        pair.request(SERVER);
        let now = pair.now;
        pair.client().cancel(now, id, reason);
        pair.run();
        let Some(Event::Cancelled { reason: found, .. }) = pair.event(SERVER) else { panic!() };
        assert_eq!(found, reason);
        pair.server().close(id);
    }
    pair.assert_clean();
}
