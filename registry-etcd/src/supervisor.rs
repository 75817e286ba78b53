//! [`Supervisor`]: what to do next so that everything that shall be registered is, and nothing else.
//!
//! It decides and never waits: [`next`](Supervisor::next) says what to do now, the shell ([`registry`](crate::registry))
//! does it, and reports. One thing is under way at a time, so nothing overtakes anything:
//!
//! ```text
//!                      +--------------------- LeaseGone, or no renewal in 2/3 TTL -----------------+
//!                      v                                                                           |
//!    (something is to stand there) --> Grant --> Put each entry --> Renew each TTL/3, Verify each TTL/2
//!                      ^                 |           |                             |
//!                      +--- back-off ----+-----------+--- no attempt limit --------+
//!
//!    (withdrawn) --> Remove, if it is ours --> Revoke leases under which a Put may be under way --> gone
//! ```
//!
//! Three things that others got wrong are decided here:
//!
//! * **Whose an entry is.** A `Put` names the revision at which the key was last seen, and does nothing if that has
//!   changed; then the value says whose it is, by the process's epoch. Of two processes with one id the one that started
//!   last is right; the other one stands by, and comes back when the key is free.
//! * **What may still arrive.** A `Put` that was not answered may be carried out later, even after the withdrawal. So the
//!   withdrawal of an entry with a `Put` in doubt also revokes that `Put`'s lease (what else stands under it moves to a
//!   new lease before). A `Put` under a lease that is gone does nothing.
//! * **What went away by itself.** A lease that still lives does not mean that the key does. `Verify` looks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rpc_core::discovery::record::Record;
use rpc_core::{Certainty, Status};
use tokio::sync::oneshot;

use crate::client::Failure;
use crate::lease::{Backoff, Lease, jitter};
use crate::stats::{Counters, Stats};

/// Who waits for a registration or a withdrawal.
pub(crate) type Waiter = oneshot::Sender<Result<(), Status>>;

/// How many keys are looked at in one request; etcd takes 128 by default.
const VERIFY_BATCH: usize = 100;

/// How many leases are remembered that are still to be revoked. They end by themselves as well.
const MAX_RETIRED: usize = 16;

/// How long an entry waits that was refused: for lack of a permission, say.
const REFUSED_WAIT: Duration = Duration::from_secs(5);

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing, until this time or until something is asked for.
    Wait(Option<Instant>),
    /// Ask for a lease.
    Grant,
    /// Renew the lease of this id, and wait no longer than this.
    Renew { lease: i64, patience: Duration },
    /// Write the value under the lease, if the key's revision is the expected one; 0 stands for a key that is not there.
    Put { key: String, value: String, version: u64, lease: i64, expected: i64 },
    /// Delete the key, if its revision is the expected one; and say goodbye under the lease, if there is one.
    Remove { key: String, expected: i64, lease: Option<i64> },
    /// Look at these keys.
    Verify(Vec<String>),
    /// Revoke the lease.
    Revoke(i64),
    /// Nothing any more: it was closed, and everything is withdrawn.
    End,
}

/// What became of a `Put` or a `Remove`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was carried out; the key's revision.
    Done(i64),
    /// The key's revision is another one: this stands there, if anything.
    Found(Option<Found>),
}

/// What stands at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) revision: i64,
    pub(crate) lease: i64,
    pub(crate) value: Vec<u8>,
}

/// What a process registers, and under which lease.
pub(crate) struct Supervisor {
    epoch: u64,
    verify_every: Duration,
    lease: Option<Lease>,
    /// Leases that are not used any more and may still live.
    retired: VecDeque<i64>,
    entries: BTreeMap<String, Entry>,
    backoff: Backoff,
    verify_at: Option<Instant>,
    /// The last key of this round of `Verify`.
    verified_to: Option<String>,
    closing: bool,
    counters: Arc<Counters>,
}

/// What shall stand at one key, and what is known of it.
struct Entry {
    record: Record,
    value: String,
    /// Counts the descriptions that were registered under this key.
    version: u64,
    /// The key's revision when it was last seen; 0: it is not there, or what is there has to be looked at again.
    seen: i64,
    /// What stands there may be this process's.
    owned: bool,
    /// What is known to stand there: this version, under this lease.
    placed: Option<(u64, i64)>,
    /// Leases under which a `Put` may still arrive.
    doubts: BTreeSet<i64>,
    withdrawn: bool,
    /// Withdrawn, and seen not to be there, or to be another's.
    absent: bool,
    /// Another process that started later has it.
    contested: bool,
    /// Nothing is tried before this.
    again: Option<Instant>,
    registering: Vec<Waiter>,
    withdrawing: Vec<Waiter>,
}

