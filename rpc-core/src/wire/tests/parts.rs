//! Parts of large messages, read straight to their places.

use bytes::Bytes;

use super::pair::{CLIENT, Pair, SERVER};
use crate::wire::{Config, Event};

const MIB: usize = 1 << 20;

/// Bytes that differ from place to place, by their 251st parts.
fn body(length: usize) -> Bytes {
    let pattern: Vec<u8> = (0..251).collect();
    let mut body = pattern.repeat(length.div_ceil(251));
    body.truncate(length);
    body.into()
}

/// Connections in the middle of a part of a request of 4 MiB, after so many others.
fn in_the_middle_of_a_part(parts: u64) -> (Pair, crate::wire::StreamId) {
    let mut pair = Pair::new();
    pair.piece = 20_000;
    // The socket takes no more than these parts and some of the next.
    pair.sides[CLIENT].room = (parts as usize + 2) * 66_000;
    let id = pair.call(CLIENT, 1, body(4 * MIB));
    pair.until(|pair| pair.sides[SERVER].straight >= parts * 50_000 && pair.sides[SERVER].is_lent());
    (pair, id)
}

#[test]
fn most_bytes_of_a_large_message_are_not_copied_from_the_input() {
    let mut pair = Pair::new();
    pair.piece = 16_000;
    for sent in [body(MIB), body(3 * MIB + 17)] {
        let before = pair.sides.each_ref().map(|side| side.straight);
        let id = pair.call(CLIENT, 1, sent.clone());
        pair.run();
        let request = pair.request(SERVER);
        assert_eq!(request.body, sent);
        pair.respond(SERVER, id, request.body);
        pair.run();
        assert_eq!(pair.response(CLIENT).2, sent);
        for side in [CLIENT, SERVER] {
            let straight = pair.sides[side].straight - before[side];
            // Up to a piece of each part comes with its prefix.
            assert!(straight * 4 > sent.len() as u64 * 3, "{straight} of {} bytes", sent.len());
        }
        pair.assert_clean();
    }
}

#[test]
fn a_call_that_is_given_up_in_the_middle_of_a_part_leaves_nothing_behind() {
    for parts in [0, 3, 7] {
        let (mut pair, id) = in_the_middle_of_a_part(parts);
        pair.cancel(CLIENT, id);
        pair.sides[CLIENT].room = usize::MAX;
        pair.run();
        assert!(pair.event(SERVER).is_none());
        pair.assert_clean();
        let id = pair.call(CLIENT, 2, body(MIB));
        pair.run();
        assert_eq!((pair.request(SERVER).stream, pair.sides[SERVER].is_lent()), (id, false));
    }
}

#[test]
fn an_answer_that_nobody_waits_for_any_more_is_read_past_in_the_middle_of_a_part() {
    let mut pair = Pair::new();
    pair.piece = 20_000;
    let id = pair.call(CLIENT, 1, "x");
    pair.run();
    pair.request(SERVER);
    pair.respond(SERVER, id, body(4 * MIB));
    pair.until(|pair| pair.sides[CLIENT].straight > MIB as u64 && pair.sides[CLIENT].is_lent());
    // The stream is gone at once; the rest of the part is still to come.
    pair.cancel(CLIENT, id);
    pair.run();
    assert!(pair.event(CLIENT).is_none());
    pair.assert_clean();
    let id = pair.call(CLIENT, 2, body(MIB));
    pair.run();
    pair.request(SERVER);
    pair.respond(SERVER, id, "y");
    pair.run();
    assert_eq!(pair.response(CLIENT).2, "y");
}

#[test]
fn large_messages_that_take_turns_each_get_their_own_bytes() {
    let mut pair = Pair::new();
    pair.piece = 50_000;
    let sent: Vec<Bytes> = (0..4).map(|call| body(MIB + call).slice(call..)).collect();
    for (call, body) in sent.iter().enumerate() {
        pair.call(CLIENT, call as u32, body.clone());
    }
    pair.run();
    for body in &sent {
        let request = pair.request(SERVER);
        assert_eq!(request.body, body);
        pair.respond(SERVER, request.stream, request.body);
    }
    pair.run();
    for _ in &sent {
        let (token, _, body) = pair.response(CLIENT);
        assert_eq!(Some(&body), sent.get(token.0 as usize));
    }
    pair.assert_clean();
}

#[test]
fn what_is_lent_is_claimed_as_the_message_comes() {
    let mut pair = Pair::with(Config::default(), Config { max_message: 24 << 20, ..Config::default() });
    pair.piece = 20_000;
    pair.call(CLIENT, 1, body(24 << 20));
    // `check` holds the room against what is here, after each piece.
    pair.run();
    assert!(matches!(pair.event(SERVER), Some(Event::Request(request)) if request.body.len() == 24 << 20));
}

#[test]
fn half_a_megabyte_is_one_write_where_no_small_call_is_under_way() {
    let mut pair = Pair::new();
    pair.call(CLIENT, 1, body(6 * MIB));
    let before = pair.sides[CLIENT].writes;
    pair.run();
    let alone = pair.sides[CLIENT].writes - before;
    assert!(alone <= 2 * 6 + 2, "{alone} writes of 6 MiB, after the one that asks for room");
    assert_eq!(pair.request(SERVER).body.len(), 6 * MIB);

    // Beside a small call they are small, so that the next one does not wait for a megabyte.
    pair.call(CLIENT, 2, body(6 * MIB));
    pair.call(CLIENT, 3, "small");
    let before = pair.sides[CLIENT].writes;
    pair.run();
    let beside = pair.sides[CLIENT].writes - before;
    assert!(beside >= 6 * 4, "{beside} writes of 6 MiB");
    pair.request(SERVER);
    pair.request(SERVER);
}
