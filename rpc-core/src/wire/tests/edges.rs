//! Every edge of the diagram in `stream.rs`.

use std::time::Duration;

use bytes::Bytes;

use super::pair::{CLIENT, Pair, SERVER, head};
use crate::metadata::Metadata;
use crate::status::{Certainty, Code};
use crate::wire::connection::Open;
use crate::wire::out::Body;
use crate::wire::{CancelReason, Config, Event, Opened, RequestHead, ResponseHead, Token};

fn with_streams(max_streams: u32) -> Pair {
    Pair::with(Config::default(), Config { max_streams, ..Config::default() })
}

fn large(len: usize) -> Bytes {
    (0..len).map(|index| index as u8).collect::<Vec<_>>().into()
}

const ONEWAY: Open = Open { token: Token(9), oneway: true, end: true };

#[test]
fn a_small_call_goes_there_and_back() {
    let mut pair = Pair::new();
    let id = pair.call(CLIENT, 5, "hello");
    pair.run();
    let request = pair.request(SERVER);
    assert_eq!(
        (request.stream, &request.body[..], request.end, request.oneway),
        (id, &b"hello"[..], true, false)
    );
    assert_eq!(pair.server().method_name(request.head.number.unwrap()), Some("test.Echo/echo"));
    pair.respond(SERVER, id, "world");
    pair.run();
    let (token, head, body) = pair.response(CLIENT);
    assert_eq!((token, &body[..]), (Token(5), &b"world"[..]));
    assert!(head.status.is_none());
    pair.assert_clean();
}