impl Entry {
    fn new(record: Record) -> Self {
        Self {
            value: record.to_json(),
            record,
            version: 0,
            seen: 0,
            owned: false,
            placed: None,
            doubts: BTreeSet::new(),
            withdrawn: false,
            absent: false,
            contested: false,
            again: None,
            registering: Vec::new(),
            withdrawing: Vec::new(),
        }
    }

    /// Takes in what stands at the key. Whether it is as it shall be.
    fn look(&mut self, found: Option<&Found>, lease: Option<i64>) -> bool {
        self.seen = found.map_or(0, |found| found.revision);
        self.owned = false;
        self.placed = None;
        self.contested = false;
        let Some(found) = found else { return false };
        // What cannot be read is nobody's.
        let Ok(theirs) = Record::from_json(&found.value) else { return false };
        if theirs.epoch != self.record.epoch {
            self.contested = theirs.prevails_over(&self.record);
            return false;
        }
        self.owned = true;
        let right = Some(found.lease) == lease && found.value == self.value.as_bytes();
        if right {
            self.placed = Some((self.version, found.lease));
        }
        right
    }

    /// Whether this version is known to stand there, under this lease.
    fn stands(&self, lease: Option<i64>) -> bool {
        lease.is_some_and(|lease| self.placed == Some((self.version, lease)))
    }

    /// Whether what stands at the key is this process's.
    fn owns(&self, found: &Found) -> bool {
        Record::from_json(&found.value).is_ok_and(|theirs| theirs.epoch == self.record.epoch)
    }
}

fn tell(waiters: &mut Vec<Waiter>, result: &Result<(), Status>) {
    for waiter in waiters.drain(..) {
        // Who does not wait any more need not know.
        let _ = waiter.send(result.clone());
    }
}

impl Supervisor {
    /// Nothing to register yet. `verify_every` is how often to look whether everything still stands there.
    pub(crate) fn new(epoch: u64, verify_every: Duration, counters: Arc<Counters>) -> Self {
        Self {
            epoch,
            verify_every,
            lease: None,
            retired: VecDeque::new(),
            entries: BTreeMap::new(),
            backoff: Backoff::new(),
            verify_at: None,
            verified_to: None,
            closing: false,
            counters,
        }
    }

    /// The number of this process.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    // What is asked for.

    /// From now on this record shall stand at this key.
    pub(crate) fn register(&mut self, key: String, record: Record, waiter: Waiter) {
        if self.closing {
            let closed = Status::failed_precondition("the registry was closed");
            let _ = waiter.send(Err(closed.with_certainty(Certainty::NotExecuted)));
            return;
        }
        let entry = self.entries.entry(key).or_insert_with(|| Entry::new(record.clone()));
        // Whoever withdrew has been overruled.
        tell(&mut entry.withdrawing, &Ok(()));
        entry.withdrawn = false;
        entry.absent = false;
        entry.again = None;
        if entry.contested {
            // It may have gone meanwhile; if not, whoever registers hears of it.
            entry.contested = false;
            entry.seen = 0;
        }
        entry.version += 1;
        entry.value = record.to_json();
        entry.record = record;
        entry.registering.push(waiter);
    }

    /// From now on nothing of this process shall stand at this key.
    pub(crate) fn withdraw(&mut self, key: &str, waiter: Waiter) {
        match self.entries.get_mut(key) {
            Some(entry) => {
                entry.withdraw();
                entry.withdrawing.push(waiter);
            }
            None => drop(waiter.send(Ok(()))),
        }
    }

