//! Every rule of PROTOCOL.md from §7 on, broken by a scripted peer.

use std::time::Duration;

use super::script::{Frame, Script, bare, credit, header, request};
use crate::status::Code;
use crate::wire::out::Body;
use crate::wire::{Config, ErrorCode, Event, Kind, ResponseHead, Role};

use ErrorCode::{FlowControl, Protocol, TooLarge, TooManyCheapFrames};

const END: u8 = 1;
const MORE: u8 = 2;
const ONEWAY: u8 = 4;

// §8

#[test]
fn more_bytes_than_were_granted_end_the_connection() {
    // On a stream.
    let mut script = Script::server();
    let mut open = request(1, b"");
    open.flags = 0;
    script.frame(&open).unwrap();
    script.frame(&Frame::new(Kind::DATA, 0, 1, &[], &[0; 100_000])).unwrap();
    script.breaks(&Frame::new(Kind::DATA, 0, 1, &[], &[0; 40_000]), FlowControl);
    // On a part of a message that waits for room.
    let mut script = Script::with(
        Role::Acceptor,
        Config { max_message: 1 << 20, max_buffered: 2 << 20, ..Config::default() },
    );
    let large = |stream, part: usize| {
        let head = header(&[(32, 1 << 20)], &[(2, b"a.B/c")]);
        Frame::new(Kind::REQUEST, END | MORE, stream, &head, &vec![0; part])
    };
    script.frame(&large(1, 0)).unwrap();
    script.frame(&large(3, 100_000)).unwrap();
    script.breaks(&Frame::new(Kind::DATA, MORE, 3, &[], &[0; 40_000]), FlowControl);
}

#[test]
fn credit_that_overflows_ends_the_connection() {
    for stream in [0, 1] {
        let mut script = Script::server();
        script.frame(&request(1, b"")).unwrap();
        script.frame(&credit(stream, u32::MAX - (1 << 21))).unwrap();
        script.breaks(&credit(stream, 1 << 21), FlowControl);
    }
    let mut script = Script::server();
    script.breaks(&Frame::new(Kind::CREDIT, ONEWAY, 0, &[0xFF; 4], &[]), FlowControl);
    for bad in [&[][..], &[1, 2, 3], &[1, 2, 3, 4, 5]] {
        Script::server().breaks(&bare(Kind::CREDIT, 0, bad), Protocol);
    }
}

#[test]
fn a_message_whose_parts_do_not_add_up_ends_the_connection() {
    let open = |total| {
        let mut script = Script::server();
        let head = header(&[(32, total)], &[(2, b"a.B/c")]);
        script.frame(&Frame::new(Kind::REQUEST, END | MORE, 1, &head, &[0; 10])).unwrap();
        script
    };
    open(100).breaks(&Frame::new(Kind::DATA, 0, 1, &[], &[0; 89]), Protocol);
    open(100).breaks(&Frame::new(Kind::DATA, 0, 1, &[], &[0; 91]), Protocol);
    open(100).breaks(&Frame::new(Kind::DATA, MORE, 1, &[], &[0; 91]), Protocol);
    open(100).breaks(&Frame::new(Kind::DATA, END, 1, &[], &[0; 90]), Protocol);
    open(100).breaks(&bare(Kind::END, 1, &[]), Protocol);
    // One that says less than its first part has is answered, and its rest is late.
    let mut script = Script::server();
    let head = header(&[(32, 5)], &[(2, b"a.B/c")]);
    script.frame(&Frame::new(Kind::REQUEST, END | MORE, 1, &head, &[0; 10])).unwrap();
    assert_eq!(script.refusal(1).code(), Code::InvalidArgument);
    script.frame(&Frame::new(Kind::DATA, 0, 1, &[], &[0; 10])).unwrap();
    // So are one that does not say, and one that says too much.
    for (stream, head, code) in [
        (3, header(&[], &[(2, b"a.B/c")]), Code::InvalidArgument),
        (5, header(&[(32, u64::MAX)], &[(2, b"a.B/c")]), Code::ResourceExhausted),
        (7, header(&[(32, (16 << 20) + 1)], &[(2, b"a.B/c")]), Code::ResourceExhausted),
    ] {
        script.frame(&Frame::new(Kind::REQUEST, END | MORE, stream, &head, &[0; 10])).unwrap();
        assert_eq!(script.refusal(stream).code(), code);
    }
    let mut script = open(10);
    script.frame(&Frame::new(Kind::DATA, 0, 1, &[], &[])).unwrap();
    assert_eq!(script.requests().len(), 1, "the last part may be empty");
}

