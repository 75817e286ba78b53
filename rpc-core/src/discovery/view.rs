//! [`View`]: what clients are told of what a registry says.
//!
//! A registry fails in ways that its clients must not follow: it loses all leases in an outage, it answers with nothing
//! after a restore, its entries flap. A view is handed each list that the registry gives, and each failure to get one, and
//! decides what is published, and when:
//!
//! * **An error changes nothing.** What was known last stays.
//! * **One that vanishes is gone**, if most of the others stay. If it [said so](View::withdrawn), it always is.
//! * **More than half that vanish** within [a few seconds](Config::mass_window) are kept as
//!   [suspect](Instance::suspect): used where nothing better is there, until they come back or [their
//!   time](Config::suspect_for) is over. If the registry keeps saying that there is nothing at all, it is
//!   [believed](Config::empty_after) earlier.
//! * **Bursts are one change**: what comes within [20 ms](Config::coalesce) is published together, and a registry that never
//!   rests is published [twice a second](Config::interval).
//!
//! ```text
//!                 vanishes
//!     present ---------------> hidden ---- mass_window over ----> forgotten
//!        ^                        |                                   ^
//!        |  listed again          | more than half are hidden         |
//!        +------------------------+--> suspect -- suspect_for over ---+
//!                                              or empty_after
//! ```
//!
//! It has no clock and no task: [`Feed`](crate::discovery::Feed) is the shell around it.
//!
//! ```
//! use std::time::Instant;
//! use rpc_core::discovery::{Instance, view};
//!
//! let now = Instant::now();
//! let mut view = view::View::new(view::Config::default());
//! view.listed(now, [Instance::new("a:1".parse()?)]);
//! assert_eq!(view.poll(now).unwrap().instances().len(), 1);
//!
//! // The registry has lost everything: it may be the registry.
//! view.listed(now, []);
//! let later = view.timeout().unwrap();
//! assert!(view.poll(later).unwrap().instances()[0].suspect);
//! # Ok::<(), rpc_core::transport::InvalidAddress>(())
//! ```

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::discovery::instance::{Instance, State};
use crate::discovery::snapshot::Snapshot;

/// How much a view trusts its registry.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Changes that come within this time are published together. Default 20 ms.
    pub coalesce: Duration,
    /// How long between two lists, where they never stop coming. Default 500 ms.
    pub interval: Duration,
    /// How many lists may come faster than that. Default 5.
    pub burst: u32,
    /// More than half of all vanishing within this time is the registry's failure rather than theirs. Default 5 s.
    pub mass_window: Duration,
    /// How long those that vanished in a mass are kept. Zero believes the registry at once. Default 45 s, three times the
    /// usual lease.
    pub suspect_for: Duration,
    /// How long a registry must say that there is nothing until it is believed. Zero believes at once. Default 10 s.
    pub empty_after: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            coalesce: Duration::from_millis(20),
            interval: Duration::from_millis(500),
            burst: 5,
            mass_window: Duration::from_secs(5),
            suspect_for: Duration::from_secs(45),
            empty_after: Duration::from_secs(10),
        }
    }
}

/// What clients are told of what a registry says: see the [module](self).
#[derive(Debug)]
pub struct View {
    config: Config,
    entries: BTreeMap<String, Entry>,
    /// Since when the registry says that there is nothing.
    empty_since: Option<Instant>,
    /// The registry cannot be asked: nothing runs out meanwhile.
    failing: bool,
    published: Option<Snapshot>,
    /// When what there is may be published, if that is something new.
    due: Option<Instant>,
    /// When the next list would come if all came at the steady rate: a generic cell rate algorithm, ITU-T I.371.
    steady: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    instance: Instance,
    presence: Presence,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Presence {
    Present,
    /// Gone since then, and not shown; remembered in case most others follow.
    Hidden(Instant),
    Suspect(Instant),
}

impl View {
    /// Nothing is known yet.
    pub fn new(config: Config) -> Self {
        // Nothing here is reckoned with more, so that no point in time lies beyond the end of time.
        let year = Duration::from_secs(86_400 * 365);
        let Config { coalesce, interval, burst, mass_window, suspect_for, empty_after } = config;
        Self {
            config: Config {
                coalesce: coalesce.min(year),
                interval: interval.min(year),
                burst: burst.min(1000),
                mass_window: mass_window.min(year),
                suspect_for: suspect_for.min(year),
                empty_after: empty_after.min(year),
            },
            entries: BTreeMap::new(),
            empty_since: None,
            failing: false,
            published: None,
            due: None,
            steady: None,
        }
    }

