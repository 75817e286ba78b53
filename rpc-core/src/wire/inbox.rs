//! A message that comes in parts (§8.4).
//!
//! Its bytes are gathered in one buffer. How long it will be is known from its first frame, and still the buffer is not made
//! as long at once: nothing is allocated from a length alone. Once there is room reserved for all of it, which bounds the
//! sum of what is claimed, a buffer is made for [`CLAIM`] times of what is here. So a megabyte is gathered without being
//! moved once, of 64 MiB a thirty-second part is moved, and a peer that announces much and sends little makes this side
//! keep little: what was claimed beyond what has come is pages that nobody has written yet.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::frame::PREFIX;
use super::head::{IncomingHead, ResponseHead};
use crate::buffer;

/// How much room is made for a message that has its place, as a multiple of what is here.
pub(crate) const CLAIM: usize = 32;

/// A message of which parts are here.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) total: u32,
    /// How many bytes of it are here.
    pub(crate) here: usize,
    bytes: BytesMut,
    /// Whether this message ends the peer's half.
    pub(crate) end: bool,
    pub(crate) of: InboxOf,
    /// What it counts against `max_buffered`.
    pub(crate) held: usize,
    pub(crate) place: Place,
}

/// How far a message is on its way to room of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An item behind others that its reader has not taken.
    Behind,
    /// In the queue.
    Queued,
    /// The room is reserved, and the peer has been granted all of the message.
    Reserved,
}

/// What the message that comes in parts belongs to.
#[derive(Debug)]
pub(crate) enum InboxOf {
    Request(Box<IncomingHead>, Instant),
    Response(Box<ResponseHead>),
    Item,
}

impl Inbox {
    /// A message whose first part this is.
    pub(crate) fn new(total: u32, first: &[u8], end: bool, of: InboxOf, held: usize, place: Place) -> Self {
        Self { total, here: first.len(), bytes: BytesMut::from(first), end, of, held, place }
    }

    /// A further part came. The caller has checked that it is not beyond the total.
    pub(crate) fn append(&mut self, part: &[u8]) {
        self.reserve(part.len());
        self.bytes.extend_from_slice(part);
        self.here += part.len();
    }

    /// Gives the bytes that are here out, with room for so many more, to be written to elsewhere.
    pub(crate) fn lend(&mut self, more: usize) -> BytesMut {
        self.reserve(more);
        std::mem::take(&mut self.bytes)
    }

    /// The bytes that were lent come back, and a further part with them.
    pub(crate) fn take_back(&mut self, bytes: BytesMut) {
        self.here = bytes.len();
        self.bytes = bytes;
    }

    /// Makes room for so many more bytes.
    fn reserve(&mut self, more: usize) {
        let here = self.here + more;
        if self.bytes.capacity() >= here {
            return;
        }
        let claim = if self.place == Place::Reserved { CLAIM } else { 2 };
        // What is lent has a prefix behind it.
        let room = here.saturating_mul(claim).min(self.total as usize) + PREFIX;
        let mut larger = buffer::take(room);
        larger.extend_from_slice(&self.bytes);
        buffer::give(std::mem::replace(&mut self.bytes, larger));
    }

    /// The whole message, and what it belongs to.
    pub(crate) fn into_body(self) -> (InboxOf, Bytes) {
        (self.of, buffer::freeze(self.bytes))
    }

    /// How much room there is for it.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::MAX_PART;

    const MIB: usize = 1024 * 1024;

    /// Where its bytes lay while a message of this length came in parts.
    fn places(total: usize, place: Place) -> Vec<usize> {
        let mut inbox = Inbox::new(total as u32, &[], true, InboxOf::Item, total, place);
        let mut places = Vec::new();
        while inbox.here < total {
            let part = vec![inbox.here.to_le_bytes()[2]; MAX_PART.min(total - inbox.here)];
            if places.len() % 2 == 0 {
                inbox.append(&part);
            } else {
                let mut lent = inbox.lend(part.len() + PREFIX);
                let place = lent.as_ptr();
                lent.extend_from_slice(&part);
                lent.extend_from_slice(&[0; PREFIX]);
                assert_eq!(place, lent.as_ptr(), "what is read along has its place");
                lent.truncate(inbox.here + part.len());
                inbox.take_back(lent);
            }
            assert!(inbox.capacity() <= (3 * CLAIM * inbox.here).min(3 * total));
            places.push(inbox.bytes.as_ptr() as usize);
        }
        let (_, body) = inbox.into_body();
        assert_eq!(body.len(), total);
        assert!(
            body.iter().enumerate().all(|(at, byte)| *byte == (at / MAX_PART * MAX_PART).to_le_bytes()[2])
        );
        places.dedup();
        places
    }

    #[test]
    fn a_megabyte_is_gathered_where_its_first_part_lies() {
        assert_eq!(places(MIB + 4, Place::Reserved).len(), 1);
        assert_eq!(places(2 * MIB, Place::Reserved).len(), 1);
    }

    #[test]
    fn the_largest_messages_are_moved_once() {
        assert!(places(64 * MIB, Place::Reserved).len() <= 2);
    }

    #[test]
    fn without_room_of_its_own_a_message_is_claimed_as_it_comes() {
        let mut inbox = Inbox::new(64 << 20, &[], true, InboxOf::Item, 0, Place::Queued);
        inbox.append(&[1; MAX_PART]);
        assert!(inbox.capacity() <= 4 * MAX_PART, "{}", inbox.capacity());
    }

    #[test]
    fn of_a_length_alone_nothing_is_claimed() {
        let mut inbox = Inbox::new(64 << 20, &[], true, InboxOf::Item, 64 << 20, Place::Reserved);
        assert_eq!(inbox.capacity(), 0);
        inbox.append(&[1]);
        assert!(inbox.capacity() < 1024, "{}", inbox.capacity());
    }
}