#[test]
fn a_length_that_is_claimed_costs_nothing() {
    let mut script = Script::server();
    for index in 0..10_000 {
        let head = header(&[(32, 16 << 20)], &[(2, b"a.B/c")]);
        let stream = 1 + 2 * index;
        script.frame(&Frame::new(Kind::REQUEST, END | MORE, stream, &head, &[0; 3])).unwrap();
        script.frame(&bare(Kind::CANCEL, stream, &[0])).unwrap();
        script.out.clear();
    }
    assert_eq!(script.wire.snapshot().buffered, 0);
    // `check` has held the real allocations to what came.
}

#[test]
fn what_is_kept_is_bounded_whatever_is_asked_for() {
    let config = Config { max_message: 1 << 20, max_buffered: 4 << 20, ..Config::default() };
    let mut script = Script::with(Role::Acceptor, config);
    for index in 0..3_000 {
        let head = header(&[(32, 1 << 20)], &[(2, b"a.B/c")]);
        let frame = match index % 3 {
            0 => Frame::new(Kind::REQUEST, END | MORE, 1 + 2 * index, &head, &[0; 1000]),
            1 => request(1 + 2 * index, &[0; 60_000]),
            _ => request(1 + 2 * index, &[]),
        };
        script.frame(&frame).unwrap();
        assert!(script.wire.snapshot().buffered <= 4 << 20);
    }
}

#[test]
fn a_peer_that_asks_for_much_and_reads_nothing_is_refused_more() {
    let config = Config { max_message: 1 << 20, max_buffered: 4 << 20, ..Config::default() };
    let mut script = Script::with(Role::Acceptor, config);
    // The script grants nothing, so large replies wait: its settings say that it takes a megabyte at most.
    let mut refused = 0;
    for index in 0..500 {
        script.frame(&request(1 + 2 * index, &[])).unwrap();
        match script.events.pop() {
            Some(Event::Request(incoming)) => {
                let reply = vec![0; 60_000];
                let head = ResponseHead::default();
                script.wire.respond(script.now, incoming.stream, &head, reply[..].into(), true);
                script.drain();
            }
            _ => refused += 1,
        }
    }
    assert!(refused > 400 || script.wire.snapshot().buffered <= 5 << 20);
    assert!(script.wire.snapshot().buffered <= 500 * 60_000);
}

// §7, §9

#[test]
fn a_frame_on_a_stream_that_was_never_opened_ends_the_connection() {
    for role in [Role::Acceptor, Role::Connector] {
        for stream in [0, 1, 2, u64::MAX, u64::MAX - 1] {
            for kind in [Kind::RESPONSE, Kind::DATA, Kind::END, Kind::CANCEL, Kind::CREDIT] {
                if kind == Kind::CREDIT && stream == 0 {
                    continue;
                }
                Script::with(role, Config::default()).breaks(&bare(kind, stream, &[0; 4]), Protocol);
            }
        }
    }
}

#[test]
fn a_late_frame_is_dropped() {
    let mut script = Script::server();
    script.frame(&request(5, b"x")).unwrap();
    script.frame(&bare(Kind::CANCEL, 5, &[])).unwrap();
    script.wire.close(crate::wire::StreamId(5));
    // Streams that were passed over count as closed.
    for stream in [1, 3, 5] {
        script.frame(&Frame::new(Kind::DATA, 0, stream, &[], b"late")).unwrap();
        script.frame(&bare(Kind::END, stream, &[])).unwrap();
        script.frame(&bare(Kind::CANCEL, stream, &[])).unwrap();
        script.frame(&credit(stream, 5)).unwrap();
    }
    let mut script = Script::client();
    let id = script.open(true);
    script.wire.cancel(script.now, id, crate::wire::CancelReason::Dropped);
    script.frame(&Frame::new(Kind::RESPONSE, END, id.0, &[], b"late")).unwrap();
    script.frame(&Frame::new(Kind::RESPONSE, END, id.0, &[], b"twice")).unwrap();
    assert!(script.events.is_empty());
}

