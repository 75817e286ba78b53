//! Credit, large messages beside small ones, fairness, room.

use std::time::Duration;

use bytes::Bytes;

use super::pair::{CLIENT, Pair, SERVER};
use crate::status::Code;
use crate::wire::{Config, Event, StreamId, Transmit};

const MB: usize = 1 << 20;

fn large() -> Config {
    Config { max_message: 64 << 20, ..Config::default() }
}

/// Runs for this long with a small call made each millisecond; how long each took, in milliseconds.
fn small_calls_beside(pair: &mut Pair, millis: u64) -> Vec<u64> {
    let (mut begun, mut took) = (std::collections::HashMap::new(), Vec::new());
    for at in 0..millis {
        begun.insert(at as u32 + 1000, at);
        pair.open(CLIENT, at as u32 + 1000, vec![0; 64]);
        pair.wait(Duration::from_millis(1));
        while let Some(event) = pair.event(SERVER) {
            if let Event::Request(request) = event
                && request.body.len() == 64
            {
                pair.respond(SERVER, request.stream, vec![0; 64]);
            }
        }
        pair.wait(Duration::ZERO);
        while let Some(event) = pair.event(CLIENT) {
            if let Event::Response { token, .. } = event
                && let Some(began) = begun.remove(&token.0)
            {
                took.push(at - began);
            }
        }
    }
    took
}

#[test]
fn small_calls_go_on_beside_64_mebibytes_each_way() {
    for upload in [true, false] {
        let mut pair = Pair::with(large(), large());
        pair.checks = false;
        pair.sides.iter_mut().for_each(|side| side.rate = 100_000);
        let id = pair.call(CLIENT, 1, vec![1; if upload { 64 * MB } else { 1 }]);
        if !upload {
            pair.run();
            pair.request(SERVER);
            pair.respond(SERVER, id, vec![1; 64 * MB]);
        }
        // A hundred megabytes a second, and sockets that swallow all: what may be unacknowledged is 128 KiB, which
        // takes one millisecond and a half. At first there was no small call, so what is under way then is more.
        let took = small_calls_beside(&mut pair, 300);
        assert!(took.len() > 290, "{} {upload} {took:?}", took.len());
        assert!(took[80..].iter().all(|millis| *millis <= 3), "{took:?}");
        let carried = pair.sides[if upload { CLIENT } else { SERVER }].sent;
        assert!(carried > 25_000_000, "the large one goes on: {carried}");
    }
}

#[test]
fn a_connection_full_of_small_messages_does_not_starve_a_large_one() {
    let mut pair = Pair::new();
    pair.checks = false;
    pair.call(CLIENT, 1, vec![1; MB]);
    for round in 0..100 {
        // More than a batch each round, and more than the socket takes.
        for call in 0..40 {
            pair.open(CLIENT, 10 + round * 40 + call, vec![0; 8000]);
        }
        pair.sides[CLIENT].room = 300_000;
        pair.run();
        while let Some(event) = pair.event(SERVER) {
            let Event::Request(request) = event else { continue };
            if request.body.len() == MB {
                return;
            }
            pair.respond(SERVER, request.stream, "");
        }
    }
    panic!("it never came");
}

#[test]
fn large_messages_share_the_connection_fairly() {
    let mut pair = Pair::new();
    pair.sides[CLIENT].room = 0;
    let ids: Vec<StreamId> = (0..8).map(|token| pair.call(CLIENT, token, vec![1; 2 * MB])).collect();
    let mut whole_at = Vec::new();
    for step in 0..400 {
        pair.sides[CLIENT].room += 64 * 1024;
        pair.run();
        while let Some(Event::Request(request)) = pair.event(SERVER) {
            whole_at.push((step, request.stream));
        }
    }
    assert_eq!(whole_at.len(), ids.len());
    let first = whole_at[0].0;
    assert!(whole_at.iter().all(|(step, _)| step - first <= 16), "{whole_at:?}");
}

