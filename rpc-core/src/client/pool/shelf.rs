//! [`Shelf`]: the connections of one pool, and every decision about them. No clock, no lock, no task: the endpoint has
//! these. What is taken out the endpoint closes, which wakes, and so must not happen under its lock.

use std::time::{Duration, Instant};

use super::{Config, Statistics};

/// What the shelf must know of a connection.
pub(in crate::client) trait Connection: Clone {
    /// Whether it takes calls.
    fn is_usable(&self) -> bool;

    /// Calls under way on it.
    fn calls(&self) -> usize;

    /// A number that grows with each call.
    fn begun(&self) -> u64;

    /// Whether the server has said a word: there is one, and it speaks the protocol.
    fn is_established(&self) -> bool;

    /// Whether the server has shown that it is there.
    fn has_answered(&self) -> bool;

    /// Whether it broke, where it takes no calls.
    fn is_broken(&self) -> bool;

    /// Whether both are the same one.
    fn is(&self, other: &Self) -> bool;
}

/// The connections of one pool, the oldest first.
#[derive(Debug)]
pub(in crate::client) struct Shelf<C> {
    entries: Vec<Entry<C>>,
    counts: Statistics,
}

#[derive(Debug)]
struct Entry<C> {
    connection: C,
    /// When it is too old.
    expires: Option<Instant>,
    /// When it was last given to a call or given back, or was found to have been.
    used: Instant,
    /// What had been begun, and was under way, when last looked at.
    seen: (u64, usize),
    /// Whether a call has it for itself.
    taken: bool,
    /// Made for a call that has not come for it yet.
    awaited: bool,
}

/// What a call that wants a connection gets.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::client) enum Choice<C> {
    /// This one.
    Use(C),
    /// This one, though it is busy: one more would be well.
    Busy(C),
    /// None: one must be made, or waited for.
    Nothing,
}

/// What is to be done after the shelf was put in order.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::client) struct Groomed<C> {
    /// What was taken out, to be closed.
    pub(in crate::client) closed: Vec<C>,
    /// So many connections should be made.
    pub(in crate::client) dial: usize,
    /// When to look again without any news; `None` if only news can change anything.
    pub(in crate::client) due: Option<Instant>,
}

impl<C: Connection> Entry<C> {
    fn is_old(&self, now: Instant) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// Whether it can take the place of an old one. Before its server has said a word it may come to nothing.
    fn can_succeed(&self, now: Instant) -> bool {
        !self.is_old(now) && self.connection.is_established()
    }

    fn is_idle(&self) -> bool {
        !self.taken && self.connection.calls() == 0
    }
}

impl<C: Connection> Shelf<C> {
    pub(in crate::client) fn new() -> Self {
        Self { entries: Vec::new(), counts: Statistics::default() }
    }

    /// The connection, if there is no choice.
    pub(in crate::client) fn only(&self) -> Option<&C> {
        match &self.entries[..] {
            [entry] => Some(&entry.connection),
            _ => None,
        }
    }

    /// A connection that was made. `random` is between 0 and 1.
    pub(in crate::client) fn put(&mut self, connection: C, config: &Config, now: Instant, random: f64) {
        // A limit beyond the end of time is none.
        let limit =
            |limit: Duration| Duration::try_from_secs_f64(limit.as_secs_f64() * (0.9 + 0.2 * random)).ok();
        let expires = config.max_lifetime.and_then(limit).and_then(|limit| now.checked_add(limit));
        self.counts.opened += 1;
        self.entries.push(Entry {
            connection,
            expires,
            used: now,
            seen: (0, 0),
            taken: false,
            awaited: true,
        });
    }

    /// An attempt to make one failed.
    pub(in crate::client) fn dial_failed(&mut self) {
        self.counts.dials_failed += 1;
    }

    /// Takes out what takes no more calls. It is to be closed, and may end the calls that it has.
    pub(in crate::client) fn sweep(&mut self) -> Vec<C> {
        let mut gone = Vec::new();
        let counts = &mut self.counts;
        self.entries.retain(|entry| {
            let usable = entry.connection.is_usable();
            if !usable {
                match entry.connection.is_broken() {
                    true => counts.closed_broken += 1,
                    false => counts.closed_drained += 1,
                }
                gone.push(entry.connection.clone());
            }
            usable
        });
        gone
    }

    /// A connection for a call. In an exclusive pool it is taken until [`put_back`](Self::put_back).
    pub(in crate::client) fn choose(&mut self, config: &Config, now: Instant) -> Choice<C> {
        if config.exclusive {
            // The one used last: few stay in use, and the rest grow idle and go.
            let free = self.entries.iter_mut().filter(|entry| !entry.taken && !entry.is_old(now));
            let Some(entry) = free.max_by_key(|entry| entry.used) else { return Choice::Nothing };
            entry.taken = true;
            entry.awaited = false;
            return Choice::Use(entry.connection.clone());
        }
        // Where there are old ones, they serve until a successor has spoken, and not for longer.
        let has_old = self.entries.iter().any(|entry| entry.is_old(now));
        let old_serve = has_old.then(|| !self.entries.iter().any(|entry| entry.can_succeed(now)));
        let mut least: Option<(usize, usize)> = None;
        for (at, entry) in self.entries.iter().enumerate() {
            if old_serve.is_some_and(|old_serve| entry.is_old(now) != old_serve) {
                continue;
            }
            let calls = entry.connection.calls();
            if least.is_none_or(|(_, least)| calls < least) {
                least = Some((at, calls));
            }
            if calls < config.high_water {
                least = Some((at, calls));
                break;
            }
        }
        let Some((at, calls)) = least else { return Choice::Nothing };
        let entry = &mut self.entries[at];
        entry.used = now;
        entry.awaited = false;
        let connection = entry.connection.clone();
        if calls < config.high_water { Choice::Use(connection) } else { Choice::Busy(connection) }
    }

