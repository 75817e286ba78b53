//! [`Stats`]: what a registry has gone through, as numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a registry has gone through, and how it stands. Counters only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The lease under which everything is registered, if there is one.
    pub lease: Option<i64>,
    /// What is left of it, by this process's clock.
    pub lease_left: Option<Duration>,
    /// How many entries shall stand in etcd.
    pub wanted: usize,
    /// How many are known to stand there.
    pub registered: usize,
    /// How many are left to another process that started later under the same id.
    pub contested: usize,
    /// Leases granted.
    pub grants: u64,
    /// Renewals that succeeded.
    pub renewals: u64,
    /// Leases that were lost: run out, revoked, or not renewed in time.
    pub losses: u64,
    /// Entries that were gone or changed, and put again.
    pub repairs: u64,
    /// Times that a member of the cluster was left for the next.
    pub failovers: u64,
    /// Watches that run.
    pub watches: usize,
    /// Whole lists read.
    pub lists: u64,
    /// Whole lists read because the watch could not go on: see [`Resync`].
    pub resyncs: u64,
    /// Those because of compaction.
    pub compactions: u64,
    /// Those because the revision went backwards or the cluster is another one: data was lost or restored.
    pub restores: u64,
    /// Those because nothing was heard.
    pub silences: u64,
    /// Changes that watches brought.
    pub events: u64,
    /// Values that could not be read, and were skipped.
    pub skipped: u64,
}

/// Why a watch reads the whole list again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resync {
    /// The connection or the stream ended, or the member has no leader.
    Broken,
    /// The history that the watch needs was compacted.
    Compacted,
    /// The revision went backwards, or the cluster is another one: data was lost, or an older state restored.
    Restored,
    /// Nothing was heard for too long, not even an answer to the question for progress.
    Silent,
    /// It was time to.
    Periodic,
    /// Whoever watches asked for it, because connections fail.
    Hinted,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) grants: AtomicU64,
    pub(crate) renewals: AtomicU64,
    pub(crate) losses: AtomicU64,
    pub(crate) repairs: AtomicU64,
    pub(crate) failovers: AtomicU64,
    pub(crate) lists: AtomicU64,
    pub(crate) resyncs: AtomicU64,
    pub(crate) compactions: AtomicU64,
    pub(crate) restores: AtomicU64,
    pub(crate) silences: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) skipped: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64) {
        Self::add_many(counter, 1);
    }

    pub(crate) fn add_many(counter: &AtomicU64, many: u64) {
        counter.fetch_add(many, Ordering::Relaxed);
    }

    /// One more resync, for this reason.
    pub(crate) fn resync(&self, why: Resync) {
        Self::add(&self.resyncs);
        match why {
            Resync::Compacted => Self::add(&self.compactions),
            Resync::Restored => Self::add(&self.restores),
            Resync::Silent => Self::add(&self.silences),
            Resync::Broken | Resync::Periodic | Resync::Hinted => {}
        }
    }

    /// The counters, with zero for what is no counter.
    pub(crate) fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            grants: read(&self.grants),
            renewals: read(&self.renewals),
            losses: read(&self.losses),
            repairs: read(&self.repairs),
            failovers: read(&self.failovers),
            lists: read(&self.lists),
            resyncs: read(&self.resyncs),
            compactions: read(&self.compactions),
            restores: read(&self.restores),
            silences: read(&self.silences),
            events: read(&self.events),
            skipped: read(&self.skipped),
            ..Stats::default()
        }
    }
}
