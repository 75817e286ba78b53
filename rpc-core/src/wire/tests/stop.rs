//! A handler that wants no more items of its request while its call goes on (§9.4).

use std::time::Duration;

use bytes::Bytes;

use super::pair::{CLIENT, Pair, SERVER};
use super::script::{Frame, Script, bare, credit, header, request};
use crate::wire::out::Body;
use crate::wire::{Config, ErrorCode, Event, Kind, ResponseHead, SendError, StreamId};

use ErrorCode::{FlowControl, Protocol, TooManyCheapFrames};

const END: u8 = 1;
const MORE: u8 = 2;

fn begun(server: Config) -> (Pair, StreamId) {
    let mut pair = Pair::with(Config::default(), server);
    let id = pair.stream(CLIENT, 1);
    pair.run();
    assert!(!pair.request(SERVER).end);
    (pair, id)
}

fn send(pair: &mut Pair, id: StreamId, length: usize, end: bool) -> Result<bool, SendError> {
    let now = pair.now;
    pair.client().send_item(now, id, Bytes::from(vec![1; length]), end)
}

/// The sender has heard, the stream lives, and its answer frees everything.
fn heard(mut pair: Pair, id: StreamId, last: bool) {
    pair.run();
    assert!(std::iter::from_fn(|| pair.event(CLIENT)).any(|event| matches!(event, Event::Sendable { .. })));
    assert_eq!(pair.client().item_room(id), None);
    assert_eq!(send(&mut pair, id, 1, false), Err(SendError::Closed));
    let ended = |event| matches!(event, Event::Ended { .. });
    let ended = std::iter::from_fn(|| pair.event(SERVER)).any(ended);
    assert!(ended || last, "the half has ended");
    assert_eq!(pair.server().snapshot().buffered, 0);
    answered(pair, id);
}

fn answered(mut pair: Pair, id: StreamId) {
    pair.respond(SERVER, id, "done");
    pair.run();
    assert_eq!(&pair.response(CLIENT).2[..], b"done");
    pair.assert_clean();
    assert!(pair.sides.iter().all(|side| side.wire.error().is_none()));
}

#[test]
fn a_stop_before_the_first_item_ends_the_request() {
    let (mut pair, id) = begun(Config::default());
    pair.server().stop(id);
    pair.server().stop(id);
    heard(pair, id, false);
}

#[test]
fn a_stop_drops_what_waits_and_what_is_under_way() {
    let (mut pair, id) = begun(Config::default());
    pair.latency(Duration::from_millis(5), Duration::from_millis(5));
    while send(&mut pair, id, 1000, false).unwrap() {}
    pair.wait(Duration::from_millis(2));
    pair.server().stop(id);
    heard(pair, id, false);
}

#[test]
fn a_stop_in_the_middle_of_a_large_item_gives_its_room_back() {
    for end in [false, true] {
        for wait in [0, 6, 11, 17] {
            let (mut pair, id) = begun(Config::default());
            pair.latency(Duration::from_millis(5), Duration::from_millis(5));
            send(&mut pair, id, 100, false).unwrap();
            send(&mut pair, id, 4 << 20, end).unwrap();
            pair.wait(Duration::from_millis(wait));
            pair.server().stop(id);
            // An item that is the last says so in its first frame, and no END comes behind it.
            heard(pair, id, end);
        }
    }
}

#[test]
fn a_stop_of_a_large_item_that_was_not_read_pays_its_room_back() {
    let (mut pair, id) = begun(Config::default());
    send(&mut pair, id, 4 << 20, false).unwrap();
    pair.run();
    assert!(pair.server().snapshot().buffered > 3 << 20);
    pair.server().stop(id);
    assert_eq!(pair.server().snapshot().buffered, 0);
    pair.server().release(id, 4 << 20);
    heard(pair, id, false);
}

#[test]
fn a_stop_that_crosses_the_end_changes_nothing() {
    let (mut pair, id) = begun(Config::default());
    pair.latency(Duration::from_millis(5), Duration::from_millis(5));
    send(&mut pair, id, 5, true).unwrap();
    pair.server().stop(id);
    pair.run();
    answered(pair, id);
    // Nor does one after it, which is not even sent.
    let (mut pair, id) = begun(Config::default());
    let now = pair.now;
    pair.client().finish(now, id, None);
    pair.run();
    let sent = pair.sides[SERVER].sent;
    pair.server().stop(id);
    pair.run();
    assert_eq!(pair.sides[SERVER].sent, sent);
    while pair.event(SERVER).is_some() {}
    answered(pair, id);
}

