//! Random operations on a pair: each byte string is a story of calls, items, answers, cancels, drains and a link that
//! carries what it likes. What must hold is looked at after each step, and at the end nothing may be left.
//!
//! Only what is public is used: the fuzzers compile this file too.

use std::time::Duration;

use bytes::Bytes;

use super::Metadata;
use super::pair::{CLIENT, Pair, SERVER, head};
use super::wire::connection::{Open, PendingId};
use super::wire::{CancelReason, Config, Event, Opened, ResponseHead, StreamId, Token};

/// What is known of one side's streams.
#[derive(Default)]
struct Known {
    /// Our calls that are under way or wait, by token.
    calls: Vec<(Token, Place)>,
    /// The peer's calls that wait for an answer.
    serving: Vec<(StreamId, bool)>,
    /// Items that have not been read.
    unread: Vec<(StreamId, usize)>,
    next: u32,
}

enum Place {
    Stream(StreamId),
    Pending(PendingId),
}

/// Reads choices from bytes; when they are used up, everything is the first choice.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn byte(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }

    fn of(&mut self, count: usize) -> usize {
        self.byte() % count.max(1)
    }

    fn length(&mut self) -> usize {
        let fine = self.byte();
        [
            0,
            fine,
            1000 + fine,
            9000 + fine,
            64 * 1024 + fine,
            128 * 1024 - 128 + fine,
            200_000,
            300_000 + fine * 3000,
        ][self.of(8)]
    }
}

/// Small limits, so that each is met.
fn config(choices: &mut Choices<'_>) -> Config {
    let choice = choices.byte();
    let pick = |bit: usize, one: u32, other: u32| if choice >> bit & 1 == 0 { one } else { other };
    Config {
        max_message: 1 << 20,
        max_streams: pick(0, 16, 64),
        stream_credit: pick(1, 64 * 1024, 128 * 1024),
        connection_credit: pick(2, 1 << 20, 8 << 20),
        oneway_credit: 64 * 1024,
        max_methods: 16,
        max_buffered: pick(3, 2 << 20, 16 << 20) as usize,
        max_pending: 20,
        keepalive_interval: (choice >> 4 & 1 == 0).then_some(Duration::from_secs(5)),
        ..Config::default()
    }
}

fn take_events(pair: &mut Pair, known: &mut [Known; 2]) {
    for side in [CLIENT, SERVER] {
        while let Some(event) = pair.event(side) {
            let known = &mut known[side];
            match event {
                Event::Request(request) => {
                    assert!(!known.serving.iter().any(|(id, _)| *id == request.stream));
                    known.serving.push((request.stream, false));
                }
                Event::Response { token, end, .. } => {
                    let place = known.calls.iter().position(|(known, _)| *known == token);
                    let place = place.expect("a response to a call that is under way");
                    if end {
                        known.calls.swap_remove(place);
                    }
                }
                Event::Item { stream, body, .. } => known.unread.push((stream, body.len())),
                Event::Ended { token, head: Some(_), .. }
                | Event::Handed { token }
                | Event::Failed { token, .. }
                | Event::Expired { token } => {
                    let place = known.calls.iter().position(|(known, _)| *known == token);
                    known.calls.swap_remove(place.expect("the end of a call that is under way"));
                }
                Event::Opened { token, stream } => {
                    let call = known.calls.iter_mut().find(|(known, _)| *known == token);
                    call.expect("a call that waits").1 = Place::Stream(stream);
                }
                Event::Cancelled { stream, .. } | Event::Overdue { stream } => {
                    assert!(known.serving.iter().any(|(id, _)| *id == stream), "the handler is still there");
                }
                Event::Ended { head: None, .. } | Event::Sendable { .. } | Event::Draining => {}
            }
        }
    }
}

/// Plays the story that these bytes tell.
pub(crate) fn play(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let choices = &mut choices;
    let mut pair = Pair::strangers(config(choices), config(choices));
    let far = Duration::from_millis(choices.of(4) as u64 * 10);
    pair.latency(far, far / 2);
    let mut known = <[Known; 2]>::default();
    while !choices.0.is_empty() {
        step(&mut pair, &mut known, choices);
        take_events(&mut pair, &mut known);
    }
    finish(&mut pair, &mut known);
}