#[test]
fn large_messages_that_are_half_here_do_not_wait_for_each_other() {
    // Room for two; forty come at once.
    let mut pair = Pair::with(
        Config::default(),
        Config { max_message: 4 << 20, max_buffered: 9 << 20, ..Config::default() },
    );
    for token in 0..40 {
        pair.call(CLIENT, token, vec![1; 4 << 20]);
    }
    let (mut served, mut most) = (0, 0);
    for _ in 0..200 {
        pair.run();
        most = most.max(pair.server().snapshot().buffered);
        while let Some(event) = pair.event(SERVER) {
            let Event::Request(request) = event else { continue };
            served += 1;
            pair.respond(SERVER, request.stream, "");
        }
    }
    assert_eq!(served, 40);
    // The room, and what each may send unasked.
    assert!(most <= (9 << 20) + 40 * 128 * 1024, "{most}");
    while pair.event(CLIENT).is_some() {}
    pair.assert_clean();
}

#[test]
fn what_is_too_much_to_keep_is_refused_and_its_caller_told() {
    let config = Config { max_message: 1 << 19, max_buffered: 1 << 20, ..Config::default() };
    let mut pair = Pair::with(Config::default(), config);
    let ids: Vec<_> = (0..20).map(|token| pair.call(CLIENT, token, vec![1; 100_000])).collect();
    pair.run();
    let mut refused = 0;
    while let Some(event) = pair.event(CLIENT) {
        let Event::Response { head, .. } = event else { panic!("{event:?}") };
        let status = head.status.unwrap();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.certainty().is_safe_to_retry());
        refused += 1;
    }
    assert_eq!(refused, 10);
    assert!(pair.server().snapshot().buffered <= 1 << 20);
    ids.into_iter().for_each(|id| pair.respond(SERVER, id, ""));
    pair.run();
    pair.assert_clean();
}

#[test]
fn large_requests_leave_room_for_small_ones() {
    // Eight uploads that stand still, each as large as may be: all the room that large ones may have.
    let mut pair = Pair::new();
    pair.sides[CLIENT].room = 4 << 20;
    for token in 0..8 {
        pair.call(CLIENT, token, vec![1; 16 << 20]);
    }
    pair.run();
    pair.sides[CLIENT].room = usize::MAX;
    let held = pair.server().snapshot().buffered;
    assert!(held >= 80 << 20, "{held}");
    let id = pair.call(CLIENT, 99, "small");
    pair.run();
    if let Some(event) = pair.event(CLIENT) {
        panic!("{id}: {event:?}");
    }
}

#[test]
fn a_handler_that_holds_room_can_wait_for_a_large_answer_on_the_same_connection() {
    let config = || Config { max_message: 1 << 20, max_buffered: 2 << 20, ..Config::default() };
    let mut pair = Pair::with(config(), config());
    let id = pair.call(CLIENT, 1, vec![1; 1 << 20]);
    pair.run();
    assert_eq!(pair.request(SERVER).stream, id);
    let back = pair.call(SERVER, 2, "a callback");
    pair.run();
    pair.request(CLIENT);
    pair.respond(CLIENT, back, vec![2; 1 << 20]);
    pair.run();
    assert_eq!(pair.response(SERVER).2.len(), 1 << 20);
    pair.respond(SERVER, id, "");
    pair.run();
    pair.assert_clean();
}

#[test]
fn many_oneway_calls_are_bounded_by_credit_and_give_it_back() {
    let mut pair = Pair::new();
    let open = crate::wire::connection::Open { token: crate::wire::Token(1), oneway: true, end: true };
    for _ in 0..30_000 {
        pair.open_with(CLIENT, super::pair::head(0), "", open);
    }
    pair.checks = false;
    pair.run();
    let waiting = pair.server().snapshot().serving;
    assert_eq!(waiting, (1 << 20) / 64);
    let mut served = 0;
    while let Some(event) = pair.event(SERVER) {
        let Event::Request(request) = event else { continue };
        pair.server().close(request.stream);
        served += 1;
        if served % 1000 == 0 {
            pair.run();
        }
    }
    pair.run();
    while let Some(Event::Request(request)) = pair.event(SERVER) {
        pair.server().close(request.stream);
        served += 1;
    }
    assert_eq!(served, 30_000);
    pair.run();
    pair.sides[CLIENT].events.clear();
    pair.checks = true;
    pair.assert_clean();
}

#[test]
fn credit_for_one_call_after_the_other_goes_out_with_the_next_one() {
    let mut pair = Pair::new();
    pair.run();
    let before = pair.sides[CLIENT].writes;
    for token in 0..2_000 {
        let id = pair.call(CLIENT, token, vec![1; 64]);
        pair.run();
        pair.request(SERVER);
        pair.respond(SERVER, id, vec![2; 64]);
        pair.run();
        pair.response(CLIENT);
    }
    let [client, server] = [CLIENT, SERVER].map(|side| pair.sides[side].writes);
    assert_eq!(client - before, 2_000, "a write for each call and none beside");
    assert!(server <= 2_000 + 2, "{server}");
    pair.assert_clean();
}

