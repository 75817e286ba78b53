//! What holds for all heads, all splits and all stories.

use std::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;

use super::operations::play;
use super::pair::{CLIENT, Pair};
use crate::metadata::Metadata;
use crate::status::{Certainty, Code, Hop, Status};
use crate::wire::field::{Reader, put_bytes, put_number};
use crate::wire::head::{RequestFields, TimeLimit};
use crate::wire::method::Naming;
use crate::wire::{Config, Connection, Prefix, RequestHead, ResponseHead, Role, Transmit};

fn metadata() -> impl Strategy<Value = Metadata> {
    prop::collection::vec(("[a-z0-9._-]{1,128}", prop::collection::vec(any::<u8>(), 0..400)), 0..6).prop_map(
        |entries| {
            let mut metadata = Metadata::new();
            for (name, value) in entries {
                metadata.append(&name, value).unwrap();
            }
            metadata
        },
    )
}

fn micros() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0), 1..1000_u64, any::<u64>()].prop_map(Duration::from_micros)
}

fn status() -> impl Strategy<Value = Status> {
    let hop = ("[ -~]{0,80}", micros(), prop::option::of(micros())).prop_map(|(method, budget, queue)| Hop {
        method,
        // The largest is taken by "not known" and its neighbour.
        budget: budget.min(Duration::from_micros(u64::MAX - 1)),
        queue: queue.map(|queue| queue.min(Duration::from_micros(u64::MAX - 1))),
        handler: None,
        elapsed: Some(Duration::from_micros(7)),
    });
    let detail = ("[A-Za-z.]{0,255}", prop::collection::vec(any::<u8>(), 0..300));
    let parts = (
        1..=16_u8,
        0..4_u8,
        "\\PC{0,200}",
        prop::option::of(micros()),
        prop::collection::vec(detail, 0..3),
        prop::collection::vec(hop, 0..4),
        metadata(),
    );
    parts.prop_map(|(code, certainty, message, retry, details, hops, metadata)| {
        let mut status = Status::new(Code::from_number(code), message);
        status.set_certainty(Certainty::from_number(certainty));
        status.set_retry_after(retry);
        for (name, value) in details {
            status = status.with_detail(name, value);
        }
        *status.hops_mut() = hops;
        status.set_metadata(metadata);
        status
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prefixes_come_back(bytes in any::<[u8; 16]>()) {
        prop_assert_eq!(Prefix::parse(&bytes).to_bytes(), bytes);
    }

    #[test]
    fn fields_come_back(fields in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..700)), 0..8)) {
        let mut out = BytesMut::new();
        fields.iter().for_each(|(key, value)| put_bytes(&mut out, *key, value));
        let read: Vec<_> = Reader::new(&out).map(|field| field.unwrap()).map(|field| (field.key, field.value.to_vec())).collect();
        prop_assert_eq!(read, fields);
    }

    #[test]
    fn numbers_come_back(key: u8, number: u64) {
        let mut out = BytesMut::new();
        put_number(&mut out, key, number);
        prop_assert_eq!(Reader::new(&out).next().unwrap().unwrap().number(), Some(number));
    }

    #[test]
    fn headers_of_any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        RequestFields::default().decode(&bytes, 128);
        let _ = ResponseHead::default().decode(&bytes, 128);
    }

    #[test]
    fn request_heads_come_back(
        codec: u8, attempt: u32, is_retry: bool, trace in prop::option::of(any::<[u8; 25]>()),
        metadata in metadata(), number in 0..1000_u32, left: u64,
    ) {
        let (deadline, remaining) = (None, None);
        let head =
            RequestHead { method: 1, path: "a.B/c", codec, deadline, remaining, attempt, is_retry, trace: trace.as_ref(), metadata: &metadata };
        for (naming, bound, named) in
            [(Naming::Number(number), true, false), (Naming::Bind(number), true, true), (Naming::Name, false, true)]
        {
            let mut out = BytesMut::new();
            head.encode(naming, TimeLimit::Remaining(left), &mut out);
            prop_assert!(out.len() <= head.size_hint());
            let mut fields = RequestFields::default();
            fields.decode(&out, 128);
            prop_assert!(fields.refused.is_none());
            prop_assert_eq!(fields.number, bound.then_some(u64::from(number)));
            prop_assert_eq!(fields.head.name.as_deref(), named.then_some("a.B/c"));
            prop_assert_eq!(fields.limit, TimeLimit::Remaining(left));
            prop_assert_eq!((fields.head.codec, fields.head.attempt, fields.head.is_retry), (codec, attempt, is_retry));
            prop_assert_eq!(fields.head.trace, trace);
            prop_assert_eq!(&fields.head.metadata, head.metadata);
        }
    }

    #[test]
    fn response_heads_come_back(queue: u64, handler: u64, status in status(), ok: bool, metadata in metadata()) {
        let mut head = ResponseHead { status: None, queue, handler, metadata };
        if !ok {
            head.metadata = Metadata::new();
            head.status = Some(status);
        }
        let mut out = BytesMut::new();
        head.encode(&mut out);
        prop_assert!(out.len() <= head.size_hint(), "{} {}", out.len(), head.size_hint());
        let mut read = ResponseHead::default();
        read.decode(&out, 128).unwrap();
        prop_assert_eq!((read.queue, read.handler, &read.metadata), (queue, handler, &head.metadata));
        let (Some(read), Some(sent)) = (&read.status, &head.status) else {
            prop_assert!(ok && read.status.is_none());
            return Ok(());
        };
        prop_assert_eq!((read.code(), read.message(), read.certainty()), (sent.code(), sent.message(), sent.certainty()));
        prop_assert_eq!((read.retry_after(), read.metadata()), (sent.retry_after(), sent.metadata()));
        prop_assert_eq!(format!("{:?} {:?}", read.details(), read.hops()), format!("{:?} {:?}", sent.details(), sent.hops()));
    }

    #[test]
    fn any_split_of_the_bytes_gives_the_same_events(cuts in prop::collection::vec(1..3000_usize, 1..60)) {
        let (now, bytes) = recorded();
        let whole = events(now, [&bytes[..]]);
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(events(now, pieces), whole);
    }

    #[test]
    fn any_story_ends_well(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        play(&bytes);
    }
}