    /// From now on nothing of this process shall stand anywhere.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        for entry in self.entries.values_mut() {
            entry.withdraw();
        }
    }

    // What to do.

    /// What to do now.
    pub(crate) fn next(&mut self, now: Instant) -> Action {
        // It may have come too late for a renewal: a process that was stopped, a machine that slept.
        if self.lease.as_ref().is_some_and(|lease| now >= lease.doubtful_at()) {
            Counters::add(&self.counters.losses);
            self.retire();
        }
        if let Some(until) = self.backoff.until(now) {
            return Action::Wait(Some(until));
        }
        self.settle();
        let live = self.entries.values().any(|entry| !entry.withdrawn);
        if live {
            match &self.lease {
                None => return Action::Grant,
                Some(lease) if now >= lease.renew_at() => {
                    return Action::Renew { lease: lease.id, patience: lease.patience() };
                }
                Some(_) => {}
            }
        }
        if let Some(action) = self.next_change(now) {
            return action;
        }
        if !live {
            self.retire();
        }
        if let Some(lease) = self.retired.front() {
            return Action::Revoke(*lease);
        }
        if self.closing && self.entries.is_empty() {
            return Action::End;
        }
        self.next_verification(now)
    }

    /// The next entry that is to be taken away or to be put.
    fn next_change(&self, now: Instant) -> Option<Action> {
        let waits = |entry: &Entry| entry.again.is_some_and(|again| again > now);
        let lease = self.lease.as_ref().map(|lease| lease.id);
        for (key, entry) in &self.entries {
            if entry.withdrawn && !entry.absent && !waits(entry) {
                // What is not ours is not taken away, but first looked at: a revision of 0 does not match it.
                let expected = if entry.owned { entry.seen } else { 0 };
                return Some(Action::Remove { key: key.clone(), expected, lease });
            }
        }
        let lease = lease?;
        for (key, entry) in &self.entries {
            if !entry.withdrawn && !entry.stands(Some(lease)) && !entry.contested && !waits(entry) {
                return Some(Action::Put {
                    key: key.clone(),
                    value: entry.value.clone(),
                    version: entry.version,
                    lease,
                    expected: entry.seen,
                });
            }
        }
        None
    }

    fn next_verification(&mut self, now: Instant) -> Action {
        let again = self.entries.values().filter_map(|entry| entry.again).filter(|again| *again > now).min();
        let Some(lease) = self.lease.as_ref() else { return Action::Wait(again) };
        let verify_at = *self.verify_at.get_or_insert_with(|| now + jitter(self.verify_every));
        if now >= verify_at {
            let from = self.verified_to.take();
            let keys: Vec<String> = self
                .entries
                .iter()
                .filter(|(key, entry)| !entry.withdrawn && from.as_ref().is_none_or(|from| *key > from))
                .map(|(key, _)| key.clone())
                .take(VERIFY_BATCH)
                .collect();
            if !keys.is_empty() {
                return Action::Verify(keys);
            }
            self.verify_at = Some(now + jitter(self.verify_every));
        }
        let verify_at = self.verify_at.unwrap_or(verify_at);
        Action::Wait(again.into_iter().chain([lease.renew_at(), verify_at]).min())
    }

    /// Ends withdrawals of which nothing can come back, and retires the lease if one depends on that.
    fn settle(&mut self) {
        self.entries.retain(|_, entry| {
            let ends = entry.withdrawn && entry.absent && entry.doubts.is_empty();
            if ends {
                tell(&mut entry.withdrawing, &Ok(()));
            }
            !ends
        });
        let doubted = |id| self.entries.values().any(|entry| entry.withdrawn && entry.doubts.contains(&id));
        if self.lease.as_ref().is_some_and(|lease| doubted(lease.id)) {
            self.retire();
        }
    }

    /// The lease is not used any more; it is to be revoked, once everything stands under another one.
    fn retire(&mut self) {
        if let Some(lease) = self.lease.take() {
            self.retired.push_back(lease.id);
            self.verify_at = None;
            self.verified_to = None;
            let oldest = self.retired.front().copied().filter(|_| self.retired.len() > MAX_RETIRED);
            if let Some(oldest) = oldest {
                self.forget(oldest);
            }
        }
    }

    /// Nothing can arrive under this lease any more.
    fn forget(&mut self, lease: i64) {
        self.retired.retain(|retired| *retired != lease);
        for entry in self.entries.values_mut() {
            entry.doubts.remove(&lease);
        }
    }

    // What came of it.

    /// A lease was granted to a request sent at this time.
    pub(crate) fn granted(&mut self, sent: Instant, id: i64, ttl: Duration) {
        self.backoff.succeeded();
        Counters::add(&self.counters.grants);
        self.lease = Some(Lease::new(id, ttl, sent));
    }

    /// The lease was renewed by a request sent at this time.
    pub(crate) fn renewed(&mut self, sent: Instant, id: i64) {
        self.backoff.succeeded();
        Counters::add(&self.counters.renewals);
        if let Some(lease) = self.lease.as_mut().filter(|lease| lease.id == id) {
            lease.renewed(sent);
        }
    }

    /// A lease that is not used any more is revoked, or ends by itself.
    pub(crate) fn revoked(&mut self, id: i64) {
        self.backoff.succeeded();
        self.forget(id);
    }

    /// The lease is not there any more: it ran out, or somebody revoked it.
    pub(crate) fn lease_gone(&mut self, id: i64) {
        self.backoff.succeeded();
        if self.lease.as_ref().is_some_and(|lease| lease.id == id) {
            Counters::add(&self.counters.losses);
            self.retire();
        }
        self.forget(id);
    }

    /// What became of a `Put` of this version of the entry, under this lease.
    pub(crate) fn put(&mut self, key: &str, version: u64, lease: i64, outcome: Outcome) {
        self.backoff.succeeded();
        let current = self.lease.as_ref().map(|lease| lease.id);
        let Some(entry) = self.entries.get_mut(key) else { return };
        match outcome {
            Outcome::Done(revision) => {
                entry.seen = revision;
                entry.owned = true;
                entry.placed = Some((version, lease));
                entry.contested = false;
                entry.absent = false;
            }
            Outcome::Found(found) => {
                entry.look(found.as_ref(), current);
            }
        }
        if entry.contested {
            tell(&mut entry.registering, &Err(contested(&entry.record)));
        } else if entry.stands(current) {
            tell(&mut entry.registering, &Ok(()));
        }
    }

    /// What became of a `Remove`.
    pub(crate) fn removed(&mut self, key: &str, outcome: Outcome) {
        self.backoff.succeeded();
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.placed = None;
        match outcome {
            // It was changed since, by this process: once more.
            Outcome::Found(Some(found)) if entry.owns(&found) => {
                entry.seen = found.revision;
                entry.owned = true;
            }
            Outcome::Done(_) | Outcome::Found(_) => {
                entry.seen = 0;
                entry.owned = false;
                entry.absent = entry.withdrawn;
            }
        }
    }

    /// What stands at these keys.
    pub(crate) fn verified(&mut self, found: Vec<(String, Option<Found>)>) {
        self.backoff.succeeded();
        let lease = self.lease.as_ref().map(|lease| lease.id);
        self.verified_to = found.last().map(|(key, _)| key.clone());
        for (key, found) in found {
            let Some(entry) = self.entries.get_mut(&key).filter(|entry| !entry.withdrawn) else { continue };
            let was_contested = entry.contested;
            let right = entry.look(found.as_ref(), lease);
            let stands_by = was_contested && entry.contested;
            if !right && !stands_by {
                Counters::add(&self.counters.repairs);
            }
        }
    }

    /// An action failed. `key` is what it was about, if it was about one; `doubt` is the lease under which a `Put` may
    /// arrive later.
    pub(crate) fn failed(&mut self, now: Instant, key: Option<&str>, doubt: Option<i64>, failure: &Failure) {
        let entry = key.and_then(|key| self.entries.get_mut(key));
        if !matches!(failure, Failure::Refused(..)) {
            self.backoff.failed(now);
            if let Some(entry) = entry {
                // Whether it was carried out is not known.
                entry.seen = 0;
                entry.owned = true;
                entry.absent = false;
                entry.doubts.extend(doubt);
            }
            return;
        }
        // Only what was refused waits, and whoever asked for it hears why.
        let Some(entry) = entry else {
            self.backoff.failed(now);
            for entry in self.entries.values_mut() {
                tell(&mut entry.registering, &Err(failure.status("registering")));
            }
            return;
        };
        entry.again = Some(now + REFUSED_WAIT);
        tell(&mut entry.registering, &Err(failure.status("registering")));
        tell(&mut entry.withdrawing, &Err(failure.status("withdrawing")));
    }

    /// How many entries may still stand there although they shall not.
    pub(crate) fn left(&self) -> usize {
        self.entries.values().filter(|entry| entry.withdrawn).count()
    }

    /// How it stands.
    pub(crate) fn stats(&self, now: Instant) -> Stats {
        let live = || self.entries.values().filter(|entry| !entry.withdrawn);
        let lease = self.lease.as_ref();
        Stats {
            lease: lease.map(|lease| lease.id),
            lease_left: lease.map(|lease| lease.expires_at().saturating_duration_since(now)),
            wanted: live().count(),
            registered: live().filter(|entry| entry.stands(lease.map(|lease| lease.id))).count(),
            contested: live().filter(|entry| entry.contested).count(),
            ..self.counters.stats()
        }
    }
}

impl Entry {
    fn withdraw(&mut self) {
        if !self.withdrawn {
            self.withdrawn = true;
            // If a `Put` is under way at this moment, its outcome corrects this.
            self.absent = !self.owned;
            self.again = None;
            let withdrawn = Status::aborted("it was withdrawn meanwhile");
            tell(&mut self.registering, &Err(withdrawn.with_certainty(Certainty::NotExecuted)));
        }
    }
}

fn contested(record: &Record) -> Status {
    Status::new(
        rpc_core::Code::AlreadyExists,
        format!(
            "another process, which started later, is registered as {:?}; this one is again when that one has gone",
            record.instance.id
        ),
    )
    .with_certainty(Certainty::NotExecuted)
}

#[cfg(test)]
mod tests;