#[test]
fn a_response_comes_once_and_before_all_else() {
    let mut script = Script::client();
    let id = script.open(false).0;
    script.frame(&Frame::new(Kind::RESPONSE, 0, id, &[], b"x")).unwrap();
    script.breaks(&Frame::new(Kind::RESPONSE, END, id, &[], b"x"), Protocol);
    for kind in [Kind::DATA, Kind::END] {
        let mut script = Script::client();
        let id = script.open(false).0;
        script.breaks(&bare(kind, id, &[]), Protocol);
    }
    // In the middle of its parts.
    let mut script = Script::client();
    let id = script.open(true).0;
    script.frame(&Frame::new(Kind::RESPONSE, END | MORE, id, &header(&[(32, 100)], &[]), b"x")).unwrap();
    script.breaks(&Frame::new(Kind::RESPONSE, END, id, &[], b"x"), Protocol);
    // To a request of the peer's own.
    let mut script = Script::server();
    script.frame(&request(1, b"x")).unwrap();
    script.breaks(&Frame::new(Kind::RESPONSE, END, 1, &[], b"x"), Protocol);
}

#[test]
fn a_frame_after_the_end_ends_the_connection() {
    for frame in [Frame::new(Kind::DATA, 0, 1, &[], b"x"), bare(Kind::END, 1, &[])] {
        let mut script = Script::server();
        script.frame(&request(1, b"x")).unwrap();
        script.breaks(&frame, Protocol);
    }
    let mut script = Script::server();
    let mut open = request(1, b"");
    open.flags = 0;
    script.frame(&open).unwrap();
    script.frame(&bare(Kind::END, 1, &[])).unwrap();
    script.breaks(&Frame::new(Kind::DATA, END, 1, &[], b"x"), Protocol);
}

#[test]
fn a_response_that_cannot_be_read_or_kept_fails_its_own_call() {
    let mut script = Script::client();
    for (flags, head, code) in [
        (END, vec![16, 200], Code::Internal),
        (0, vec![16, 200], Code::Internal),
        (END | MORE, header(&[(33, 7), (32, 100)], &[]), Code::Internal),
        (END, header(&[], &[(22, b"\x09x")]), Code::Internal),
        (END | MORE, header(&[(32, 17 << 20)], &[]), Code::ResourceExhausted),
        (MORE, header(&[(32, u64::MAX)], &[]), Code::ResourceExhausted),
    ] {
        let id = script.open(true).0;
        script.frame(&Frame::new(Kind::RESPONSE, flags, id, &head, b"x")).unwrap();
        let Some(Event::Failed { status, .. }) = script.events.pop() else { panic!("{head:?}") };
        assert_eq!(status.code(), code);
        let cancelled =
            script.out.last().is_some_and(|last| last.kind == Kind::CANCEL.0 && last.stream == id);
        assert_eq!(cancelled, flags != END, "the peer is told if it would go on");
        script.frame(&Frame::new(Kind::DATA, 0, id, &[], b"late")).unwrap();
    }
    assert!(script.wire.is_idle());
    // One whole frame may be more than a small limit.
    let mut script = Script::with(Role::Connector, Config { max_message: 65_536, ..Config::default() });
    let id = script.open(true).0;
    script.frame(&Frame::new(Kind::RESPONSE, END, id, &[], &[0; 65_537])).unwrap();
    assert!(matches!(script.events.pop(), Some(Event::Failed { .. })));
}

#[test]
fn an_item_over_the_limit_ends_the_connection() {
    for frame in [
        Frame::new(Kind::DATA, 0, 1, &[], &[0; 65_537]),
        Frame::new(Kind::DATA, MORE, 1, &header(&[(32, 65_537)], &[]), &[0; 5]),
        Frame::new(Kind::DATA, MORE, 1, &header(&[(32, u64::MAX)], &[]), &[0; 5]),
    ] {
        let mut script = Script::with(Role::Acceptor, Config { max_message: 65_536, ..Config::default() });
        let mut open = request(1, b"");
        open.flags = 0;
        script.frame(&open).unwrap();
        script.breaks(&frame, TooLarge);
    }
    for head in [vec![], header(&[(32, 2)], &[])] {
        let mut script = Script::server();
        let mut open = request(1, b"");
        open.flags = 0;
        script.frame(&open).unwrap();
        script.breaks(&Frame::new(Kind::DATA, MORE, 1, &head, b"abc"), Protocol);
    }
}

#[test]
fn a_response_to_a_oneway_request_is_an_error_while_the_request_is_there() {
    let mut script = Script::client();
    let open = crate::wire::connection::Open { token: crate::wire::Token(1), oneway: true, end: true };
    let opened = script.wire.open(script.now, &super::pair::head(0), [0; 60_000][..].into(), open);
    assert_eq!(opened, Ok(crate::wire::Opened::Handed));
    script.frame(&Frame::new(Kind::RESPONSE, END, 1, &[], b"x")).unwrap();
    assert!(script.events.is_empty());
}

