//! Streams of items: order, ends, back-pressure, credit.

use bytes::Bytes;

use super::pair::{CLIENT, Pair, SERVER};
use crate::status::{Code, Status};
use crate::wire::out::Body;
use crate::wire::{Config, Event, ResponseHead, SendError, StreamId};

/// A pair with a stream that both sides have begun.
fn begun(client: Config, server: Config) -> (Pair, StreamId) {
    let mut pair = Pair::with(client, server);
    let id = pair.stream(CLIENT, 1);
    pair.run();
    assert!(!pair.request(SERVER).end);
    let now = pair.now;
    pair.server().respond(now, id, &ResponseHead::default(), Body::default(), false);
    pair.run();
    assert!(matches!(pair.event(CLIENT), Some(Event::Response { end: false, .. })));
    (pair, id)
}

fn default() -> (Pair, StreamId) {
    begun(Config::default(), Config::default())
}

fn send(
    pair: &mut Pair,
    side: usize,
    id: StreamId,
    body: impl Into<Bytes>,
    end: bool,
) -> Result<bool, SendError> {
    let now = pair.now;
    pair.sides[side].wire.send_item(now, id, body.into(), end)
}

fn finish(pair: &mut Pair, side: usize, id: StreamId, head: Option<&ResponseHead>) {
    let now = pair.now;
    pair.sides[side].wire.finish(now, id, head);
}

