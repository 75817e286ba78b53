//! [`Table`]: what etcd is known to hold for one service; and [`Vigil`], whether the watch is still alive.
//!
//! Both only decide. A watch that cannot go on, whatever the reason, reads the whole list again: taking up the history
//! where it ended would be cheaper, but the history may be another one by then, after a restore, and nothing says so.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rpc_core::discovery::record::Record;
use rpc_core::discovery::{Instance, State, name};

use crate::lease::jitter;
use crate::stats::Resync;

/// How many instances of one service are read. What comes after is skipped, and counted.
const MAX_INSTANCES: usize = 100_000;

/// From which state of which cluster an answer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) cluster: u64,
    pub(crate) revision: i64,
}

/// One change of one key; without a value it was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: String,
    pub(crate) value: Option<Vec<u8>>,
}

/// What a message of a watch leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing is different.
    Same,
    /// The list is another one. These left on purpose.
    Changed { departed: Vec<String> },
    /// The watch cannot go on.
    Resync(Resync),
}

/// What etcd is known to hold for one service.
#[derive(Debug)]
pub(crate) struct Table {
    /// Before all keys of the service; ends with a slash.
    prefix: String,
    head: Head,
    /// By what comes after the prefix.
    instances: BTreeMap<String, Instance>,
    /// Values that could not be read since [`take_skipped`](Self::take_skipped).
    skipped: u64,
}

impl Table {
    /// Nothing is known yet of what stands under this prefix.
    pub(crate) fn new(prefix: String) -> Self {
        Self { prefix, head: Head::default(), instances: BTreeMap::new(), skipped: 0 }
    }

    /// Begins a whole list. Whether it is from another history than what was known: data was lost or restored.
    pub(crate) fn begin(&mut self, head: Head) -> bool {
        let known = std::mem::replace(&mut self.head, head);
        self.instances.clear();
        known != Head::default() && (known.cluster != head.cluster || known.revision > head.revision)
    }

    /// One more entry of the list.
    pub(crate) fn add(&mut self, key: &str, value: &[u8]) {
        let Some(part) = key.strip_prefix(&self.prefix) else { return };
        // The goodbye is no instance.
        if part.is_empty() {
            return;
        }
        match read(part, value) {
            Some(instance) if self.instances.len() < MAX_INSTANCES || self.instances.contains_key(part) => {
                self.instances.insert(part.to_owned(), instance);
            }
            Some(_) => self.skipped += 1,
            // Who writes nonsense over its entry has none.
            None => {
                self.instances.remove(part);
                self.skipped += 1;
            }
        }
    }

    /// All changes of one message of the watch: all of a revision or none.
    pub(crate) fn apply(&mut self, head: Head, changes: &[Change]) -> Verdict {
        if head.cluster != self.head.cluster || head.revision < self.head.revision {
            return Verdict::Resync(Resync::Restored);
        }
        if changes.is_empty() {
            // Progress does not count: an answer to a question may overtake an event that was under way.
            return Verdict::Same;
        }
        self.head = head;
        let goodbyes: Vec<&str> = changes
            .iter()
            .filter(|change| change.key == self.prefix)
            .filter_map(|change| std::str::from_utf8(change.value.as_deref()?).ok())
            .collect();
        let mut departed = Vec::new();
        for change in changes {
            match &change.value {
                Some(value) => self.add(&change.key, value),
                None => {
                    let part = change.key.strip_prefix(&self.prefix).unwrap_or_default();
                    let Some(gone) = self.instances.remove(part) else { continue };
                    if gone.state == State::Draining || goodbyes.contains(&gone.id.as_str()) {
                        departed.push(gone.id);
                    }
                }
            }
        }
        Verdict::Changed { departed }
    }

    /// The revision up to which everything is known.
    pub(crate) fn revision(&self) -> i64 {
        self.head.revision
    }

    /// The instances, now.
    pub(crate) fn instances(&self) -> impl Iterator<Item = Instance> + '_ {
        self.instances.values().cloned()
    }

    /// How many values could not be read since this was asked last.
    pub(crate) fn take_skipped(&mut self) -> u64 {
        std::mem::take(&mut self.skipped)
    }
}

/// The instance that an entry describes, if it does, and stands where it belongs.
fn read(part: &str, value: &[u8]) -> Option<Instance> {
    let instance = Record::from_json(value).ok()?.instance;
    (name::encode(&instance.id) == part).then_some(instance)
}

/// Whether a watch is still alive, and whether the list is old.
#[derive(Debug)]
pub(crate) struct Vigil {
    silence: Duration,
    heard: Instant,
    asked: Instant,
    listed: Instant,
    resync_at: Instant,
}

/// What a [`Vigil`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Watchword {
    /// All is well until then.
    Wait(Instant),
    /// Ask for a sign of life.
    Ask,
    /// Read the whole list.
    Resync(Resync),
}

impl Vigil {
    /// How soon after a list another one may be asked for by those who watch.
    const REST: Duration = Duration::from_secs(1);

    /// It begins after a list.
    pub(crate) fn new(now: Instant, silence: Duration, resync_every: Duration) -> Self {
        let resync_at = now + jitter(resync_every);
        Self { silence, heard: now, asked: now, listed: now, resync_at }
    }

