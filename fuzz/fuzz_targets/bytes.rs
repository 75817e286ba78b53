//! Raw bytes into both roles: behind a good handshake, in pieces, as whole frames of random prefix, and as they are.
//! No panic, sums that add up, and no more memory than was sent.
#![cfg_attr(feature = "libfuzzer", no_main)]

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rpc_core::wire::connection::Open;
use rpc_core::wire::frame::MAGIC;
use rpc_core::wire::{Config, Connection, Event, Prefix, RequestHead, ResponseHead, Role, Token, Transmit};

fn one(data: &[u8]) {
    let Some((&mode, data)) = data.split_first() else { return };
    let role = if mode & 1 == 0 { Role::Connector } else { Role::Acceptor };
    let mut now = Instant::now();
    let config = Config { max_message: 1 << 20, max_buffered: 4 << 20, max_streams: 64, ..Config::default() };
    let mut wire = Connection::new(role, config, now);
    let mut input = BytesMut::new();
    if mode & 2 == 0 {
        if role == Role::Acceptor {
            input.extend_from_slice(&MAGIC);
        }
        input.extend_from_slice(&Prefix { kind: 1, flags: 0, header: 0, body: 0, stream: 0 }.to_bytes());
    }
    for token in 0..u32::from(mode >> 2 & 7) {
        let head = RequestHead { method: token, path: "a.B/c", ..RequestHead::default() };
        let open = Open { token: Token(token), oneway: false, end: token % 2 == 0 };
        let _ = wire.open(now, &head, vec![0; token as usize * 40_000][..].into(), open);
    }
    let mut out = Transmit::default();
    let (mut fed, mut rest) = (0, data);
    while !rest.is_empty() {
        let piece;
        if mode & 0x20 == 0 {
            // A frame: small numbers for its prefix, the rest of the data for what is in it.
            let prefix;
            (prefix, rest) = rest.split_at(rest.len().min(6));
            let byte = |index: usize| prefix.get(index).copied().unwrap_or(0);
            let header = usize::from(byte(2)).min(rest.len());
            let (head, tail) = rest.split_at(header);
            rest = tail;
            let body = usize::from(byte(3)) * usize::from(byte(4));
            let kind = if byte(0) & 0x80 == 0 { byte(0) % 12 } else { byte(0) };
            let stream = u64::from(byte(5) % 40);
            let flags = byte(1) % 8;
            let prefix = Prefix { kind, flags, header: header as u16, body: body as u32, stream };
            input.extend_from_slice(&prefix.to_bytes());
            input.extend_from_slice(head);
            input.resize(input.len() + body, 7);
            fed += 16 + header + body;
        } else {
            (piece, rest) = rest.split_at(rest.len().min(1 + usize::from(mode)));
            input.extend_from_slice(piece);
            fed += piece.len();
        }
        let ended = wire.handle_bytes(now, &mut input).is_err();
        while let Some(event) = wire.poll_event() {
            match event {
                Event::Request(request) => {
                    let body = Bytes::from(vec![1; request.body.len() * 3]);
                    match request.body.len() % 4 {
                        0 => wire.respond(now, request.stream, &ResponseHead::default(), (&body).into(), true),
                        1 => wire.respond(now, request.stream, &ResponseHead::default(), (&body).into(), false),
                        2 => wire.close(request.stream),
                        _ => {}
                    }
                }
                Event::Item { stream, body, .. } => {
                    wire.release(stream, body.len());
                    let _ = wire.send_item(now, stream, body, false);
                }
                Event::Ended { stream, head: None, .. } => wire.finish(now, stream, None),
                Event::Cancelled { stream, .. } => wire.close(stream),
                _ => {}
            }
        }
        wire.check().expect("sums");
        assert!(wire.snapshot().buffered <= 2 * (4 << 20) + 64 * (128 << 10) + 4 * fed);
        assert!(wire.unwritten() <= 64 * 1024 + 400_000 + 60 * fed, "{} of {fed}", wire.unwritten());
        if mode & 0x40 == 0 && wire.poll_transmit(now, &mut out) {
            wire.written(out.len());
            out.advance(out.len());
        }
        now += Duration::from_millis(u64::from(mode >> 6));
        let _ = wire.handle_timeout(now);
        if ended {
            break;
        }
    }
}

courier_fuzz::target!(one);
