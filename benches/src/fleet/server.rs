//! [`Server`]: so many workers, and a queue before them.
//!
//! First come, first served, so a call's whole fate is known when it arrives: the worker that is free first takes it.
//! A call whose deadline passes while it waits costs nothing; one whose deadline passes while it runs ends then, as a
//! handler of ours does.

use std::time::Duration;

/// What a call costs on average, in a healthy server.
pub const WORK: Duration = Duration::from_millis(20);
/// How long it takes to refuse.
const REFUSAL: Duration = Duration::from_micros(50);

/// A server.
#[derive(Clone, Debug)]
pub struct Server {
    /// When each worker is free.
    free: Vec<Duration>,
    /// How much longer than [`WORK`] a call takes: 1 for a healthy one.
    pub slowness: f64,
    /// Whether it refuses every call at once.
    pub failing: bool,
    /// Until when it is cold: a call takes twice as long.
    pub cold_until: Duration,
    /// Where it stands.
    pub zone: usize,
    /// The calls that went to it since measuring began.
    pub calls: u64,
}

/// How a call ended at its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Well, then.
    Reply(Duration),
    /// Refused, then.
    Refused(Duration),
    /// Its time was up, then.
    Late(Duration),
}

impl Server {
    /// A healthy server with so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            free: vec![Duration::ZERO; workers.max(1)],
            slowness: 1.0,
            failing: false,
            cold_until: Duration::ZERO,
            zone: 0,
            calls: 0,
        }
    }

    /// How many calls it can do at a time.
    pub fn workers(&self) -> usize {
        self.free.len()
    }

    /// A call arrives, and must be done by the deadline; `work` is what it would cost a healthy server.
    pub fn serve(&mut self, now: Duration, deadline: Duration, work: Duration) -> End {
        if self.failing {
            return End::Refused(now + REFUSAL);
        }
        let cold = if now < self.cold_until { 2.0 } else { 1.0 };
        let Some(first) = self.free.iter_mut().min() else { return End::Refused(now) };
        let start = now.max(*first);
        if start >= deadline {
            return End::Late(deadline);
        }
        let end = start + work.mul_f64(self.slowness * cold);
        *first = end.min(deadline);
        if end > deadline { End::Late(deadline) } else { End::Reply(end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_waits_for_the_first_free_worker() {
        let ms = Duration::from_millis;
        let mut server = Server::new(2);
        assert_eq!(server.serve(ms(0), ms(100), ms(10)), End::Reply(ms(10)));
        assert_eq!(server.serve(ms(0), ms(100), ms(40)), End::Reply(ms(40)));
        assert_eq!(server.serve(ms(0), ms(100), ms(10)), End::Reply(ms(20)));
        assert_eq!(
            server.serve(ms(0), ms(15), ms(10)),
            End::Late(ms(15)),
            "while it waits: it costs nothing"
        );
        assert_eq!(server.serve(ms(0), ms(25), ms(10)), End::Late(ms(25)), "while it runs: until then");
        assert_eq!(server.serve(ms(0), ms(100), ms(10)), End::Reply(ms(35)));
    }
}