#[test]
fn calls_that_wait_go_out_in_order_and_cancelled_ones_are_passed_over() {
    let mut pair = with_streams(16);
    let first: Vec<_> = (0..16).map(|token| pair.call(CLIENT, token, "x")).collect();
    let waiting: Vec<_> = (16..20).map(|token| pair.open(CLIENT, token, "x")).collect();
    let Opened::Pending(second) = waiting[1] else { panic!("{waiting:?}") };
    let now = pair.now;
    pair.client().cancel_pending(now, second);
    pair.run();
    for id in first {
        pair.request(SERVER);
        pair.respond(SERVER, id, "y");
    }
    pair.run();
    let mut opened = Vec::new();
    while let Some(event) = pair.event(CLIENT) {
        match event {
            Event::Opened { token, .. } => opened.push(token.0),
            Event::Response { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(opened, [16, 18, 19]);
    assert_eq!(pair.client().snapshot().pending, 0);
}

#[test]
fn calls_that_are_given_up_while_they_wait_leave_no_place_behind() {
    let mut pair = with_streams(16);
    pair.checks = false;
    for token in 0..16 {
        pair.call(CLIENT, token, "x");
    }
    let front = pair.open(CLIENT, 16, "x");
    for token in 0..200_000 {
        let Opened::Pending(id) = pair.open(CLIENT, token, "x") else { panic!("not pending") };
        let now = pair.now;
        pair.client().cancel_pending(now, id);
    }
    assert!(matches!(front, Opened::Pending(_)));
    assert_eq!(pair.client().snapshot().pending, 1);
}

#[test]
fn a_oneway_call_is_handed_over_and_closed_at_once() {
    let mut pair = Pair::new();
    assert_eq!(pair.open_with(CLIENT, head(0), "x", ONEWAY), Opened::Handed);
    assert_eq!(pair.client().snapshot().calls, 0);
    pair.run();
    let request = pair.request(SERVER);
    assert!(request.oneway);
    pair.server().close(request.stream);
    pair.run();
    pair.assert_clean();
}

#[test]
fn a_large_oneway_call_is_handed_over_once_all_of_it_is_out() {
    let mut pair = Pair::new();
    let body = large(1 << 20);
    let opened = pair.open_with(CLIENT, head(0), body.clone(), ONEWAY);
    assert!(matches!(opened, Opened::Stream(_)));
    pair.run();
    assert!(matches!(pair.event(CLIENT), Some(Event::Handed { token: Token(9) })));
    let request = pair.request(SERVER);
    assert_eq!(request.body, body);
    // An answer to it is only the end of the handler.
    pair.respond(SERVER, request.stream, "no");
    pair.run();
    pair.assert_clean();
    assert!(pair.event(CLIENT).is_none());
}

#[test]
fn oneway_calls_wait_for_credit_and_one_that_is_given_up_lets_the_next_through() {
    let mut pair = Pair::with(Config::default(), Config { oneway_credit: 64 * 1024, ..Config::default() });
    let body = large(32 * 1024);
    assert_eq!(pair.open_with(CLIENT, head(0), body.clone(), ONEWAY), Opened::Handed);
    let second = pair.open_with(CLIENT, head(0), body, ONEWAY);
    let small = pair.open_with(CLIENT, head(0), "x", ONEWAY);
    let (Opened::Pending(second), Opened::Pending(_)) = (second, small) else {
        panic!("{second:?} {small:?}")
    };
    let now = pair.now;
    pair.client().cancel_pending(now, second);
    assert!(matches!(pair.event(CLIENT), Some(Event::Handed { .. })));
    pair.run();
    for _ in 0..2 {
        let request = pair.request(SERVER);
        pair.server().close(request.stream);
    }
    pair.run();
    pair.assert_clean();
}

#[test]
fn a_large_call_is_received_in_parts_both_ways() {
    for piece in [usize::MAX, 1_000, 7] {
        let mut pair = Pair::new();
        (pair.piece, pair.checks) = (piece, piece > 7);
        let body = large(600_000);
        let id = pair.call(CLIENT, 1, body.clone());
        pair.run();
        let request = pair.request(SERVER);
        assert_eq!(request.body, body);
        pair.respond(SERVER, id, request.body);
        pair.run();
        assert_eq!(pair.response(CLIENT).2, body);
        pair.assert_clean();
    }
}

#[test]
fn a_cancel_before_a_byte_has_left_ends_the_call_on_both_sides() {
    let mut pair = Pair::new();
    let id = pair.call(CLIENT, 1, "x");
    pair.cancel(CLIENT, id);
    pair.run();
    assert_eq!(pair.request(SERVER).stream, id);
    assert!(matches!(pair.event(SERVER), Some(Event::Cancelled { reason: CancelReason::Dropped, .. })));
    assert_eq!(pair.server().snapshot().serving, 1, "it is open until its handler is gone");
    pair.server().close(id);
    pair.run();
    pair.assert_clean();
}

#[test]
fn a_cancel_of_a_request_that_is_half_sent_reaches_no_handler() {
    let mut pair = Pair::new();
    pair.latency(Duration::from_millis(5), Duration::from_millis(5));
    let id = pair.call(CLIENT, 1, large(8 << 20));
    pair.wait(Duration::from_millis(12));
    assert_eq!(pair.server().snapshot().serving, 1);
    pair.cancel(CLIENT, id);
    pair.run();
    assert!(pair.event(SERVER).is_none());
    pair.assert_clean();
    // The connection is as good as before.
    let id = pair.call(CLIENT, 2, "x");
    pair.run();
    assert_eq!(pair.request(SERVER).stream, id);
}

#[test]
fn a_cancel_that_crosses_the_reply_does_no_harm() {
    let mut pair = Pair::new();
    pair.latency(Duration::from_millis(5), Duration::from_millis(5));
    let id = pair.call(CLIENT, 1, "x");
    pair.run();
    pair.request(SERVER);
    pair.respond(SERVER, id, "y");
    pair.cancel(CLIENT, id);
    pair.run();
    assert!(pair.event(CLIENT).is_none() && pair.event(SERVER).is_none());
    pair.assert_clean();
    // After completion it is nothing at all.
    let sent = pair.sides[CLIENT].sent;
    pair.cancel(CLIENT, id);
    pair.run();
    assert_eq!(pair.sides[CLIENT].sent, sent);
}

#[test]
fn a_cancel_while_a_large_reply_is_written_frees_the_stream_and_tells_no_handler() {
    let mut pair = Pair::new();
    pair.latency(Duration::from_millis(5), Duration::from_millis(5));
    let id = pair.call(CLIENT, 1, "x");
    pair.run();
    pair.request(SERVER);
    pair.respond(SERVER, id, large(16 << 20));
    pair.wait(Duration::from_millis(20));
    assert_eq!(pair.server().snapshot().serving, 1);
    pair.cancel(CLIENT, id);
    pair.run();
    // Its handler is gone, and the token may be another's by now.
    assert!(pair.event(SERVER).is_none());
    pair.assert_clean();
}

#[test]
fn a_large_reply_is_dropped_where_the_link_is_lost_and_tells_no_handler() {
    let mut pair = Pair::new();
    let id = pair.call(CLIENT, 1, "x");
    pair.run();
    pair.request(SERVER);
    pair.sides[SERVER].room = 1000;
    pair.respond(SERVER, id, large(1 << 20));
    pair.run();
    pair.cut();
    assert!(pair.event(SERVER).is_none());
    assert_eq!(pair.server().snapshot().serving, 0);
}

#[test]
fn a_handler_of_a_lost_connection_is_told_and_counts_until_it_is_gone() {
    let mut pair = Pair::new();
    let id = pair.call(CLIENT, 1, "abc");
    pair.run();
    pair.request(SERVER);
    pair.server().set_token(id, Token(77));
    pair.cut();
    assert!(matches!(
        pair.event(SERVER),
        Some(Event::Cancelled { stream, reason: CancelReason::ConnectionLost }) if stream == id
    ));
    assert_eq!(pair.server().token(id), Token(77), "the handler is found by its stream");
    assert_eq!(pair.server().snapshot().serving, 1);
    pair.respond(SERVER, id, "late");
    let snapshot = pair.server().snapshot();
    assert_eq!((snapshot.serving, snapshot.buffered, snapshot.unwritten), (0, 0, 0));
}

#[test]
fn what_was_not_sent_whole_cannot_have_been_run() {
    let mut pair = Pair::new();
    pair.call(CLIENT, 1, "all of it");
    pair.run();
    pair.sides[CLIENT].room = 20;
    pair.call(CLIENT, 2, "half of it, as the socket is full");
    pair.call(CLIENT, 3, "still here");
    pair.run();
    let large = pair.call(CLIENT, 4, large(1 << 20));
    pair.run();
    pair.cut();
    let mut ends = Vec::new();
    while let Some(event) = pair.event(CLIENT) {
        let Event::Failed { token, status } = event else { panic!("{event:?}") };
        assert_eq!(status.code(), Code::Unavailable);
        ends.push((token.0, status.certainty()));
    }
    ends.sort_by_key(|end| end.0);
    let (sent, not) = (Certainty::Unknown, Certainty::NotSent);
    assert_eq!(ends, [(1, sent), (2, not), (3, not), (4, not)], "{large}");
}

#[test]
fn a_stream_whose_large_first_message_is_out_may_have_been_run() {
    let mut pair = Pair::new();
    let open = Open { token: Token(1), oneway: false, end: false };
    pair.open_with(CLIENT, head(0), large(1 << 20), open);
    pair.run();
    assert_eq!(pair.request(SERVER).body.len(), 1 << 20);
    pair.cut();
    let Some(Event::Failed { status, .. }) = pair.event(CLIENT) else { panic!("no end") };
    assert_eq!(status.certainty(), Certainty::Unknown);
}

#[test]
fn a_request_too_large_is_not_sent() {
    let mut pair = Pair::with(Config::default(), Config { max_message: 100_000, ..Config::default() });
    let now = pair.now;
    let open = Open { token: Token(1), oneway: false, end: true };
    let error = pair.client().open(now, &head(0), vec![0; 100_001][..].into(), open).unwrap_err();
    assert_eq!(error.to_string(), "a request of 100001 bytes; the server takes up to 100000");
    let mut metadata = Metadata::new();
    metadata.insert("much", vec![0; 20_000]).unwrap();
    let much = RequestHead { metadata: &metadata, ..head(1) };
    let error = pair.client().open(now, &much, Body::default(), open).unwrap_err();
    assert!(error.to_string().starts_with("a request header of 200"), "{error}");
    let sent = pair.sides[CLIENT].sent;
    pair.run();
    assert_eq!(pair.sides[CLIENT].sent, sent);
    pair.assert_clean();
    // The name was not bound by what was not sent.
    pair.open_with(CLIENT, head(1), "x", open);
    pair.run();
    let request = pair.request(SERVER);
    assert_eq!(request.head.number, Some(0));
}

#[test]
fn what_is_more_than_the_least_waits_for_the_peers_settings() {
    let mut pair = Pair::strangers(Config::default(), Config::default());
    let mut metadata = Metadata::new();
    metadata.insert("much", vec![0; 10_000]).unwrap();
    let much = RequestHead { metadata: &metadata, ..head(0) };
    let open = Open { token: Token(1), oneway: false, end: true };
    assert!(matches!(pair.open_with(CLIENT, much, "x", open), Opened::Pending(_)));
    assert!(matches!(pair.open(CLIENT, 2, large(100_000)), Opened::Pending(_)));
    pair.run();
    assert_eq!(pair.request(SERVER).head.metadata.len(), 1);
    assert_eq!(pair.request(SERVER).body.len(), 100_000);
}

#[test]
fn requests_go_out_at_once_under_the_least_that_every_peer_takes() {
    let mut pair = Pair::strangers(Config::default(), Config::default());
    let opened: Vec<_> = (0..20).map(|token| pair.open(CLIENT, token, large(60_000))).collect();
    assert_eq!(opened.iter().filter(|opened| matches!(opened, Opened::Stream(_))).count(), 16);
    pair.run();
    for _ in 0..20 {
        let request = pair.request(SERVER);
        assert_eq!(request.body.len(), 60_000);
        pair.respond(SERVER, request.stream, "");
    }
    pair.run();
    pair.assert_clean();
}

#[test]
fn a_reply_too_large_is_answered_with_why() {
    let client = Config { max_message: 100_000, ..Config::default() };
    let mut pair = Pair::with(client, Config::default());
    let id = pair.call(CLIENT, 1, "x");
    pair.run();
    pair.request(SERVER);
    pair.respond(SERVER, id, large(100_001));
    pair.run();
    let status = pair.response(CLIENT).1.status.unwrap();
    assert_eq!((status.code(), status.certainty()), (Code::ResourceExhausted, Certainty::Executed));
    pair.assert_clean();
}

#[test]
fn a_reply_whose_header_is_too_long_is_answered_with_why_and_an_error_keeps_its_code() {
    let mut pair = Pair::new();
    let mut reply = ResponseHead::default();
    reply.metadata.insert("much", vec![0; 20_000]).unwrap();
    let status = crate::Status::not_found("no such thing").with_detail("x.Y", vec![0; 20_000]);
    for (head, code) in [(reply, Code::ResourceExhausted), (ResponseHead::error(status), Code::NotFound)] {
        let id = pair.call(CLIENT, 1, "x");
        pair.run();
        pair.request(SERVER);
        let now = pair.now;
        pair.server().respond(now, id, &head, b"body"[..].into(), true);
        pair.run();
        assert_eq!(pair.response(CLIENT).1.status.unwrap().code(), code);
        pair.assert_clean();
    }
}

#[test]
fn a_second_answer_is_none() {
    let mut pair = Pair::new();
    let id = pair.call(CLIENT, 1, "x");
    pair.run();
    pair.request(SERVER);
    pair.respond(SERVER, id, large(1 << 20));
    pair.respond(SERVER, id, "more");
    pair.run();
    assert_eq!(pair.response(CLIENT).2.len(), 1 << 20);
    pair.respond(SERVER, id, "more");
    pair.run();
    pair.assert_clean();
}

#[test]
fn names_cross_once_and_those_beyond_the_table_each_time() {
    // The table is never smaller than the least.
    let mut pair = Pair::with(Config::default(), Config { max_methods: 0, ..Config::default() });
    let open = Open { token: Token(1), oneway: false, end: true };
    for round in 0..2 {
        for method in 0..20 {
            let Opened::Stream(id) = pair.open_with(CLIENT, head(method), "", open) else { panic!() };
            pair.run();
            let request = pair.request(SERVER);
            assert_eq!(request.head.number.is_some(), method < 16);
            assert_eq!(request.head.name.is_some(), round == 0 || method >= 16, "{round} {method}");
            pair.respond(SERVER, id, "");
            pair.run();
            pair.response(CLIENT);
        }
    }
    pair.assert_clean();
}

#[test]
fn a_name_that_is_too_long_costs_its_own_call_and_not_the_connection() {
    let mut pair = Pair::new();
    let mut long = head(3);
    long.path = Box::leak("x".repeat(513).into_boxed_str());
    pair.open_with(CLIENT, long, "", Open { token: Token(1), oneway: false, end: true });
    pair.run();
    let status = pair.response(CLIENT).1.status.unwrap();
    assert_eq!((status.code(), status.certainty()), (Code::InvalidArgument, Certainty::NotExecuted));
    pair.assert_clean();
}

#[test]
fn both_sides_may_call() {
    let mut pair = Pair::new();
    let there = pair.call(CLIENT, 1, "there");
    let back = pair.call(SERVER, 2, "back");
    pair.run();
    assert_eq!((there.0 % 2, back.0 % 2), (1, 0));
    assert_eq!(pair.request(SERVER).stream, there);
    assert_eq!(pair.request(CLIENT).stream, back);
    pair.respond(SERVER, there, "");
    pair.respond(CLIENT, back, "");
    pair.run();
    pair.assert_clean();
}
