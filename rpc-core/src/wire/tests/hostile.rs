//! Every rule of PROTOCOL.md up to §6, broken by a scripted peer: the right code, bounded memory, no panic.

use std::time::Duration;

use super::script::{Frame, Script, bare, credit, header, request};
use crate::status::{Certainty, Code};
use crate::wire::frame::MAGIC;
use crate::wire::out::Body;
use crate::wire::{Config, ErrorCode, Event, Kind, Prefix, ResponseHead, Role};

use ErrorCode::{BadMagic, FlowControl, Protocol, TooLarge};

const END: u8 = 1;
const MORE: u8 = 2;
const ONEWAY: u8 = 4;

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
    script.wire.respond(script.now, crate::wire::StreamId(1), &head, Body::default(), true);
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
