//! Golden bytes: `tests/vectors/frames.txt` at the top of the repository. The encoder must make them, the decoder must
//! understand them, and docs/PROTOCOL.md must show them.
//!
//! `BLESS=1 cargo test -p rpc-core --lib wire::tests::vectors` writes the file anew, which is right only if the wire is
//! meant to change.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use bytes::BytesMut;

use super::pair::head;
use super::script::Frame;
use crate::metadata::Metadata;
use crate::status::{Certainty, Hop, Status};
use crate::wire::connection::Open;
use crate::wire::field::Reader;
use crate::wire::frame::MAGIC;
use crate::wire::out::Body;
use crate::wire::{
    CancelReason, Config, Connection, Event, Kind, Opened, RequestHead, ResponseHead, Role, StreamId, Token,
    Transmit,
};

const FILE: &str = "tests/vectors/frames.txt";
const KINDS: [&str; 11] =
    ["?", "SETTINGS", "REQUEST", "RESPONSE", "DATA", "END", "CANCEL", "CREDIT", "PING", "PONG", "DRAIN"];

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// A frame as the file shows it.
fn show(name: &str, frame: &Frame) -> String {
    let mut out = format!("[{name}]\n");
    if name == "settings" {
        writeln!(out, "{}  # the magic, only from the side that connects", hex(&MAGIC)).unwrap();
    }
    let prefix = &frame.bytes()[..16];
    let kind = KINDS[usize::from(frame.kind)];
    let (flags, header, body) = (frame.flags, frame.header.len(), frame.body.len());
    let line = format!("# {kind}, flags {flags:#04x}, header {header}, body {body}, stream {}", frame.stream);
    writeln!(out, "{}  {line}", hex(prefix)).unwrap();
    if [Kind::CANCEL, Kind::CREDIT, Kind::PING, Kind::PONG].contains(&Kind(frame.kind)) {
        writeln!(out, "{}  # not fields: {}", hex(&frame.header), frame.header[0]).unwrap();
        return out;
    }
    let mut rest = &frame.header[..];
    while !rest.is_empty() {
        let field = Reader::new(rest).next().unwrap().unwrap();
        let length = 2 + field.value.len();
        let text = match std::str::from_utf8(field.value) {
            Ok(text) if text.len() > 1 && text.bytes().all(|byte| (32..127).contains(&byte)) => {
                format!("{text:?}")
            }
            _ => field.number().map_or_else(|| "bytes".to_owned(), |number| number.to_string()),
        };
        writeln!(out, "{}  # key {}: {text}", hex(&rest[..length]), field.key).unwrap();
        rest = &rest[length..];
    }
    if !frame.body.is_empty() {
        let text = String::from_utf8_lossy(&frame.body);
        writeln!(out, "{}  # body: {text:?}", hex(&frame.body)).unwrap();
    }
    out
}

