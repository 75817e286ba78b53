//! Every rule of PROTOCOL.md, broken by a scripted peer: the right code, bounded memory, no panic.

use std::time::Duration;

use super::script::{Frame, Script, header, request};
use crate::status::{Certainty, Code};
use crate::wire::frame::MAGIC;
use crate::wire::{Config, ErrorCode, Event, Kind, Prefix, ResponseHead, Role};

use ErrorCode::{BadMagic, FlowControl, Protocol, TooLarge, TooManyCheapFrames};

const END: u8 = 1;
const MORE: u8 = 2;
const ONEWAY: u8 = 4;

fn bare(kind: Kind, stream: u64, header: &[u8]) -> Frame {
    Frame::new(kind, 0, stream, header, &[])
}

fn credit(stream: u64, bytes: u32) -> Frame {
    bare(Kind::CREDIT, stream, &bytes.to_le_bytes())
}

// §2

#[test]
fn openings_of_other_protocols_are_told_from_ours() {
    for opening in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"\xF1CRR\n\n\x00\x01",
        b"\xF1CRR\r\n\x00\x02",
        b"G",
    ] {
        let mut script = Script::silent(Role::Acceptor, Config::default());
        script.breaks_bytes(opening, BadMagic);
    }
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b"\x15\x03\x01\x00\x02\x02\x28", b"\x00", b"S"] {
        let mut script = Script::silent(Role::Connector, Config::default());
        script.breaks_bytes(answer, BadMagic);
    }
}

// §3

#[test]
fn a_giant_length_is_refused_from_the_prefix_alone() {
    for (header, body) in [(16 * 1024 + 1, 0), (u16::MAX, 0), (0, 128 * 1024 + 1), (0, u32::MAX)] {
        let prefix = Prefix { kind: Kind::REQUEST.0, flags: 1, header, body, stream: 1 };
        Script::server().breaks_bytes(&prefix.to_bytes(), TooLarge);
    }
}

#[test]
fn an_unknown_kind_ends_the_connection_unless_it_may_be_skipped() {
    for kind in [0x00, 0x0B, 0x7F] {
        Script::server().breaks(&Frame::new(Kind(kind), 0, 0, &[], &[]), Protocol);
    }
    let mut script = Script::server();
    for kind in 0x80..=0xFF {
        script.frame(&Frame::new(Kind(kind), kind, 77, &[1; 300], &[2; 70_000])).unwrap();
    }
    script.frame(&request(1, b"x")).unwrap();
    assert_eq!(script.requests().len(), 1);
}

#[test]
fn a_flag_that_means_nothing_ends_the_connection() {
    for (kind, flags) in [
        (Kind::REQUEST, 8),
        (Kind::RESPONSE, ONEWAY),
        (Kind::DATA, ONEWAY),
        (Kind::DATA, 0x80),
        (Kind::END, END),
        (Kind::CANCEL, END),
        (Kind::CREDIT, MORE),
        (Kind::PING, END),
        (Kind::PONG, 0x40),
        (Kind::DRAIN, ONEWAY),
    ] {
        Script::server().breaks(&Frame::new(kind, flags, 1, &[], &[]), Protocol);
    }
    let mut script = Script::server();
    script.frame(&request(1, b"x")).unwrap();
    script.breaks(&Frame::new(Kind::CREDIT, ONEWAY, 1, &[1, 0, 0, 0], &[]), Protocol);
}

#[test]
fn a_control_frame_with_a_body_or_on_a_stream_ends_the_connection() {
    for kind in [Kind::END, Kind::CANCEL, Kind::CREDIT, Kind::PING, Kind::PONG, Kind::DRAIN] {
        let mut script = Script::server();
        script.frame(&request(1, b"x")).unwrap();
        script.breaks(&Frame::new(kind, 0, 1, &[0; 8], b"body"), Protocol);
    }
    for kind in [Kind::PING, Kind::PONG, Kind::DRAIN] {
        Script::server().breaks(&bare(kind, 1, &[0; 8]), Protocol);
    }
}

// §5

#[test]
fn settings_come_first_and_once() {
    for role in [Role::Acceptor, Role::Connector] {
        let mut script = Script::silent(role, Config::default());
        if role == Role::Acceptor {
            script.say(&MAGIC).unwrap();
        }
        script.breaks(&bare(Kind::PING, 0, &[0; 8]), BadMagic);
    }
    Script::server().breaks(&bare(Kind::SETTINGS, 0, &[]), Protocol);
}

