//! [`Hop`]: where the time of a call went that was not complete in time.

use std::fmt;
use std::time::Duration;

/// One hop's share of a call's time budget, as found in a `DEADLINE_EXCEEDED` status.
///
/// The hops of a status are in the order in which the call travelled: the first is the service that this process
/// called, the next the one that it called, and so on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The method, as `service/Method`.
    pub method: String,
    /// The time that this hop had left when it started.
    pub budget: Duration,
    /// The time between the request's first byte and the first poll of the handler; `None` if the server did not say.
    pub queue: Option<Duration>,
    /// The time in the handler, calls to further services included; `None` if the server did not say.
    pub handler: Option<Duration>,
    /// The whole time of the hop as its caller saw it; `None` where only the server's side is known.
    pub elapsed: Option<Duration>,
}

impl Hop {
    /// A hop of which only its caller's side is known: the time that it had, and the time that it took.
    pub(crate) fn unanswered(method: &str, budget: Duration, elapsed: Duration) -> Self {
        Self { method: method.to_owned(), budget, queue: None, handler: None, elapsed: Some(elapsed) }
    }

    /// The time that went neither into the server's queue nor into its handler: network, and the client's own queues.
    /// `None` if a side of the hop is unknown.
    pub fn network(&self) -> Option<Duration> {
        Some(self.elapsed?.saturating_sub(self.queue?).saturating_sub(self.handler?))
    }
}

impl fmt::Display for Hop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Share(Option<Duration>);
        impl fmt::Display for Share {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    Some(share) => write!(f, "{share:.1?}"),
                    None => f.write_str("unknown"),
                }
            }
        }
        let Self { method, budget, queue, handler, elapsed } = self;
        if let (None, None) = (queue, handler) {
            // Its server did not say anything: what is left is what its caller saw.
            return match elapsed {
                Some(elapsed) => write!(f, "{method} (budget {budget:.1?}: no word within {elapsed:.1?})"),
                None => write!(f, "{method} (budget {budget:.1?})"),
            };
        }
        write!(
            f,
            "{method} (budget {budget:.1?}: queue {}, handler {}, network {})",
            Share(*queue),
            Share(*handler),
            Share(self.network())
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_that_nobody_answered_says_so() {
        let silent = |elapsed| Hop {
            method: "C/c".into(),
            budget: Duration::from_millis(10),
            queue: None,
            handler: None,
            elapsed,
        };
        let elapsed = Some(Duration::from_millis(11));
        assert_eq!(silent(elapsed).to_string(), "C/c (budget 10.0ms: no word within 11.0ms)");
        assert_eq!(silent(None).to_string(), "C/c (budget 10.0ms)");
    }
}
