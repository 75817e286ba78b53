//! What bulk leaves to small calls, where both are on one connection (§8.5).
//!
//! A small call waits for all that is in front of it: what lies in the out-buffer, what the sockets have swallowed, what
//! the peer has read and not yet looked at. Nothing of that can be overtaken, so little of it may be large messages or
//! items of streams:
//!
//! ```text
//!   items ----.
//!              >-- out-buffer ----- sockets ----- peer
//!   calls ----'    | OUT_BESIDE |
//!   parts --------------------------------------------
//!                  |<---- ITEMS_WINDOW: items ------>|   while calls are under way
//!                  |<---- PARTS_WINDOW: parts ------>|   while small messages are
//! ```
//!
//! How much is on its way is known from the credit of the connection, which comes back as soon as bytes have come.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::frame::ITEM_COST;
use super::Connection;

/// How many bytes of large messages may be unacknowledged while small ones are under way (§8.5)…
const PARTS_WINDOW: u32 = 128 * 1024;

/// …and how many of items, with what each costs beside its length, while calls are…
const ITEMS_WINDOW: u32 = 64 * 1024;

/// …or so many for each microsecond of a round trip, if that is more: a long way is to be filled, and what a call waits
/// for is then nothing beside what it is under way.
const RATE: u32 = 32;

/// No items are added to an out-buffer that holds so many bytes while calls are under way…
const OUT_BESIDE: usize = 32 * 1024;

/// …and to one that holds so many bytes at any time.
const OUT_ALONE: usize = 256 * 1024;

/// Small messages count as under way for this long after one was sent…
const SMALL_LATELY: Duration = Duration::from_millis(10);

/// …and calls, which somebody waits for, for so long: the next one is not to find the sockets full.
const CALL_LATELY: Duration = Duration::from_secs(1);

/// Large messages leave this much of the connection's credit for small ones, or a quarter of it.
const RESERVE: u32 = 1024 * 1024;

/// What was sent of one sort and is not acknowledged. What else is on its way does not count, or a connection that is
/// full of one sort would never let another through.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    /// Where each piece ends in all that was taken from the connection's window, and its cost.
    sent: VecDeque<(u64, u32)>,
    sum: u32,
    /// Small pieces become one up to this cost: neither one for each item, nor a peer that grants byte by byte, must
    /// make a long list.
    step: u32,
}

impl Unacknowledged {
    pub(super) fn in_steps_of(step: u32) -> Self {
        Self { sent: VecDeque::new(), sum: 0, step }
    }

    #[inline]
    pub(super) fn sent(&mut self, end: u64, cost: u32) {
        self.sum = self.sum.saturating_add(cost);
        match self.sent.back_mut() {
            Some((last, sum)) if *sum + cost <= self.step => {
                *last = end;
                *sum += cost;
            }
            _ => self.sent.push_back((end, cost)),
        }
    }

    /// How much, when everything up to here has been acknowledged.
    pub(super) fn left(&mut self, acknowledged: u64) -> u32 {
        while let Some((_, cost)) = self.sent.pop_front_if(|(end, _)| *end <= acknowledged) {
            self.sum = self.sum.saturating_sub(cost);
        }
        self.sum
    }
}

impl Connection {
    /// What bulk leaves of the connection's credit for small messages.
    #[inline]
    pub(super) fn reserve(&self) -> u32 {
        RESERVE.min(self.peer.connection_credit / 4)
    }

    /// How many bytes of all that was ever taken from the connection's window the peer has acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        let unacknowledged = self.peer.connection_credit.saturating_sub(self.send_window.left());
        self.send_window.taken().saturating_sub(u64::from(unacknowledged))
    }

    /// Whether small messages are under way.
    pub(super) fn small_lately(&self, now: Instant) -> bool {
        self.last_small.is_some_and(|at| now.saturating_duration_since(at) < SMALL_LATELY)
    }

    /// An item of this length was sent, whole.
    #[inline]
    pub(super) fn item_sent(&mut self, length: usize) {
        // Streams alone need not be counted: 15 instructions an item.
        if self.beside_calls {
            self.items.sent(self.send_window.taken(), length as u32 + ITEM_COST);
        }
    }

    /// How many bytes of items, with what each costs beside its length, all streams together may send at the moment
    /// without being in the way of calls. At 0 there will be more when the out-buffer has been transmitted, or the peer has
    /// granted credit on the connection.
    pub fn share_of_items(&mut self, now: Instant) -> usize {
        self.beside_calls = self.last_call.is_some_and(|at| now.saturating_duration_since(at) < CALL_LATELY);
        if !self.beside_calls {
            return OUT_ALONE.saturating_sub(self.out.len());
        }
        let under_way = self.items.left(self.acknowledged());
        let window = self.on_this_way(ITEMS_WINDOW).saturating_sub(under_way);
        OUT_BESIDE.saturating_sub(self.out.len()).min(window as usize)
    }

    /// How many bytes of parts may be sent at the moment without being in the way of small messages that are under way.
    pub(super) fn share_of_parts(&mut self) -> u32 {
        let under_way = self.parts.left(self.acknowledged());
        self.on_this_way(PARTS_WINDOW).saturating_sub(under_way)
    }

    /// A window of this size, or what passes in a round trip.
    fn on_this_way(&self, least: u32) -> u32 {
        let round_trip = self.keepalive.least_round_trip().map_or(0, |time| time.as_micros());
        least.max(u32::try_from(round_trip).unwrap_or(u32::MAX).saturating_mul(RATE))
    }
}
