//! [`Answers`]: what a round's handlers have answered, on its way from them to the state machine.

use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;

use crate::wire::out::Body;
use crate::wire::{Connection, ResponseHead, StreamId};

/// The answers to calls that were complete at once, in order.
#[derive(Default)]
pub(crate) struct Answers {
    list: Vec<Answer>,
    /// The bodies that were encoded one after the other. Each is copied once more as it is written: for a small one that
    /// is less than to share a buffer.
    bodies: Vec<u8>,
}

struct Answer {
    stream: StreamId,
    /// `None` for a oneway call.
    reply: Option<(ResponseHead, ReplyBody)>,
}

enum ReplyBody {
    Own(Bytes),
    /// Where it lies among the bodies.
    Among(Range<usize>),
}

impl Answers {
    /// Whether there are none yet in this round.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds an answer; `None` closes the call without a word.
    pub(crate) fn push(&mut self, stream: StreamId, reply: Option<(ResponseHead, Bytes)>) {
        let reply = reply.map(|(head, body)| (head, ReplyBody::Own(body)));
        self.list.push(Answer { stream, reply });
    }

    /// The same, with a body of which a copy is taken.
    #[inline]
    pub(crate) fn push_encoded(&mut self, stream: StreamId, head: Option<ResponseHead>, body: &[u8]) {
        let reply = head.map(|head| {
            let from = self.bodies.len();
            self.bodies.extend_from_slice(body);
            (head, ReplyBody::Among(from..self.bodies.len()))
        });
        self.list.push(Answer { stream, reply });
    }

    /// Gives all to the state machine.
    pub(super) fn send(&mut self, wire: &mut Connection, at: Instant) {
        for Answer { stream, reply } in self.list.drain(..) {
            match reply {
                Some((head, ReplyBody::Among(range))) => {
                    let body = self.bodies.get(range).unwrap_or_default();
                    wire.respond(at, stream, &head, Body::from(body), true);
                }
                Some((head, ReplyBody::Own(body))) => {
                    wire.respond(at, stream, &head, Body::from(&body), true);
                }
                None => wire.close(stream),
            }
        }
        self.bodies.clear();
    }
}