// §10, §11

#[test]
fn cheap_frames_are_counted() {
    let mut open = request(1, b"");
    open.flags = 0;
    for frame in [
        bare(Kind::PING, 0, &[0; 8]),
        bare(Kind::PONG, 0, &[0xFF; 8]),
        credit(0, 0),
        credit(1, 0),
        bare(Kind::DRAIN, 0, &[]),
        bare(Kind(0x80), 0, &[]),
    ] {
        let mut script = Script::server();
        script.frame(&open).unwrap();
        let mut sent = 0;
        let error = loop {
            match script.frame(&frame) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!((error.code, sent), (TooManyCheapFrames, 1000), "{frame:?}");
        // At a pace that a peer may have, they go on for ever.
        let mut script = Script::server();
        script.frame(&open).unwrap();
        for _ in 0..3000 {
            script.now += Duration::from_millis(10);
            script.frame(&frame).unwrap();
        }
    }
    for bad in [&[][..], &[0; 7], &[0; 9]] {
        Script::server().breaks(&bare(Kind::PING, 0, bad), Protocol);
        Script::server().breaks(&bare(Kind::PONG, 0, bad), Protocol);
    }
}

#[test]
fn empty_parts_are_counted_and_empty_items_cost_credit() {
    let mut script = Script::server();
    let mut open = request(1, b"");
    open.flags = MORE | END;
    open.header = header(&[(32, 10)], &[(2, b"a.B/c")]);
    script.frame(&open).unwrap();
    let mut sent = 0;
    while script.frame(&Frame::new(Kind::DATA, MORE, 1, &[], &[])).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 1000);
    let mut script = Script::server();
    let mut open = request(1, b"");
    open.flags = 0;
    script.frame(&open).unwrap();
    let mut sent = 0;
    let error = loop {
        match script.frame(&Frame::new(Kind::DATA, 0, 1, &[], &[])) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.code, sent), (FlowControl, 128 * 1024 / 16));
}

#[test]
fn late_cancels_are_one_for_each_request() {
    let mut script = Script::server();
    for index in 0..5000 {
        let stream = 1 + 2 * index;
        script.frame(&request(stream, b"x")).unwrap();
        script.wire.respond(
            script.now,
            crate::wire::StreamId(stream),
            &ResponseHead::default(),
            Body::default(),
            true,
        );
        script.frame(&bare(Kind::CANCEL, stream, &[0])).unwrap();
        script.out.clear();
        script.events.clear();
    }
    let mut more = 0;
    let error = loop {
        match script.frame(&bare(Kind::CANCEL, 1, &[0])) {
            Ok(()) => more += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.code, more), (TooManyCheapFrames, 1000));
}

#[test]
fn a_drain_that_goes_back_fails_what_was_not_accepted_and_a_code_ends_the_connection() {
    let mut script = Script::client();
    let ids: Vec<_> = (0..3).map(|_| script.open(true)).collect();
    script.frame(&bare(Kind::DRAIN, 0, &header(&[(1, ids[1].0)], &[]))).unwrap();
    script.frame(&bare(Kind::DRAIN, 0, &header(&[(1, ids[0].0)], &[]))).unwrap();
    let failed = script.events.iter().filter(|event| matches!(event, Event::Failed { .. })).count();
    assert_eq!(failed, 2);
    let error = script.frame(&bare(Kind::DRAIN, 0, &header(&[(2, 3)], &[(3, b"why")]))).unwrap_err();
    assert_eq!((error.code, error.by_peer, &error.message[..]), (FlowControl, true, "why"));
    assert_ne!(script.out.last().map(|frame| frame.kind), Some(Kind::DRAIN.0), "there is nobody to tell");
    Script::client().breaks(&bare(Kind::DRAIN, 0, &[1, 9]), Protocol);
}

#[test]
fn a_flood_of_opens_and_cancels_costs_its_sender_streams() {
    let mut script = Script::with(Role::Acceptor, Config { max_streams: 100, ..Config::default() });
    for index in 0..10_000 {
        script.frame(&request(1 + 2 * index, b"x")).unwrap();
        script.frame(&bare(Kind::CANCEL, 1 + 2 * index, &[0])).unwrap();
        script.out.clear();
    }
    assert_eq!(script.requests().len(), 100);
    assert_eq!(script.wire.snapshot().serving, 100);
}
