//! [`Moment`]: a look at the clock that serves for all that a call does in one poll.
//!
//! A call looks at the clock as it begins, and in the same poll its request is mostly sent, which needs the time as well.
//! Without layers the look is handed on as a parameter. Layers are tower's, whose interface has no place for it: past them
//! it is lent, by way of the thread, for as long as the poll takes.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// A look at the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) now: Instant,
    /// What remained until the deadline, if that was known without reckoning.
    pub(crate) remaining: Option<Duration>,
}

/// A moment, and the deadline of the call whose it is.
type Lent = (Moment, Option<Instant>);

thread_local! {
    static LENT: Cell<Option<Lent>> = const { Cell::new(None) };
}

/// Polls, and lends the moment to what is polled.
#[inline]
pub(crate) fn lend<T>(moment: Moment, deadline: Option<Instant>, poll: impl FnOnce() -> T) -> T {
    /// Takes it back, whatever the end of the poll is.
    struct Back;

    impl Drop for Back {
        #[inline]
        fn drop(&mut self) {
            LENT.set(None);
        }
    }

    LENT.set(Some((moment, deadline)));
    let _back = Back;
    poll()
}

/// The moment that is lent, for a request with this deadline.
#[inline]
pub(crate) fn lent(deadline: Option<Instant>) -> Option<Moment> {
    let (Moment { now, remaining }, of) = LENT.get()?;
    // A layer may have moved the deadline, or make a call of its own.
    Some(Moment { now, remaining: remaining.filter(|_| deadline == of) })
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn a_moment_is_lent_for_one_poll_and_what_remains_for_one_deadline() {
        let now = Instant::now();
        let limit = Duration::from_secs(1);
        let (moment, deadline) = (Moment { now, remaining: Some(limit) }, now + limit);
        assert!(lent(Some(deadline)).is_none());
        lend(moment, Some(deadline), || {
            let same = lent(Some(deadline)).expect("it is lent");
            assert_eq!((same.now, same.remaining), (now, Some(limit)));
            for other in [None, Some(now)] {
                let moved = lent(other).expect("it is lent");
                assert_eq!((moved.now, moved.remaining), (now, None));
            }
        });
        assert!(lent(Some(deadline)).is_none());
        let panicked = catch_unwind(AssertUnwindSafe(|| lend(moment, None, || panic!("a layer's"))));
        assert!(panicked.is_err() && lent(None).is_none());
    }
}
