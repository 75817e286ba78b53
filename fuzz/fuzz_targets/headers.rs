//! Any bytes as the header of a frame of each kind: read, answered or an error, and never a panic.
#![cfg_attr(feature = "libfuzzer", no_main)]

use std::time::Instant;

use bytes::BytesMut;
use rpc_core::wire::connection::Open;
use rpc_core::wire::frame::MAGIC;
use rpc_core::wire::out::Body;
use rpc_core::wire::{Config, Connection, Kind, Prefix, RequestHead, Role, Token};

fn one(data: &[u8]) {
    let now = Instant::now();
    let settings = Prefix { kind: 1, flags: 0, header: 0, body: 0, stream: 0 }.to_bytes();
    for role in [Role::Connector, Role::Acceptor] {
        for kind in 1..=10 {
            for flags in [0, 1, 2, 3, 5, 7] {
                if Kind(kind).flags().is_none_or(|may| flags & !may != 0) {
                    continue;
                }
                let mut wire = Connection::new(role, Config::default(), now);
                wire.set_unix_time(1 << 50);
                let mut input = BytesMut::new();
                if role == Role::Acceptor {
                    input.extend_from_slice(&MAGIC);
                }
                if kind != 1 {
                    input.extend_from_slice(&settings);
                }
                let head = RequestHead { path: "a.B/c", ..RequestHead::default() };
                let open = Open { token: Token(0), oneway: false, end: true };
                let _ = wire.open(now, &head, Body::default(), open);
                let data = &data[..data.len().min(16 * 1024)];
                let stream = match Kind(kind) {
                    Kind::SETTINGS | Kind::PING | Kind::PONG | Kind::DRAIN => 0,
                    Kind::REQUEST if role == Role::Connector => 2,
                    _ => 1,
                };
                let prefix = Prefix { kind, flags, header: data.len() as u16, body: 0, stream };
                input.extend_from_slice(&prefix.to_bytes());
                input.extend_from_slice(data);
                let _ = wire.handle_bytes(now, &mut input);
                while wire.poll_event().is_some() {}
                wire.check().expect("sums");
            }
        }
    }
}

courier_fuzz::target!(one);