    /// A call of an exclusive pool is done with its connection.
    pub(in crate::client) fn put_back(&mut self, connection: &C, now: Instant) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.connection.is(connection)) {
            entry.taken = false;
            entry.used = now;
        }
    }

    /// Whether one more may be made, beside those that are being made already.
    pub(in crate::client) fn may_dial(&self, config: &Config, dialing: usize, now: Instant) -> bool {
        // An old one does not count: its successor may come before it goes.
        let open = self.entries.iter().filter(|entry| entry.taken || !entry.is_old(now)).count();
        open + dialing < config.most() && dialing < config.max_dials.max(1)
    }

    /// Puts the shelf in order: takes out what is old or idle for too long, and says what is missing.
    pub(in crate::client) fn groom(&mut self, config: &Config, dialing: usize, now: Instant) -> Groomed<C> {
        let mut closed = Vec::new();
        let mut wanted = self.retire(config, now, &mut closed);
        let idle = self.close_idle(config, now, &mut closed);
        wanted = wanted.max(config.min_idle.min(config.most()).saturating_sub(idle));
        let mut dial = 0;
        while dial + dialing < wanted && self.may_dial(config, dialing + dial, now) {
            dial += 1;
        }
        let ages = self.entries.iter().filter_map(|entry| entry.expires).filter(|at| *at > now);
        let idle = self.entries.iter().filter_map(|entry| {
            let since = if entry.is_idle() { entry.used } else { now };
            since.checked_add(config.idle_timeout?)
        });
        // What is missing may fail to be made: it is looked for again.
        let again = (wanted > 0).then(|| now + AGAIN);
        let due = ages.chain(idle).chain(again).min().map(|at| at.max(now + LEAST));
        Groomed { closed, dial, due }
    }

    /// Takes out what is old, if a call that comes does not need it. How many should take their place.
    fn retire(&mut self, config: &Config, now: Instant, closed: &mut Vec<C>) -> usize {
        let mut fresh = self.entries.iter().filter(|entry| entry.can_succeed(now)).count();
        let is_awaited = self.entries.iter().any(|entry| !entry.is_old(now));
        let mut missing = 0;
        let counts = &mut self.counts;
        self.entries.retain(|entry| {
            if !entry.is_old(now) || entry.taken {
                return true;
            }
            // The last one stays until another is there and has spoken, so that no call has to wait for a connection.
            if !config.exclusive && fresh == 0 {
                fresh += 1;
                missing += usize::from(!is_awaited);
                return true;
            }
            counts.closed_lifetime += 1;
            closed.push(entry.connection.clone());
            false
        });
        missing
    }

    /// Takes out what nobody uses. How many idle ones are left.
    fn close_idle(&mut self, config: &Config, now: Instant, closed: &mut Vec<C>) -> usize {
        for entry in &mut self.entries {
            // Calls that are many come to a connection without the shelf.
            let seen = (entry.connection.begun(), entry.connection.calls());
            if std::mem::replace(&mut entry.seen, seen) != seen {
                entry.used = now;
            }
            entry.awaited &= now.saturating_duration_since(entry.used) < AGAIN;
        }
        let mut idle = self.entries.iter().filter(|entry| entry.is_idle()).count();
        while idle > config.min_idle {
            let oldest = self.entries.iter().enumerate().filter(|(_, entry)| entry.is_idle());
            let oldest = oldest.filter(|(_, entry)| !entry.awaited);
            let Some((at, entry)) = oldest.min_by_key(|(_, entry)| entry.used) else { break };
            let too_long =
                config.idle_timeout.is_some_and(|limit| now.saturating_duration_since(entry.used) >= limit);
            if !too_long && idle <= config.max_idle {
                break;
            }
            self.counts.closed_idle += 1;
            closed.push(self.entries.remove(at).connection);
            idle -= 1;
        }
        idle
    }

    /// A call waited for so long, and got a connection or did not.
    pub(in crate::client) fn waited(&mut self, time: Duration, in_time: bool) {
        self.counts.waits += 1;
        self.counts.waited += time;
        self.counts.timeouts += u64::from(!in_time);
    }

    /// All connections.
    pub(in crate::client) fn connections(&self) -> impl Iterator<Item = &C> {
        self.entries.iter().map(|entry| &entry.connection)
    }

    pub(in crate::client) fn statistics(&self, dialing: usize) -> Statistics {
        Statistics {
            open: self.entries.len(),
            idle: self.entries.iter().filter(|entry| entry.is_idle()).count(),
            dialing,
            ..self.counts
        }
    }
}

/// When connections are missing, they are looked for again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// The least time between two looks.
const LEAST: Duration = Duration::from_millis(10);

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