/// The items that have come, and whether the half has ended.
fn items(pair: &mut Pair, side: usize) -> (Vec<Bytes>, Option<Option<Box<ResponseHead>>>) {
    let mut items = Vec::new();
    while let Some(event) = pair.event(side) {
        match event {
            Event::Item { body, .. } => items.push(body),
            Event::Ended { head, .. } => return (items, Some(head)),
            Event::Sendable { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    (items, None)
}

#[test]
fn items_go_both_ways_and_the_end_of_the_response_closes_the_stream() {
    let (mut pair, id) = default();
    assert_eq!(send(&mut pair, CLIENT, id, "a", false), Ok(true));
    assert_eq!(send(&mut pair, CLIENT, id, "", true), Ok(false));
    assert_eq!(send(&mut pair, SERVER, id, "b", false), Ok(true));
    pair.run();
    let (there, end) = items(&mut pair, SERVER);
    assert_eq!((there, end.is_some()), (vec![Bytes::from("a"), Bytes::new()], true));
    let status = ResponseHead::error(Status::aborted("enough"));
    finish(&mut pair, SERVER, id, Some(&status));
    pair.run();
    let (back, end) = items(&mut pair, CLIENT);
    assert_eq!(back, ["b"]);
    assert_eq!(end.flatten().unwrap().status.unwrap().code(), Code::Aborted);
    pair.assert_clean();
    assert_eq!(send(&mut pair, CLIENT, id, "x", false), Err(SendError::Closed));
}

#[test]
fn a_last_item_can_be_the_end_of_the_response() {
    for length in [3, 600_000] {
        let (mut pair, id) = default();
        let _ = send(&mut pair, SERVER, id, vec![7; length], true);
        pair.run();
        let (back, end) = items(&mut pair, CLIENT);
        assert_eq!(back[0].len(), length);
        assert!(end.flatten().unwrap().status.is_none());
        pair.assert_clean();
    }
}

#[test]
fn a_call_that_waits_is_opened_when_a_stream_of_items_ends() {
    let mut pair = Pair::with(Config::default(), Config { max_streams: 16, ..Config::default() });
    let streams: Vec<_> = (0..16).map(|token| pair.stream(CLIENT, token)).collect();
    pair.open(CLIENT, 99, "x");
    pair.run();
    for _ in &streams {
        pair.request(SERVER);
    }
    let now = pair.now;
    pair.server().respond(now, streams[0], &ResponseHead::default(), Body::default(), false);
    finish(&mut pair, SERVER, streams[0], None);
    pair.run();
    assert_eq!(pair.client().snapshot().pending, 0);
    assert_eq!(&pair.request(SERVER).body[..], b"x");
}

#[test]
fn the_end_comes_after_the_items_that_wait() {
    let (mut pair, id) = default();
    for side in [CLIENT, SERVER] {
        for size in [100, 200_000, 100, 500_000, 0] {
            let _ = send(&mut pair, side, id, vec![1; size], false);
        }
        finish(&mut pair, side, id, None);
        assert_eq!(send(&mut pair, side, id, "x", false), Err(SendError::Closed));
        finish(&mut pair, side, id, None);
    }
    for side in [SERVER, CLIENT] {
        let mut all = Vec::new();
        for _ in 0..50 {
            pair.run();
            let (some, end) = items(&mut pair, side);
            for item in some {
                all.push(item.len());
                pair.sides[side].wire.release(id, item.len());
            }
            if end.is_some() {
                break;
            }
        }
        assert_eq!(all, [100, 200_000, 100, 500_000, 0]);
    }
    pair.run();
    pair.assert_clean();
}

#[test]
fn a_reader_that_stops_stops_its_own_writer_and_nobody_else() {
    let (mut pair, id) = default();
    let mut sent = 0;
    while send(&mut pair, CLIENT, id, vec![1; 1000], false).unwrap() {
        sent += 1;
        pair.run();
    }
    assert!(sent <= 128 * 1024 / 1016 + 1, "{sent}");
    pair.run();
    assert!(items(&mut pair, SERVER).0.len() >= sent);
    let other = pair.call(CLIENT, 5, vec![0; 600_000]);
    pair.run();
    assert_eq!(pair.request(SERVER).stream, other);
    // The reader goes on, and so does the writer.
    for _ in 0..100 {
        pair.server().release(id, 1000);
    }
    pair.run();
    assert!(matches!(pair.event(CLIENT), Some(Event::Sendable { stream, .. }) if stream == id));
    assert!(send(&mut pair, CLIENT, id, "x", false).unwrap());
}

#[test]
fn empty_items_cost_something() {
    let (mut pair, id) = default();
    let mut sent = 0;
    while send(&mut pair, CLIENT, id, "", false).unwrap() {
        sent += 1;
    }
    assert_eq!(sent, 128 * 1024 / 16 - 2);
}

#[test]
fn a_large_item_is_lent_its_room_and_pays_it_back() {
    let (mut pair, id) = default();
    let _ = send(&mut pair, CLIENT, id, vec![1; 4 << 20], false);
    pair.run();
    let (here, _) = items(&mut pair, SERVER);
    assert_eq!(here[0].len(), 4 << 20);
    let kept = pair.server().snapshot().buffered;
    assert!(kept > 3 << 20, "what was lent keeps its room until it is read: {kept}");
    pair.server().release(id, 4 << 20);
    pair.run();
    assert_eq!(pair.server().snapshot().buffered, 0);
    let credit = pair.server().credit(Some(id)).unwrap();
    assert_eq!(credit.receive + credit.owed, 128 * 1024);
}

#[test]
fn a_reader_that_stops_is_lent_room_for_one_large_item_only() {
    let (mut pair, id) = default();
    for _ in 0..10 {
        let _ = send(&mut pair, CLIENT, id, vec![1; 1 << 20], false);
    }
    pair.run();
    assert_eq!(items(&mut pair, SERVER).0.len(), 1);
    assert!(pair.server().snapshot().buffered <= 1 << 20);
    for count in 1..=10 {
        pair.server().release(id, 1 << 20);
        pair.run();
        assert_eq!(items(&mut pair, SERVER).0.len(), usize::from(count < 10));
    }
    assert_eq!(pair.server().snapshot().buffered, 0);
}

#[test]
fn an_item_waits_for_its_reader_outside_of_the_queue_for_room() {
    // Room for one large item at a time. The first stream's reader holds it, so the second stream's item waits; but
    // an item behind one that is not read must not stand before others in the queue.
    let room = Config { max_message: 1 << 20, max_buffered: 3 << 20, ..Config::default() };
    let (mut pair, first) = begun(Config::default(), room);
    let _ = send(&mut pair, CLIENT, first, vec![1; 1000], false);
    let _ = send(&mut pair, CLIENT, first, vec![1; 1 << 20], false);
    pair.run();
    assert_eq!(items(&mut pair, SERVER).0.len(), 1);
    pair.call(CLIENT, 2, vec![0; 1 << 20]);
    pair.run();
    assert_eq!(pair.request(SERVER).body.len(), 1 << 20);
    pair.server().release(first, 1000);
    pair.run();
    assert_eq!(items(&mut pair, SERVER).0.len(), 1);
}

#[test]
fn a_cancel_in_the_middle_of_a_large_item_gives_all_room_back() {
    // The request's own bytes count too; the two must not be mixed up.
    let mut pair = Pair::with(Config::default(), Config { max_buffered: 20 << 20, ..Config::default() });
    let ids: Vec<_> = (0..40)
        .map(|token| {
            let now = pair.now;
            let open =
                crate::wire::connection::Open { token: crate::wire::Token(token), oneway: false, end: false };
            match pair.client().open(now, &super::pair::head(0), [1; 5000][..].into(), open) {
                Ok(crate::wire::Opened::Stream(id)) => id,
                other => panic!("{other:?}"),
            }
        })
        .collect();
    for &id in &ids {
        let _ = send(&mut pair, CLIENT, id, vec![2; 2 << 20], false);
    }
    pair.latency(std::time::Duration::from_millis(3), std::time::Duration::from_millis(3));
    pair.wait(std::time::Duration::from_millis(11));
    for &id in &ids {
        pair.cancel(CLIENT, id);
        pair.wait(std::time::Duration::from_micros(300));
    }
    pair.run();
    while let Some(event) = pair.event(SERVER) {
        if let Event::Cancelled { stream, .. } = event {
            pair.server().close(stream);
        }
    }
    pair.run();
    pair.assert_clean();
}

#[test]
fn an_item_before_the_answer_or_too_large_is_not_sent() {
    let mut pair = Pair::with(Config::default(), Config { max_message: 100_000, ..Config::default() });
    let id = pair.stream(CLIENT, 1);
    let error = send(&mut pair, CLIENT, id, vec![0; 100_001], false).unwrap_err();
    assert_eq!(error.to_string(), "an item of 100001 bytes; the peer takes up to 100000");
    pair.run();
    pair.request(SERVER);
    assert_eq!(send(&mut pair, SERVER, id, "x", false), Err(SendError::NotAnswered));
    // A stream that is finished without an answer is answered with its end.
    finish(&mut pair, SERVER, id, Some(&ResponseHead::error(Status::aborted("no"))));
    pair.run();
    assert_eq!(pair.response(CLIENT).1.status.unwrap().code(), Code::Aborted);
    pair.assert_clean();
}

#[test]
fn the_end_of_a_response_drops_what_its_caller_still_had_to_say() {
    let (mut pair, id) = default();
    let _ = send(&mut pair, CLIENT, id, vec![1; 8 << 20], false);
    pair.run();
    finish(&mut pair, SERVER, id, None);
    pair.run();
    pair.assert_clean();
    let sent = pair.sides[CLIENT].sent;
    pair.run();
    assert_eq!(pair.sides[CLIENT].sent, sent);
}