#[test]
fn a_stop_that_crosses_a_cancel_does_no_harm() {
    let (mut pair, id) = begun(Config::default());
    pair.cancel(CLIENT, id);
    pair.server().stop(id);
    pair.run();
    pair.server().stop(id);
    pair.server().close(id);
    pair.run();
    pair.assert_clean();
    assert!(pair.sides.iter().all(|side| side.wire.error().is_none()));
}

#[test]
fn the_items_of_the_answer_go_on_after_a_stop() {
    let (mut pair, id) = begun(Config::default());
    let now = pair.now;
    pair.server().respond(now, id, &ResponseHead::default(), Body::default(), false);
    pair.server().stop(id);
    pair.server().send_item(now, id, "item".into(), true).unwrap();
    pair.run();
    let came: Vec<_> = std::iter::from_fn(|| pair.event(CLIENT)).collect();
    assert!(came.iter().any(|event| matches!(event, Event::Item { body, .. } if body == "item")));
    while pair.event(SERVER).is_some() {}
    pair.assert_clean();
}

fn stop(stream: u64) -> Frame {
    Frame::new(Kind::CREDIT, END, stream, &[0; 4], &[])
}

#[test]
fn a_stop_that_may_not_come_ends_the_connection() {
    // Of what was never opened, of the connection, and of a stream of the sender's own.
    for stream in [1, 3, 2, 0] {
        Script::client().breaks(&stop(stream), Protocol);
    }
    let mut script = Script::server();
    script.frame(&request(1, b"")).unwrap();
    script.breaks(&stop(1), Protocol);
    // One that grants, and one with another flag.
    for frame in [
        Frame::new(Kind::CREDIT, END, 1, &[1, 0, 0, 0], &[]),
        Frame::new(Kind::CREDIT, END | 4, 1, &[0; 4], &[]),
        Frame::new(Kind::CREDIT, END, 1, &[0; 3], &[]),
    ] {
        let mut script = Script::client();
        assert_eq!(script.open(false).0, 1);
        script.breaks(&frame, Protocol);
    }
}

#[test]
fn a_stop_without_items_does_nothing_and_a_flood_of_stops_ends_the_connection() {
    for end in [true, false] {
        let mut script = Script::client();
        let id = script.open(end).0;
        // The first ends the items, where there are any; the others are late.
        for _ in 0..1000 {
            script.frame(&stop(id)).unwrap();
        }
        assert_eq!(script.out.iter().filter(|frame| frame.kind == Kind::END.0).count(), usize::from(!end));
        script.frame(&stop(id)).unwrap();
        if !end {
            script.frame(&stop(id)).unwrap();
        }
        script.breaks(&stop(id), TooManyCheapFrames);
    }
}

#[test]
fn a_stopped_peer_that_sends_on_is_held_to_its_window() {
    let mut script = Script::server();
    let mut open = request(1, b"");
    open.flags = 0;
    script.frame(&open).unwrap();
    script.wire.stop(StreamId(1));
    script.drain();
    let before = script.events.len();
    // In any shape: nothing of it is kept.
    script.frame(&Frame::new(Kind::DATA, MORE, 1, &header(&[(32, 1 << 20)], &[]), &[0; 50_000])).unwrap();
    script.frame(&Frame::new(Kind::DATA, 0, 1, &[], &[0; 50_000])).unwrap();
    script.frame(&bare(Kind::END, 1, &[])).unwrap();
    assert_eq!(script.events.len(), before + 1);
    script.breaks(&bare(Kind::END, 1, &[]), Protocol);
    let mut script = Script::server();
    script.frame(&open).unwrap();
    script.wire.stop(StreamId(1));
    script.frame(&credit(1, 5)).unwrap();
    script.frame(&Frame::new(Kind::DATA, 0, 1, &[], &[0; 100_000])).unwrap();
    script.breaks(&Frame::new(Kind::DATA, 0, 1, &[], &[0; 40_000]), FlowControl);
}