#[test]
fn streams_that_end_while_they_wait_for_a_turn_leave_no_place_behind() {
    // The client takes nothing: large replies wait for its credit for ever, and are cancelled one after the other.
    let mut pair = Pair::new();
    pair.sides[SERVER].room = 0;
    let blocker = pair.call(CLIENT, 0, "x");
    pair.run();
    pair.request(SERVER);
    pair.respond(SERVER, blocker, vec![1; 16 << 20]);
    for token in 1..500 {
        let id = pair.call(CLIENT, token, "x");
        pair.run();
        pair.request(SERVER);
        pair.respond(SERVER, id, vec![1; 200_000]);
        pair.cancel(CLIENT, id);
        pair.run();
        // `check` holds the queue to twice the open streams.
    }
}

#[test]
fn a_message_of_exactly_a_frame_goes_whole() {
    for length in [128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1] {
        let mut pair = Pair::new();
        let id = pair.call(CLIENT, 1, vec![1; length]);
        pair.run();
        let request = pair.request(SERVER);
        assert_eq!(request.body.len(), length);
        pair.respond(SERVER, id, request.body);
        pair.run();
        assert_eq!(pair.response(CLIENT).2.len(), length);
        pair.assert_clean();
    }
}

#[test]
fn a_reply_that_does_not_fit_the_connections_window_goes_in_parts_in_order_with_the_rest() {
    let client = Config { connection_credit: 1 << 20, ..Config::default() };
    let mut pair = Pair::with(client, Config::default());
    let ids: Vec<_> = (0..40).map(|token| pair.call(CLIENT, token, "x")).collect();
    pair.run();
    pair.sides[SERVER].room = 0;
    for &id in &ids {
        pair.request(SERVER);
        pair.respond(SERVER, id, vec![id.0 as u8; 60_000]);
    }
    assert!(pair.server().has_turns());
    pair.sides[SERVER].room = usize::MAX;
    pair.run();
    for _ in &ids {
        let (token, _, body) = pair.response(CLIENT);
        assert_eq!(body, Bytes::from(vec![1 + 2 * token.0 as u8; 60_000]));
    }
    pair.assert_clean();
}

#[test]
fn of_many_frames_some_are_left_for_the_next_look_and_count_from_when_they_came() {
    const CALLS: usize = 1_000;
    let mut pair = Pair::new();
    for number in 0..CALLS {
        pair.open(CLIENT, number as u32, "x");
    }
    let (mut out, mut now) = (Transmit::default(), pair.now);
    pair.client().poll_transmit(now, &mut out);
    let (mut input, came) = (out.take_all(), now);
    // The beginning of one more, which counts from then too.
    pair.open(CLIENT, CALLS as u32, "the last");
    pair.client().poll_transmit(now, &mut out);
    let mut rest = out.take_all();
    input.extend_from_slice(&rest.split_to(20));
    let (mut looks, mut requests) = (0, 0);
    let server = pair.server();
    loop {
        server.handle_input(now, &mut input, &mut None).unwrap();
        looks += 1;
        let before = requests;
        while let Some(event) = server.poll_event() {
            let Event::Request(request) = event else { panic!("{event:?}") };
            assert_eq!(request.received, came);
            requests += 1;
        }
        assert!(requests - before <= CALLS / 3, "{} at once", requests - before);
        now += Duration::from_millis(1);
        if !server.has_frame(&input) {
            break;
        }
    }
    assert_eq!(requests, CALLS);
    assert!(looks > 3, "{looks} looks");
    input.extend_from_slice(&rest);
    server.handle_input(now, &mut input, &mut None).unwrap();
    let last = server.poll_event();
    assert!(matches!(last, Some(Event::Request(request)) if request.received == came));
    // What comes later counts from then.
    pair.open(CLIENT, CALLS as u32 + 1, "x");
    pair.client().poll_transmit(now, &mut out);
    pair.server().handle_input(now, &mut out.take_all(), &mut None).unwrap();
    let later = pair.server().poll_event();
    assert!(matches!(later, Some(Event::Request(request)) if request.received == now));
}