#[test]
fn settings_below_the_least_or_malformed_end_the_connection() {
    let least = [(1, 4096), (2, 65_536), (3, 16), (4, 65_536), (5, 1 << 20), (6, 65_536), (7, 16)];
    for (key, value) in least {
        let mut script = Script::silent(Role::Connector, Config::default());
        script.frame(&bare(Kind::SETTINGS, 0, &header(&[(key, value)], &[]))).unwrap();
        for bad in [0, value - 1, 1 << 32, u64::MAX] {
            let mut script = Script::silent(Role::Connector, Config::default());
            script.breaks(&bare(Kind::SETTINGS, 0, &header(&[(key, bad)], &[])), Protocol);
        }
    }
    let mut script = Script::silent(Role::Connector, Config::default());
    script.breaks(&bare(Kind::SETTINGS, 0, &[1, 200, 0]), Protocol);
    // Unknown keys are passed over, and so are the reserved ones.
    let mut script = Script::silent(Role::Connector, Config::default());
    script.frame(&bare(Kind::SETTINGS, 0, &header(&[(200, 1)], &[(9, b"zstd"), (10, b"\x01")]))).unwrap();
}

#[test]
fn the_largest_settings_do_no_harm() {
    let all: Vec<_> = (1..=7).map(|key| (key, u64::from(u32::MAX))).collect();
    let mut script = Script::silent(Role::Acceptor, Config::default());
    script.say(&MAGIC).unwrap();
    script.frame(&bare(Kind::SETTINGS, 0, &header(&all, &[]))).unwrap();
    script.frame(&request(1, b"x")).unwrap();
    // A header whose length does not fit into its two bytes is not cut.
    let mut head = ResponseHead::default();
    head.metadata.insert("much", vec![0; 60_000]).unwrap();
    head.metadata.insert("more", vec![0; 60_000]).unwrap();
    script.wire.respond(script.now, crate::wire::StreamId(1), &head, "".into(), true);
    script.drain();
    assert_eq!(script.refusal(1).code(), Code::ResourceExhausted);
    // One more byte of credit is too many.
    script.breaks(&credit(0, 1), FlowControl);
}

// §6

#[test]
fn streams_rise_and_have_the_parity_of_their_side() {
    for bad in [0, 2, 5, 3, 1] {
        let mut script = Script::server();
        script.frame(&request(5, b"x")).unwrap();
        script.breaks(&request(bad, b"x"), Protocol);
    }
    let mut script = Script::client();
    script.breaks(&request(1, b"x"), Protocol);
    let mut script = Script::server();
    script.frame(&request(u64::MAX, b"x")).unwrap();
    script.breaks(&request(u64::MAX, b"x"), Protocol);
}

#[test]
fn a_binding_is_the_next_number_and_used_after_it_was_made() {
    let bind = |stream, number, name: &[u8]| {
        Frame::new(Kind::REQUEST, END, stream, &header(&[(1, number)], &[(2, name)]), &[])
    };
    let by_number =
        |stream, number| Frame::new(Kind::REQUEST, END, stream, &header(&[(1, number)], &[]), &[]);
    for bad in [1, 7, 1 << 31, u64::MAX] {
        Script::server().breaks(&bind(1, bad, b"a.B/c"), Protocol);
        Script::server().breaks(&by_number(1, bad), Protocol);
    }
    let mut script = Script::server();
    script.frame(&bind(1, 0, b"a.B/c")).unwrap();
    script.frame(&by_number(3, 0)).unwrap();
    assert_eq!(script.wire.method_name(0), Some("a.B/c"));
    script.breaks(&bind(5, 0, b"a.B/other"), Protocol);
    // The table is full.
    let mut script = Script::with(Role::Acceptor, Config { max_methods: 16, ..Config::default() });
    for number in 0..16 {
        script.frame(&bind(1 + 2 * number, number, format!("a.B/{number}").as_bytes())).unwrap();
    }
    script.breaks(&bind(99, 16, b"a.B/more"), Protocol);
}

#[test]
fn a_binding_holds_even_if_its_request_is_refused() {
    let mut script = Script::server();
    // Metadata that is malformed.
    let head = header(&[(1, 0)], &[(2, b"a.B/c"), (34, b"\x05ab")]);
    script.frame(&Frame::new(Kind::REQUEST, END, 1, &head, &[])).unwrap();
    assert_eq!(script.refusal(1).code(), Code::InvalidArgument);
    script.frame(&Frame::new(Kind::REQUEST, END, 3, &header(&[(1, 0)], &[]), &[])).unwrap();
    assert_eq!(script.requests().len(), 1);
}