    /// The registry says that these are all there are.
    pub fn listed(&mut self, now: Instant, instances: impl IntoIterator<Item = Instance>) {
        let listed = Snapshot::new(instances);
        if std::mem::take(&mut self.failing) {
            self.restart_patience(now);
        }
        if !listed.is_empty() {
            self.empty_since = None;
        } else if self.empty_since.is_none() {
            self.empty_since = Some(now);
        }
        // What went away as it had said does not count among those that vanished.
        self.entries.retain(|id, entry| {
            let stays = listed.get(id).is_some();
            stays || entry.presence != Presence::Present || entry.instance.state != State::Draining
        });
        for (id, entry) in &mut self.entries {
            if entry.presence == Presence::Present && listed.get(id).is_none() {
                entry.presence = Presence::Hidden(now);
            }
        }
        for instance in listed.instances() {
            let entry = Entry { instance: instance.clone(), presence: Presence::Present };
            self.entries.insert(instance.id.clone(), entry);
        }
        self.judge(now);
        self.changed(now);
    }

    /// The instance of this id has left on purpose: once it is not listed any more, it is not missed.
    ///
    /// For registries that can tell; of the others, an instance that was [draining](State::Draining) before it vanished
    /// has left on purpose.
    pub fn withdrawn(&mut self, id: &str) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.instance.state = State::Draining;
        }
    }

    /// The registry could not be asked. Nothing changes, and nothing runs out until it can be asked again.
    pub fn failed(&mut self) {
        self.failing = true;
    }

    /// The list to publish, if it is time for one and it is new.
    pub fn poll(&mut self, now: Instant) -> Option<Snapshot> {
        if self.expiry().is_some_and(|expiry| expiry <= now) {
            self.expire(now);
            self.changed(now);
        }
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        self.due = None;
        let snapshot = self.snapshot();
        if self.published.as_ref() == Some(&snapshot) {
            return None;
        }
        let steady = self.steady.map_or(now, |steady| steady.max(now));
        self.steady = Some(steady + self.config.interval);
        self.published = Some(snapshot.clone());
        Some(snapshot)
    }

    /// When to poll next, if nothing happens before.
    pub fn timeout(&self) -> Option<Instant> {
        match (self.due, self.expiry()) {
            (Some(due), Some(expiry)) => Some(due.min(expiry)),
            (due, expiry) => due.or(expiry),
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.entries.values().filter_map(|entry| match entry.presence {
            Presence::Present => Some(entry.instance.clone()),
            Presence::Hidden(_) => None,
            Presence::Suspect(_) => Some(Instance { suspect: true, ..entry.instance.clone() }),
        }))
    }

    /// Whether so many vanished that it is the registry that must be suspected.
    fn judge(&mut self, now: Instant) {
        let window = self.config.mass_window;
        let missing = |entry: &Entry| match entry.presence {
            Presence::Present => false,
            Presence::Hidden(since) => now.saturating_duration_since(since) <= window,
            Presence::Suspect(_) => true,
        };
        let gone = self.entries.values().filter(|entry| missing(entry)).count();
        if gone * 2 <= self.entries.len() || self.config.suspect_for.is_zero() {
            return;
        }
        for entry in self.entries.values_mut() {
            if let Presence::Hidden(since) = entry.presence {
                entry.presence = Presence::Suspect(since);
            }
        }
    }

    fn changed(&mut self, now: Instant) {
        if self.published.is_none() {
            // The first list is waited for: it comes at once.
            self.due = Some(now);
        }
        if self.due.is_some() {
            return;
        }
        let ahead = self.config.interval * self.config.burst.saturating_sub(1);
        let allowed = self.steady.and_then(|steady| steady.checked_sub(ahead)).unwrap_or(now);
        self.due = Some(allowed.max(now + self.config.coalesce));
    }

    /// How long a missing instance is remembered.
    fn end(&self, entry: &Entry) -> Option<Instant> {
        match entry.presence {
            Presence::Present => None,
            Presence::Hidden(since) => Some(since + self.config.mass_window),
            Presence::Suspect(since) => {
                let end = since + self.config.suspect_for;
                Some(self.empty_since.map_or(end, |empty| end.min(empty + self.config.empty_after)))
            }
        }
    }

    fn expiry(&self) -> Option<Instant> {
        if self.failing {
            return None;
        }
        self.entries.values().filter_map(|entry| self.end(entry)).min()
    }

    fn expire(&mut self, now: Instant) {
        let ended: Vec<String> = self
            .entries
            .iter()
            .filter(|(_, entry)| self.end(entry).is_some_and(|end| end <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            self.entries.remove(&id);
        }
    }

    /// The registry is back: what was missing before gets all of its time again, to be registered anew.
    fn restart_patience(&mut self, now: Instant) {
        self.empty_since = self.empty_since.map(|_| now);
        for entry in self.entries.values_mut() {
            match &mut entry.presence {
                Presence::Present => {}
                Presence::Hidden(since) | Presence::Suspect(since) => *since = now,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(id: &str) -> Instance {
        Instance::new("h:1".parse().unwrap()).with_id(id)
    }

    /// A view with a clock.
    struct Bench {
        view: View,
        start: Instant,
        now: Instant,
        published: usize,
        shown: Vec<String>,
    }

    impl Bench {
        fn new() -> Self {
            Self::with(Config::default())
        }

        fn with(config: Config) -> Self {
            let now = Instant::now();
            Self { view: View::new(config), start: now, now, published: 0, shown: Vec::new() }
        }

        /// Lets the time pass; every list that comes is noted, as `a b? c`, `?` for the suspects.
        fn pass(&mut self, time: Duration) {
            let end = self.now + time;
            loop {
                if let Some(snapshot) = self.view.poll(self.now) {
                    self.published += 1;
                    self.shown = snapshot
                        .instances()
                        .iter()
                        .map(|one| format!("{}{}", one.id, if one.suspect { "?" } else { "" }))
                        .collect();
                }
                match self.view.timeout() {
                    Some(next) if next <= end => self.now = next.max(self.now),
                    _ => break,
                }
            }
            self.now = end;
        }

        fn list(&mut self, ids: &str) {
            self.view.listed(self.now, ids.split_whitespace().map(instance));
        }

        fn after(&mut self, ids: &str, time: Duration) -> String {
            self.list(ids);
            self.pass(time);
            self.shown()
        }

        fn shown(&self) -> String {
            self.shown.join(" ")
        }
    }

    const SOON: Duration = Duration::from_millis(100);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn the_first_list_comes_at_once_even_an_empty_one() {
        let mut bench = Bench::new();
        assert_eq!(bench.view.poll(bench.now), None);
        bench.list("");
        assert_eq!(bench.view.poll(bench.now), Some(Snapshot::default()));
        bench.list("a");
        assert_eq!(bench.view.poll(bench.now), None, "later ones are waited for a little");
    }

    #[test]
    fn one_of_many_that_vanishes_is_gone() {
        let mut bench = Bench::new();
        bench.after("a b c d", SOON);
        assert_eq!(bench.after("a b c", SOON), "a b c");
        bench.pass(secs(6));
        assert_eq!(bench.view.entries.len(), 3, "and forgotten");
        assert_eq!(bench.view.timeout(), None);
    }

    #[test]
    fn most_that_vanish_are_suspects_until_they_are_back_or_their_time_is_over() {
        let mut bench = Bench::new();
        bench.after("a b c d", SOON);
        assert_eq!(bench.after("a", SOON), "a b? c? d?");
        assert_eq!(bench.after("a b", secs(40)), "a b c? d?");
        bench.pass(secs(6));
        assert_eq!(bench.shown(), "a b");
    }

    #[test]
    fn those_that_went_first_count_among_most() {
        let mut bench = Bench::new();
        bench.after("a b c d", secs(10));
        assert_eq!(bench.after("a b c", secs(1)), "a b c");
        assert_eq!(bench.after("a b", secs(1)), "a b");
        assert_eq!(bench.after("a", secs(1)), "a b? c? d?");
        // But one that went a while before does not.
        let mut bench = Bench::new();
        bench.after("a b c d e", SOON);
        assert_eq!(bench.after("a b c d", secs(6)), "a b c d");
        assert_eq!(bench.after("a b", SOON), "a b");
    }

    #[test]
    fn an_empty_list_is_believed_after_a_while() {
        let mut bench = Bench::new();
        bench.after("a b", SOON);
        assert_eq!(bench.after("", secs(9)), "a? b?");
        assert_eq!(bench.after("", secs(2)), "", "the time runs from the first empty list");
        let mut bench = Bench::new();
        bench.after("a b", SOON);
        bench.after("", secs(9));
        assert_eq!(bench.after("a", secs(20)), "a b?", "somebody is back, so it was the registry");
    }

    #[test]
    fn who_said_that_it_goes_is_believed() {
        let mut bench = Bench::new();
        bench.after("a b", SOON);
        bench.view.listed(bench.now, [instance("a").with_state(State::Draining), instance("b")]);
        // It is never published in between: that it was seen is enough.
        bench.list("b");
        bench.view.withdrawn("b");
        assert_eq!(bench.after("", SOON), "");
        assert_eq!(bench.view.entries.len(), 0);
    }

    #[test]
    fn an_error_empties_nothing_and_stops_the_time() {
        let mut bench = Bench::new();
        bench.after("a b", SOON);
        bench.after("", secs(5));
        bench.view.failed();
        bench.pass(secs(3600));
        assert_eq!(bench.shown(), "a? b?");
        assert_eq!(
            bench.after("", secs(9)),
            "a? b?",
            "a registry that comes back empty is not believed at once"
        );
        bench.pass(secs(2));
        assert_eq!(bench.shown(), "");
    }

    #[test]
    fn a_burst_is_one_list() {
        let mut bench = Bench::new();
        bench.after("a", SOON);
        for ids in ["a b", "a b c", "a b c d"] {
            bench.after(ids, Duration::from_millis(5));
        }
        bench.pass(SOON);
        assert_eq!((bench.published, bench.shown()), (2, "a b c d".to_owned()));
    }

    #[test]
    fn what_changed_back_within_a_burst_is_not_published() {
        let mut bench = Bench::new();
        bench.after("a b c", SOON);
        bench.list("a b");
        bench.after("a b c", secs(1));
        assert_eq!(bench.published, 1);
    }

    #[test]
    fn one_that_flaps_is_published_twice_a_second_and_leaves_nothing_behind() {
        let mut bench = Bench::new();
        bench.after("a b c", SOON);
        for turn in 0..600 {
            bench.after(if turn % 2 == 0 { "a b" } else { "a b c" }, SOON);
        }
        let (seconds, published) = ((bench.now - bench.start).as_secs() as usize, bench.published);
        assert!((seconds..=2 * seconds + 7).contains(&published), "{published} lists in {seconds} s");
        bench.pass(secs(10));
        assert_eq!((bench.shown(), bench.view.timeout()), ("a b c".to_owned(), None));
    }

    #[test]
    fn endless_patience_is_no_panic() {
        let mut bench = Bench::with(Config {
            coalesce: Duration::MAX,
            interval: Duration::MAX,
            burst: u32::MAX,
            mass_window: Duration::MAX,
            suspect_for: Duration::MAX,
            empty_after: Duration::MAX,
        });
        bench.after("a b", SOON);
        bench.after("", SOON);
        assert_eq!(bench.shown(), "a b");
    }

    #[test]
    fn whoever_wants_no_protection_has_none() {
        let mut bench = Bench::with(Config { suspect_for: Duration::ZERO, ..Config::default() });
        bench.after("a b", SOON);
        assert_eq!(bench.after("", SOON), "");
    }
}