/// What a client says in a connection on which much happens.
fn recorded() -> (std::time::Instant, Vec<u8>) {
    let mut pair = Pair::strangers(Config::default(), Config::default());
    let now = pair.now;
    let mut bytes = Vec::new();
    let mut take = |pair: &mut Pair| {
        let mut out = Transmit::default();
        while pair.client().poll_transmit(now, &mut out) {
            bytes.extend_from_slice(&out.take_all());
        }
    };
    let cancelled = pair.call(CLIENT, 1, "small");
    let stream = pair.stream(CLIENT, 2);
    for item in 0..5 {
        let _ = pair.client().send_item(now, stream, vec![item; usize::from(item) * 500].into(), false);
    }
    pair.call(CLIENT, 3, vec![9; 50_000]);
    take(&mut pair);
    pair.cancel(CLIENT, cancelled);
    pair.client().finish(now, stream, None);
    pair.client().drain(now);
    take(&mut pair);
    (now, bytes)
}

/// What a server makes of these bytes.
fn events<'a>(now: std::time::Instant, pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut server = Connection::new(Role::Acceptor, Config::default(), now);
    let (mut input, mut events) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        server.handle_bytes(now, &mut input).unwrap();
        while let Some(event) = server.poll_event() {
            events.push(format!("{event:?}"));
        }
    }
    assert!(input.is_empty() && server.missing(&input) == 16);
    events
}

#[test]
fn stories_of_seeded_chance_end_well() {
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..15 {
        let story: Vec<u8> = (0..random.usize(..800)).map(|_| random.u8(..)).collect();
        play(&story);
    }
}