#[test]
fn a_request_that_cannot_be_read_is_answered() {
    let many: Vec<u8> = (0..129).flat_map(|_| header(&[], &[(34, b"\x01ax")])).collect();
    let name = header(&[], &[(2, b"a.B/c")]);
    let headers: Vec<Vec<u8>> = vec![
        vec![],
        header(&[(3, 0)], &[]),
        header(&[], &[(2, b"\xFF\xFE")]),
        header(&[], &[(2, &[b'x'; 513])]),
        [&name[..], &[3, 200, 1]].concat(),
        [&name[..], &[4, 255, 9]].concat(),
        [&name[..], &header(&[], &[(4, &[1; 9])])].concat(),
        [&name[..], &header(&[(3, 256)], &[])].concat(),
        [&name[..], &header(&[(33, 1)], &[])].concat(),
        [&name[..], &header(&[], &[(34, b"\x01Ax")])].concat(),
        [&name[..], &header(&[], &[(34, b"")])].concat(),
        [&name[..], &many].concat(),
    ];
    let mut script = Script::server();
    for (index, head) in headers.iter().enumerate() {
        let stream = 1 + 2 * index as u64;
        script.frame(&Frame::new(Kind::REQUEST, END, stream, head, b"body")).unwrap();
        let status = script.refusal(stream);
        assert_eq!(status.code(), Code::InvalidArgument, "{head:?}");
        assert_eq!(status.certainty(), Certainty::NotExecuted);
    }
    assert!(script.events.is_empty());
    // Unknown keys are passed over.
    let head = [&name[..], &header(&[(60, 1), (255, u64::MAX)], &[(100, &[0; 300])])].concat();
    script.frame(&Frame::new(Kind::REQUEST, END, 99, &head, b"body")).unwrap();
    assert_eq!(script.requests().len(), 1);
}

#[test]
fn time_limits_at_their_ends() {
    let mut script = Script::server();
    for (index, micros) in [0, 1, 1000, u64::MAX].into_iter().enumerate() {
        let head = header(&[(4, micros)], &[(2, b"a.B/c")]);
        script.frame(&Frame::new(Kind::REQUEST, END, 1 + 2 * index as u64, &head, b"x")).unwrap();
    }
    let refused = script.refusal(1);
    assert_eq!((refused.code(), refused.certainty()), (Code::DeadlineExceeded, Certainty::NotExecuted));
    assert_eq!(script.requests().len(), 3);
    script.wait(Duration::from_millis(5));
    let overdue: Vec<_> = script
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Overdue { stream } => Some(stream.0),
            _ => None,
        })
        .collect();
    assert_eq!(overdue.len(), 2, "a microsecond is not for ever: {overdue:?}");
    // A point in time where this side does not know the time of day counts as none.
    let head = header(&[(5, 1)], &[(2, b"a.B/c")]);
    script.frame(&Frame::new(Kind::REQUEST, END, 99, &head, b"x")).unwrap();
    assert_eq!(script.requests().len(), 4);
}

#[test]
fn a_oneway_request_is_one_message_and_needs_credit() {
    let mut script = Script::server();
    script.breaks(&Frame::new(Kind::REQUEST, ONEWAY, 1, &header(&[], &[(2, b"a.B/c")]), &[]), Protocol);
    let mut script = Script::server();
    let mut sent = 0;
    let error = loop {
        let mut frame = request(1 + 2 * sent, b"");
        frame.flags |= ONEWAY;
        match script.frame(&frame) {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        script.events.clear();
        if sent % 4000 == 0 {
            assert!(script.wire.snapshot().serving <= (1 << 20) / 64);
        }
    };
    assert_eq!((error.code, sent), (FlowControl, (1 << 20) / 64));
}

#[test]
fn more_calls_than_may_be_open_are_answered() {
    let mut script = Script::with(Role::Acceptor, Config { max_streams: 16, ..Config::default() });
    for index in 0..20 {
        script.frame(&request(1 + 2 * index, b"x")).unwrap();
    }
    assert_eq!(script.requests().len(), 16);
    for index in 16..20 {
        let status = script.refusal(1 + 2 * index);
        assert_eq!((status.code(), status.certainty()), (Code::ResourceExhausted, Certainty::NotExecuted));
    }
    // A cancelled call counts until its handler is gone.
    script.out.clear();
    for index in 0..16 {
        script.frame(&bare(Kind::CANCEL, 1 + 2 * index, &[0])).unwrap();
    }
    script.frame(&request(101, b"x")).unwrap();
    assert_eq!(script.refusal(101).code(), Code::ResourceExhausted);
}

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
                script.wire.respond(script.now, incoming.stream, &head, reply.into(), true);
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
    let body = vec![0; 60_000].into();
    let opened = script.wire.open(script.now, super::pair::head(0), body, open);
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
            "".into(),
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