    /// Something was heard.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A sign of life was asked for.
    pub(crate) fn asked(&mut self, now: Instant) {
        self.asked = now;
    }

    /// Somebody would like the list to be read again. Whether it is.
    pub(crate) fn hinted(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.listed) >= Self::REST
    }

    /// What to do now.
    pub(crate) fn next(&self, now: Instant) -> Watchword {
        let (silent_at, ask_at) = (self.heard + self.silence, self.heard.max(self.asked) + self.silence / 3);
        if now >= silent_at {
            Watchword::Resync(Resync::Silent)
        } else if now >= self.resync_at {
            Watchword::Resync(Resync::Periodic)
        } else if now >= ask_at {
            Watchword::Ask
        } else {
            Watchword::Wait(silent_at.min(self.resync_at).min(ask_at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "/courier/services/svc/";

    fn head(revision: i64) -> Head {
        Head { cluster: 7, revision }
    }

    fn value(id: &str, state: State) -> Vec<u8> {
        let instance = Instance::new("127.0.0.1:1".parse().unwrap()).with_id(id).with_state(state);
        Record { instance, epoch: 1 }.to_json().into_bytes()
    }

    fn put(id: &str) -> Change {
        Change { key: format!("{PREFIX}{id}"), value: Some(value(id, State::Up)) }
    }

    fn delete(id: &str) -> Change {
        Change { key: format!("{PREFIX}{id}"), value: None }
    }

    fn table(ids: &[&str]) -> Table {
        let mut table = Table::new(PREFIX.to_owned());
        assert!(!table.begin(head(10)), "the first list is no restore");
        for id in ids {
            table.add(&format!("{PREFIX}{id}"), &value(id, State::Up));
        }
        table
    }

    fn ids(table: &Table) -> Vec<String> {
        table.instances().map(|instance| instance.id).collect()
    }

    #[test]
    fn changes_are_applied() {
        let mut table = table(&["a", "b"]);
        let verdict = table.apply(head(11), &[put("c"), delete("a"), delete("unknown")]);
        assert_eq!(verdict, Verdict::Changed { departed: Vec::new() });
        assert_eq!(ids(&table), ["b", "c"]);
        assert_eq!(table.apply(head(12), &[]), Verdict::Same, "progress");
        assert_eq!(table.revision(), 11);
    }

    #[test]
    fn who_said_goodbye_or_drained_left_on_purpose() {
        let mut table = table(&["a", "b", "c"]);
        let draining = Change { key: format!("{PREFIX}b"), value: Some(value("b", State::Draining)) };
        table.apply(head(11), &[draining]);
        let goodbye = Change { key: PREFIX.to_owned(), value: Some(b"a".to_vec()) };
        let verdict = table.apply(head(12), &[delete("a"), delete("b"), delete("c"), goodbye]);
        assert_eq!(verdict, Verdict::Changed { departed: vec!["a".to_owned(), "b".to_owned()] });
        assert!(ids(&table).is_empty() && table.take_skipped() == 0, "a goodbye is no instance");
    }

    #[test]
    fn garbage_is_skipped_and_counted() {
        let mut table = table(&["a"]);
        table.add(&format!("{PREFIX}b"), b"garbage");
        table.add(&format!("{PREFIX}c"), &value("d", State::Up));
        table.add("/courier/services/svc2/e", &value("e", State::Up));
        assert_eq!((ids(&table), table.take_skipped()), (vec!["a".to_owned()], 2));
        let nonsense = Change { key: format!("{PREFIX}a"), value: Some(vec![0xff; 100_000]) };
        table.apply(head(11), &[nonsense]);
        assert!(ids(&table).is_empty(), "an entry that cannot be read is none");
    }

    #[test]
    fn another_history_is_noticed() {
        let mut table = table(&["a"]);
        assert_eq!(table.apply(head(9), &[]), Verdict::Resync(Resync::Restored));
        let other = Head { cluster: 8, revision: 99 };
        assert_eq!(table.apply(other, &[]), Verdict::Resync(Resync::Restored));
        assert!(table.begin(head(9)));
        assert!(!table.begin(head(9)));
        assert!(table.begin(Head { cluster: 8, revision: 10 }));
    }

    #[test]
    fn a_watch_that_is_silent_is_asked_and_then_given_up() {
        let now = Instant::now();
        let secs = Duration::from_secs;
        let mut vigil = Vigil::new(now, secs(9), secs(300));
        assert_eq!(vigil.next(now), Watchword::Wait(now + secs(3)));
        assert_eq!(vigil.next(now + secs(3)), Watchword::Ask);
        vigil.asked(now + secs(3));
        assert_eq!(vigil.next(now + secs(3)), Watchword::Wait(now + secs(6)));
        vigil.heard(now + secs(4));
        assert_eq!(vigil.next(now + secs(6)), Watchword::Wait(now + secs(7)), "an answer counts");
        vigil.asked(now + secs(7));
        vigil.asked(now + secs(10));
        assert_eq!(vigil.next(now + secs(13)), Watchword::Resync(Resync::Silent));
        assert!(!vigil.hinted(now) && vigil.hinted(now + secs(1)));
        vigil.heard(now + secs(400));
        assert_eq!(vigil.next(now + secs(400)), Watchword::Resync(Resync::Periodic));
    }
}