/// The frames by name, made by the encoder.
fn made() -> Vec<(&'static str, Frame)> {
    let now = std::time::Instant::now();
    let mut client = Connection::new(Role::Connector, Config::default(), now);
    let mut server = Connection::new(Role::Acceptor, Config::default(), now);
    let mut frames = Vec::new();
    // What one side says goes to the other, and gets the names that are given.
    let carry = |from: &mut Connection, to: &mut Connection, names: &[&'static str], frames: &mut Vec<_>| {
        let (mut out, mut bytes) = (Transmit::default(), BytesMut::new());
        while from.poll_transmit(now, &mut out) {
            bytes.extend_from_slice(&out.take_all());
        }
        let found = Frame::all(&bytes);
        to.handle_bytes(now, &mut bytes).unwrap();
        assert_eq!(found.len(), names.len(), "{names:?} {found:?}");
        frames.extend(names.iter().copied().zip(found).filter(|(name, _)| !name.is_empty()));
    };
    carry(&mut client, &mut server, &["settings"], &mut frames);
    carry(&mut server, &mut client, &[""], &mut frames);
    carry(&mut client, &mut server, &["ping"], &mut frames);
    carry(&mut server, &mut client, &["pong"], &mut frames);

    let open = |end| Open { token: Token(1), oneway: false, end };
    let mut metadata = Metadata::new();
    metadata.insert("tenant", "blue").unwrap();
    let mut first = RequestHead { metadata: &metadata, ..head(0) };
    first.codec = 1;
    first.attempt = 2;
    first.is_retry = true;
    // Less 2 %: a quarter of a second.
    first.deadline = Some(now + Duration::from_micros(255_102));
    first.trace = Some(b"trace context in 25 bytes");
    client.open(now, &first, br#"{"a":1}"#[..].into(), open(true)).unwrap();
    client.open(now, &head(0), b"hi"[..].into(), open(true)).unwrap();
    client.open(now, &head(0), Body::default(), open(false)).unwrap();
    client.open(now, &head(0), b"log"[..].into(), Open { oneway: true, ..open(true) }).unwrap();
    carry(
        &mut client,
        &mut server,
        &["request", "request_by_number", "request_stream", "request_oneway"],
        &mut frames,
    );
    let mut reply = ResponseHead { queue: 15, ..ResponseHead::default() };
    reply.handler = 300;
    reply.metadata.insert("served-by", "b2").unwrap();
    server.respond(now, StreamId(1), &reply, b"reply"[..].into(), true);
    let mut status = Status::not_found("no user 7").with_certainty(Certainty::Executed);
    status.set_retry_after(Some(Duration::from_millis(1)));
    let mut status = status.with_detail("shop.NoUser", &b"\x08\x07"[..]);
    *status.hops_mut() = vec![Hop {
        method: "a.B/c".into(),
        budget: Duration::from_micros(250_000),
        queue: Some(Duration::from_micros(9)),
        handler: None,
        elapsed: Some(Duration::from_micros(400)),
    }];
    server.respond(now, StreamId(3), &ResponseHead::error(status), Body::default(), true);
    server.respond(now, StreamId(5), &ResponseHead::default(), Body::default(), false);
    server.send_item(now, StreamId(5), "item".into(), false).unwrap();
    server.stop(StreamId(5));
    carry(
        &mut server,
        &mut client,
        &["response", "response_error", "response_stream", "data_item", "stop"],
        &mut frames,
    );
    // That stop has ended the request.
    let Ok(Opened::Stream(id)) = client.open(now, &head(0), b"x"[..].into(), open(true)) else { panic!() };
    client.cancel(now, id, CancelReason::Deadline);
    carry(&mut client, &mut server, &["end", "", "cancel"], &mut frames);
    server.finish(now, StreamId(5), Some(&ResponseHead::error(Status::aborted("enough"))));
    carry(&mut server, &mut client, &["end_of_response"], &mut frames);
    client.open(now, &head(0), [b'.'; 131_073][..].into(), open(true)).unwrap();
    carry(&mut client, &mut server, &["request_in_parts", "", ""], &mut frames);
    carry(&mut server, &mut client, &["credit", "", "credit_of_connection"], &mut frames);
    carry(&mut client, &mut server, &["data_last_part"], &mut frames);
    carry(&mut server, &mut client, &[], &mut frames);
    server.drain(now);
    carry(&mut server, &mut client, &["drain", ""], &mut frames);
    carry(&mut client, &mut server, &[""], &mut frames);
    carry(&mut server, &mut client, &["drain_last"], &mut frames);
    let mut bad = BytesMut::from(&[[0x0B].as_slice(), &[0; 15]].concat()[..]);
    server.handle_bytes(now, &mut bad).unwrap_err();
    let mut out = Transmit::default();
    server.poll_transmit(now, &mut out);
    frames.push(("drain_error", Frame::all(&out.take_all()).remove(0)));
    frames
}

/// The entries of a text in the file's form: names, and what stands below each.
fn entries(text: &str) -> BTreeMap<String, String> {
    let mut entries = BTreeMap::new();
    for block in text.split("\n[").skip(1) {
        let (name, lines) = block.split_once("]\n").unwrap();
        let lines = lines.lines().take_while(|line| !line.is_empty() && !line.starts_with("```"));
        entries.insert(name.to_owned(), lines.collect::<Vec<_>>().join("\n"));
    }
    entries
}

fn bytes_of(lines: &str) -> Vec<u8> {
    let hex = lines.lines().flat_map(|line| line.split('#').next().unwrap_or("").split_whitespace());
    hex.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn the_encoder_makes_the_golden_bytes() {
    let mut text = "# Golden bytes of the protocol, one frame each: see docs/PROTOCOL.md.\n\
         # Hexadecimal; what stands behind a # is for people.\n"
        .to_owned();
    for (name, frame) in made() {
        text.push('\n');
        text.push_str(&show(name, &frame));
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(path(FILE).parent().unwrap()).unwrap();
        std::fs::write(path(FILE), &text).unwrap();
    }
    let golden = std::fs::read_to_string(path(FILE)).unwrap();
    let (golden, made) = (entries(&golden), entries(&text));
    assert_eq!(golden.keys().collect::<Vec<_>>(), made.keys().collect::<Vec<_>>());
    for (name, lines) in &made {
        assert_eq!(bytes_of(lines), bytes_of(&golden[name]), "{name}");
    }
}

#[test]
fn the_decoder_understands_the_golden_bytes() {
    let golden = entries(&std::fs::read_to_string(path(FILE)).unwrap());
    let now = std::time::Instant::now();
    let say = |to: &mut Connection, names: &[&str]| -> Vec<Event> {
        for name in names {
            let mut bytes = BytesMut::from(&bytes_of(&golden[*name])[..]);
            let told = to.handle_bytes(now, &mut bytes);
            assert_eq!(told.is_err(), *name == "drain_error", "{name}: {told:?}");
        }
        std::iter::from_fn(|| to.poll_event()).collect()
    };
    let mut server = Connection::new(Role::Acceptor, Config::default(), now);
    let mut came = say(
        &mut server,
        &["settings", "ping", "request", "request_by_number", "request_stream", "request_oneway"],
    )
    .into_iter()
    .map(|event| match event {
        Event::Request(incoming) => incoming,
        other => panic!("{other:?}"),
    });
    let first = came.next().unwrap();
    assert_eq!((first.stream.0, first.head.codec, first.head.attempt, first.end), (1, 1, 2, true));
    assert_eq!(first.deadline, Some(now + Duration::from_millis(250)));
    assert_eq!((first.head.metadata.get("tenant"), &first.body[..]), (Some("blue"), &b"{\"a\":1}"[..]));
    assert!(first.head.is_retry && first.head.trace == Some(*b"trace context in 25 bytes"));
    assert_eq!(came.next().unwrap().head.number, Some(0));
    assert!(!came.next().unwrap().end);
    assert!(came.next().unwrap().oneway);
    assert!(matches!(&say(&mut server, &["end", "request_in_parts"])[..], [Event::Ended { head: None, .. }]));

    let mut client = Connection::new(Role::Connector, Config::default(), now);
    for (token, end) in [(1, true), (2, true), (3, false)] {
        let open = Open { token: Token(token), oneway: false, end };
        client.open(now, &head(0), Body::default(), open).unwrap();
    }
    // The acceptor's settings are the same, without the magic before them.
    let mut settings = BytesMut::from(&bytes_of(&golden["settings"])[MAGIC.len()..]);
    client.handle_bytes(now, &mut settings).unwrap();
    let names = [
        "pong",
        "response",
        "response_error",
        "response_stream",
        "data_item",
        "stop",
        "end_of_response",
        "credit_of_connection",
        "drain",
        "drain_last",
        "drain_error",
    ];
    let events = say(&mut client, &names);
    let [
        Event::Response { head: reply, body, end: true, .. },
        Event::Response { head: error, .. },
        Event::Response { end: false, .. },
        Event::Item { body: item, .. },
        Event::Sendable { .. },
        Event::Ended { head: Some(ended), .. },
        Event::Draining,
    ] = &events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!((&body[..], reply.metadata.get("served-by")), (&b"reply"[..], Some("b2")));
    assert_eq!((reply.queue, reply.handler), (15, 300));
    let status = error.status.as_ref().unwrap();
    assert_eq!((status.message(), status.certainty()), ("no user 7", Certainty::Executed));
    assert_eq!((status.details().len(), status.hops()[0].queue), (1, Some(Duration::from_micros(9))));
    assert_eq!((&item[..], ended.status.as_ref().unwrap().message()), (&b"item"[..], "enough"));
    assert!(client.error().unwrap().by_peer);
}

#[test]
fn the_protocol_text_shows_the_golden_bytes() {
    let golden = entries(&std::fs::read_to_string(path(FILE)).unwrap());
    let shown = entries(&std::fs::read_to_string(path("docs/PROTOCOL.md")).unwrap());
    for (name, lines) in &shown {
        assert_eq!(Some(lines), golden.get(name), "{name}");
    }
    for kind in &KINDS[1..] {
        assert!(shown.values().any(|lines| lines.contains(&format!("# {kind},"))), "no {kind}");
    }
}
