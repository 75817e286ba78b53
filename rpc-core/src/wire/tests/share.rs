//! Small calls beside many streams of items on one connection (§8.5).

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;

use super::pair::{CLIENT, Pair, SERVER};
use crate::wire::out::Body;
use crate::wire::{Event, ResponseHead, StreamId};

/// The first call that is no stream.
const CALLS: u32 = 1000;

/// So many streams whose items go out at this side, each answered.
fn streams(pair: &mut Pair, count: u32) -> Vec<StreamId> {
    let ids = (0..count).map(|token| pair.stream(CLIENT, token)).collect();
    pair.run();
    let now = pair.now;
    while let Some(event) = pair.event(SERVER) {
        let Event::Request(request) = event else { panic!("{event:?}") };
        pair.server().respond(now, request.stream, &ResponseHead::default(), Body::default(), false);
    }
    pair.run();
    while pair.event(CLIENT).is_some() {}
    ids
}

/// Sends what may be sent on these streams, an item each in turn; how many items.
fn feed(pair: &mut Pair, side: usize, ids: &[StreamId], length: usize) -> u64 {
    let (now, wire) = (pair.now, &mut pair.sides[side].wire);
    let mut sent = 0;
    loop {
        let before = sent;
        for &id in ids {
            if wire.share_of_items(now) == 0 {
                return sent;
            }
            if wire.item_room(id).is_some_and(|room| room > 0) {
                wire.send_item(now, id, Bytes::from(vec![0; length]), false).unwrap();
                sent += 1;
            }
        }
        if sent == before {
            return sent;
        }
    }
}

/// What became of small calls beside streams.
struct Beside {
    /// How many milliseconds each call took.
    took: Vec<u64>,
    /// How many items were sent.
    items: u64,
    /// The most items that were under way.
    most: u64,
}

/// Runs for this long with a small call every so many milliseconds, beside a hundred streams whose readers read as fast as
/// items of this length come.
fn beside(pair: &mut Pair, side: usize, length: usize, (millis, every): (u64, u64)) -> Beside {
    pair.checks = false;
    let ids = streams(pair, 100);
    let mut beside = Beside { took: Vec::new(), items: 0, most: 0 };
    let (mut begun, mut read) = (HashMap::new(), 0);
    for at in 0..millis {
        if at % every == 0 {
            begun.insert(CALLS + at as u32, at);
            pair.open(CLIENT, CALLS + at as u32, vec![0; 64]);
        }
        for _ in 0..50 {
            // Once a call was there: those who stream know of it.
            if at >= 5 {
                beside.items += feed(pair, side, &ids, length);
            }
            beside.most = beside.most.max(beside.items - read);
            pair.wait(Duration::from_micros(20));
            for end in [CLIENT, SERVER] {
                while let Some(event) = pair.event(end) {
                    match event {
                        Event::Request(request) => pair.respond(SERVER, request.stream, vec![0; 64]),
                        Event::Response { token, .. } => {
                            beside.took.push(at - begun.remove(&token.0).unwrap());
                        }
                        Event::Item { stream, body, .. } => {
                            read += 1;
                            pair.sides[end].wire.release(stream, body.len());
                        }
                        Event::Sendable { .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }
    beside
}

#[test]
fn a_small_call_waits_behind_a_few_kilobytes_of_a_hundred_streams() {
    for side in [CLIENT, SERVER] {
        for every in [1, 250] {
            let mut pair = Pair::new();
            // 50 MB a second, and sockets that swallow all: 64 KiB are 1.3 milliseconds.
            pair.sides[side].rate = 50_000;
            let Beside { took, items, most } = beside(&mut pair, side, 64, (600, every));
            assert!(took.len() >= (590 / every) as usize, "{}", took.len());
            assert!(took.iter().all(|millis| *millis <= 2), "{side} {every} {took:?}");
            assert!(most * 80 <= 65 * 1024, "{most}");
            // The streams have what the calls leave.
            assert!(items * 80 > 50_000 * 595 * 8 / 10, "{items}");
        }
    }
}

#[test]
fn items_of_any_length_go_on_beside_calls() {
    // An empty item has nothing that could be acknowledged, one of a byte next to nothing.
    for length in [0, 1, 100, 8_000, 100_000] {
        let mut pair = Pair::new();
        pair.sides[SERVER].rate = 20_000;
        let items = beside(&mut pair, SERVER, length, (30, 1)).items;
        let sent = items * (16 + length as u64);
        assert!(sent > 20_000 * 25 * 8 / 10, "{length}: {items}");
    }
}

#[test]
fn a_long_way_is_filled_beside_calls() {
    let mut pair = Pair::new();
    pair.latency(Duration::from_millis(25), Duration::from_millis(25));
    // What the round trip is it hears from the answer to its first ping.
    pair.wait(Duration::from_secs(60));
    let items = beside(&mut pair, SERVER, 1_000, (1_000, 10)).items;
    // Not 64 KiB each round trip, which would be 1.3 MB a second.
    assert!(items > 20_000, "{items}");
}

#[test]
fn streams_alone_fill_the_connection() {
    let mut pair = Pair::new();
    pair.checks = false;
    let ids = streams(&mut pair, 100);
    // The streams were calls too: not for long.
    pair.wait(Duration::from_secs(2));
    pair.latency(Duration::from_millis(25), Duration::from_millis(25));
    let mut items = 0;
    loop {
        let sent = feed(&mut pair, SERVER, &ids, 1_000);
        if sent == 0 {
            break;
        }
        items += sent;
        pair.wait(Duration::ZERO);
    }
    // All the credit of the connection but what is left to small messages.
    assert!(items > 6_000, "{items}");
}