fn step(pair: &mut Pair, known: &mut [Known; 2], choices: &mut Choices<'_>) {
    let (side, now) = (choices.of(2), pair.now);
    let other = 1 - side;
    let wire = &mut pair.sides[side].wire;
    let mine = &mut known[side];
    let stream = |known: &Known, choice: usize| match known.calls.get(choice % known.calls.len().max(1)) {
        Some((_, Place::Stream(id))) => Some(*id),
        _ => None,
    };
    match choices.of(16) {
        0 => pair.run(),
        1..=3 => {
            let (oneway, end) = (choices.of(5) == 0, choices.of(3) != 0);
            let mut metadata = Metadata::new();
            let mut head = head(choices.of(20) as u32);
            if choices.of(6) == 0 {
                head.deadline = Some(now + Duration::from_millis(choices.byte() as u64));
            }
            if choices.of(9) == 0 {
                let much = [100, 3000, 10_000, 20_000][choices.of(4)];
                metadata.insert("much", vec![0; much]).expect("a good name");
            }
            head.metadata = &metadata;
            let token = Token(mine.next);
            mine.next += 1;
            let body = vec![0; choices.length()];
            match wire.open(now, &head, body[..].into(), Open { token, oneway, end }) {
                Ok(Opened::Stream(id)) => mine.calls.push((token, Place::Stream(id))),
                Ok(Opened::Pending(id)) => mine.calls.push((token, Place::Pending(id))),
                Ok(Opened::Handed) | Err(_) => {}
            }
        }
        4..=6 => {
            let place = choices.of(mine.serving.len());
            let Some((id, answered)) = mine.serving.get_mut(place) else { return };
            let (id, end) = (*id, choices.of(3) != 0);
            if *answered {
                wire.finish(now, id, choices.of(2).eq(&0).then(ResponseHead::default).as_ref());
                mine.serving.swap_remove(place);
                return;
            }
            wire.respond(now, id, &ResponseHead::default(), vec![0; choices.length()][..].into(), end);
            if end {
                mine.serving.swap_remove(place);
            } else {
                *answered = true;
            }
        }
        7 => {
            let place = choices.of(mine.serving.len());
            if place < mine.serving.len() {
                wire.close(mine.serving.swap_remove(place).0);
            }
        }
        8 => {
            let place = choices.of(mine.calls.len());
            if place < mine.calls.len() {
                match mine.calls.swap_remove(place).1 {
                    Place::Stream(id) => wire.cancel(now, id, CancelReason::Dropped),
                    Place::Pending(id) => wire.cancel_pending(now, id),
                }
            }
        }
        9 | 10 => {
            let id = if choices.of(2) == 0 {
                stream(mine, choices.byte())
            } else {
                mine.serving.get(choices.of(mine.serving.len())).map(|(id, _)| *id)
            };
            let (length, end) = (choices.length(), choices.of(6) == 0);
            if let Some(id) = id {
                let _ = wire.send_item(now, id, Bytes::from(vec![0; length]), end);
            }
        }
        11 => {
            let choice = choices.byte();
            if let Some(id) = stream(mine, choice) {
                wire.finish(now, id, None);
            }
        }
        12 => {
            for _ in 0..=choices.of(4) {
                let place = choices.of(mine.unread.len());
                if place < mine.unread.len() {
                    let (id, length) = mine.unread.remove(place);
                    wire.release(id, length);
                }
            }
        }
        13 => pair.wait(Duration::from_millis(choices.byte() as u64)),
        14 => pair.sides[side].room = [0, 100, 100_000, usize::MAX][choices.of(4)],
        _ => match choices.of(12) {
            0 => wire.drain(now),
            1 => pair.cut(),
            2..=4 => pair.piece = [50, 700, 20_000][choices.of(3)],
            5 | 6 => {
                // A handler that goes on, and reads no more; now and then it says so twice, or of what has ended.
                if let Some((id, _)) = mine.serving.get(choices.of(mine.serving.len())) {
                    wire.stop(*id);
                }
            }
            _ => {
                // One delivery, and no more.
                pair.sides[other].room = usize::MAX;
                pair.deliver();
                pair.check();
            }
        },
    }
}

/// Ends whatever is open; nothing may be left of it.
fn finish(pair: &mut Pair, known: &mut [Known; 2]) {
    pair.piece = usize::MAX;
    for side in [CLIENT, SERVER] {
        pair.sides[side].room = usize::MAX;
    }
    for _ in 0..1000 {
        pair.run();
        take_events(pair, known);
        let now = pair.now;
        for side in [CLIENT, SERVER] {
            let wire = &mut pair.sides[side].wire;
            for (id, length) in known[side].unread.drain(..) {
                wire.release(id, length);
            }
            for (id, answered) in known[side].serving.drain(..) {
                if answered {
                    wire.finish(now, id, None);
                } else {
                    wire.respond(now, id, &ResponseHead::default(), b"last"[..].into(), true);
                }
            }
            // A stream whose requests never end is answered all the same; one that waits for it is given up.
            if let Some(place) =
                known[side].calls.iter().position(|(_, place)| matches!(place, Place::Stream(_)))
                && pair.is_quiet()
                && known.iter().all(|known| known.serving.is_empty())
            {
                let wire = &mut pair.sides[side].wire;
                if let Place::Stream(id) = known[side].calls.swap_remove(place).1 {
                    wire.cancel(now, id, CancelReason::Superseded);
                }
            }
        }
        if known.iter().all(|known| known.calls.is_empty() && known.serving.is_empty()) && pair.is_quiet() {
            break;
        }
    }
    pair.run();
    take_events(pair, known);
    let lost = pair.sides.iter().any(|side| side.wire.error().is_some());
    if let (Some(error), false) = (pair.sides.iter().find_map(|side| side.wire.error()), was_cut(pair)) {
        panic!("one of them found fault with the other: {error}");
    }
    if !lost {
        assert!(known.iter().all(|known| known.calls.is_empty()), "a call that never ends");
        pair.assert_clean();
    }
}

/// Whether the connection ended because the link did.
fn was_cut(pair: &Pair) -> bool {
    let code = |side: usize| pair.sides[side].wire.error().map(|error| error.code);
    use super::wire::ErrorCode::{Timeout, Transport};
    [CLIENT, SERVER].iter().any(|side| matches!(code(*side), Some(Transport | Timeout)))
}
