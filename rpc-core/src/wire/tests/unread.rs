//! Items that nobody reads, on many streams.

use bytes::Bytes;

use super::pair::{CLIENT, Pair, SERVER};
use crate::status::Code;
use crate::wire::out::Body;
use crate::wire::{Config, Event, ResponseHead, StreamId};

/// A pair with this many streams of both kinds of items.
fn begun(count: u32, client: Config, server: Config) -> (Pair, Vec<StreamId>) {
    let mut pair = Pair::with(client, server);
    pair.checks = count < 200;
    let ids: Vec<_> = (0..count).map(|token| pair.stream(CLIENT, token)).collect();
    pair.run();
    for &id in &ids {
        pair.request(SERVER);
        let now = pair.now;
        pair.server().respond(now, id, &ResponseHead::default(), Body::default(), false);
    }
    pair.run();
    for _ in &ids {
        assert!(matches!(pair.event(CLIENT), Some(Event::Response { end: false, .. })));
    }
    (pair, ids)
}

/// Sends as much on each stream as its window takes.
fn fill(pair: &mut Pair, from: usize, ids: &[StreamId]) -> usize {
    let mut sent = 0;
    for &id in ids {
        while pair.sides[from].wire.item_room(id).is_some_and(|room| room > 8000) {
            let now = pair.now;
            let _ = pair.sides[from].wire.send_item(now, id, Bytes::from(vec![1; 8000]), false);
            sent += 1;
        }
        pair.run();
    }
    sent
}

fn small_calls_pass(pair: &mut Pair) {
    let id = pair.call(CLIENT, 9_999_999, "small");
    pair.run();
    while let Some(event) = pair.event(SERVER) {
        if let Event::Request(incoming) = event {
            assert_eq!(incoming.stream, id);
            pair.respond(SERVER, id, "reply");
        }
    }
    pair.run();
    let reply = |event| matches!(event, Event::Response { body, .. } if body == "reply");
    assert!(std::iter::from_fn(|| pair.event(CLIENT)).any(reply));
}

#[test]
fn a_thousand_streams_that_nobody_reads_are_bounded_and_all_arrives_when_they_are_read() {
    let (mut pair, ids) = begun(1000, Config::default(), Config::default());
    let sent = fill(&mut pair, CLIENT, &ids);
    assert!(sent >= 15 * 1000, "{sent}");
    let mut came = Vec::new();
    while let Some(event) = pair.event(SERVER) {
        match event {
            Event::Item { stream, body, .. } => came.push((stream, body.len())),
            other => panic!("{other:?}"),
        }
    }
    let bytes: usize = came.iter().map(|(_, length)| length).sum();
    assert!(bytes <= 192 << 20, "{bytes}");
    small_calls_pass(&mut pair);
    for (id, length) in came.drain(..) {
        pair.server().release(id, length);
    }
    pair.run();
    let more = fill(&mut pair, CLIENT, &ids);
    assert!(more >= 15 * 1000, "{more}");
    let items = |event: &Event| matches!(event, Event::Item { .. });
    assert_eq!(std::iter::from_fn(|| pair.event(SERVER)).filter(items).count(), more);
    pair.checks = true;
    pair.check();
}

#[test]
fn a_stream_beyond_the_bound_is_ended_and_one_that_has_little_is_not() {
    for from in [CLIENT, SERVER] {
        let config = Config { max_unread: 1 << 20, ..Config::default() };
        let (mut pair, ids) = begun(100, config.clone(), config);
        fill(&mut pair, from, &ids[1..]);
        // `check` has held it to the bound at each step.
        let mut ended = 0;
        while let Some(event) = pair.event(SERVER) {
            if let Event::Cancelled { stream, .. } = event {
                pair.server().close(stream);
                ended += usize::from(from == CLIENT);
            }
        }
        let mut told = 0;
        while let Some(event) = pair.event(CLIENT) {
            let status = match event {
                Event::Failed { status, .. } => Some(status),
                Event::Ended { head, .. } => head.and_then(|head| head.status),
                _ => None,
            };
            if let Some(status) = status {
                assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                told += 1;
            }
        }
        assert!((80..99).contains(&told), "{told}");
        assert!(from == SERVER || ended == told, "{ended} {told}");
        small_calls_pass(&mut pair);
        let now = pair.now;
        pair.sides[from].wire.send_item(now, ids[0], "small".into(), false).unwrap();
        pair.run();
        let small = |event| matches!(event, Event::Item { body, .. } if body == "small");
        assert!(std::iter::from_fn(|| pair.event(1 - from)).any(small));
        assert!(pair.sides.iter().all(|side| side.wire.error().is_none()));
    }
}
