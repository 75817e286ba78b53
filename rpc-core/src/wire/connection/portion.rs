//! How much of what has come is taken at a time.
//!
//! A portion is acted on, answered and written before the next one is taken. That is for two reasons:
//!
//! * What becomes of it (events, answers, and what is written) should still be in the cache of the core when it is needed
//!   again: with all 2,600 small requests that one read can bring, the server took twice the time for each. So a portion
//!   has a largest size.
//! * The peer should have something to do meanwhile. If each side takes all that the other one has sent, answers it and
//!   goes to sleep, one works while the other waits, and each waits for the other to wake:
//!
//! ```text
//!            all at once                      in halves
//!   client   ####            ####             ##  ##  ##  ##
//!   server           ####            ####       ##  ##  ##  ##
//! ```
//!
//! With 128 calls in flight between two processes that is more than twice the calls a second, at less processor time for
//! each. Where both are one thread, and nothing can go on at the same time, it costs a twentieth.

use std::time::Instant;

use super::super::frame::{PREFIX, Prefix};

/// A portion has no fewer frames, if there are as many: each is a round of the driver, and a write.
pub(crate) const LEAST: usize = 32;

/// Nor more.
const MOST: usize = 256;

/// How much of the input to take.
#[derive(Clone, Copy)]
pub(crate) enum Take {
    All,
    Portion,
}

/// What the last look at the input has left there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Left {
    /// When it came.
    pub(super) since: Instant,
    /// The bytes that a portion is to have: half of what came with it.
    pub(super) portion: usize,
}

impl Left {
    /// Input that came now.
    #[inline]
    pub(super) fn new(now: Instant, input: &[u8]) -> Self {
        Self { since: now, portion: input.len() / 2 }
    }
}

impl Take {
    /// How many bytes at the start of the input to take, all in whole frames; a portion of these bytes, or more.
    #[inline]
    pub(super) fn of(self, input: &[u8], portion: usize) -> usize {
        let (least, most) = match self {
            Self::All => (usize::MAX, usize::MAX),
            Self::Portion => (LEAST, MOST),
        };
        let (mut end, mut count) = (0, 0);
        while count < most
            && (count < least || end < portion)
            && let Some(bytes) = input[end..].first_chunk::<PREFIX>()
        {
            let prefix = Prefix::parse(bytes);
            let next = end + PREFIX + usize::from(prefix.header) + prefix.body as usize;
            if next > input.len() {
                break;
            }
            end = next;
            count += 1;
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many frames each portion of this input has, of `count` frames of 100 bytes and then `more` bytes of another.
    fn portions(count: usize, more: usize) -> Vec<usize> {
        let prefix = Prefix { kind: 1, flags: 0, header: 10, body: (90 - PREFIX) as u32, stream: 1 };
        let frame = [&prefix.to_bytes()[..], &[0; 100 - PREFIX]].concat();
        let mut input = [frame.repeat(count), frame[..more].to_vec()].concat();
        let Left { portion, .. } = Left::new(Instant::now(), &input);
        assert_eq!(Take::All.of(&input, portion), count * 100);
        let mut portions = Vec::new();
        loop {
            let bytes = Take::Portion.of(&input, portion);
            if bytes == 0 {
                assert_eq!(input.len(), more);
                return portions;
            }
            assert_eq!(bytes % 100, 0, "whole frames");
            input.drain(..bytes);
            portions.push(bytes / 100);
        }
    }

    #[test]
    fn a_portion_is_half_of_what_came_but_no_fewer_and_no_more_frames_than_are_worth_it() {
        for more in [0, 1, PREFIX, 99] {
            assert!(portions(0, more).is_empty());
            assert_eq!(portions(1, more), [1]);
            assert_eq!(portions(LEAST, more), [LEAST]);
            assert_eq!(portions(LEAST + 1, more), [LEAST, 1]);
            assert_eq!(portions(2 * MOST + 10, more), [MOST, MOST, 10]);
        }
        assert_eq!(portions(2 * LEAST, 0), [LEAST, LEAST]);
        assert_eq!(portions(200, 0), [100, 100]);
        assert_eq!(portions(201, 0), [101, 100]);
    }
}
