//! [`ConsistentHash`]: calls of one key go to one endpoint, and nobody gets too many.
//!
//! For servers that keep something for a key: a cache, a session, a lock. Each endpoint has points on a ring of all
//! 64-bit numbers; a key belongs to the endpoint of the next point. When one of `n` endpoints comes or goes, only the
//! keys of its own points move, about `1/n` of all. (D. Karger et al., "Consistent Hashing and Random Trees", 1997; gRPC's
//! A42 has the same ring.)
//!
//! **Bounded load.** Keys are not alike: a hot one would drown its server. So no endpoint takes more than `factor` times
//! its share of the calls that are under way, 1.25 by default; what is above goes to others. (V. Mirrokni, M. Thorup, M.
//! Zadimoghaddam, "Consistent Hashing with Bounded Loads", 2016.) The paper passes on to the neighbour on the ring, which
//! is then full too, and its neighbour. Here, as in Envoy, a key has an order of its own in which it tries all others
//! (J. Chen, B. Coleman, A. Shrivastava, "Revisiting Consistent Hashing with Bounded Loads", 2019), so that the overflow
//! spreads, and still each key overflows to the same few.
//!
//! **Weights** are the number of points, and the share. A weight is reckoned by the average, so to change one changes the
//! points of all a little.
//!
//! **The key** is what the call was given ([`Pick::key`]), or else the value of the metadata entry that the policy was
//! told to look at. A call without either goes to anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::balance::endpoint::Endpoint;
use crate::balance::hash::{hash, mix};
use crate::balance::picker::{Builder, Pick, Picker};

/// Points of an endpoint of average weight. The shares of two such endpoints differ by about a tenth.
const POINTS_EACH: usize = 100;
/// The most points of a ring. From a thousand endpoints on each has fewer; bounded load evens that out.
const POINTS: usize = 1 << 17;

/// Calls of one key go to one endpoint, and nobody gets more than its share by a factor.
#[derive(Clone, Debug)]
pub struct ConsistentHash {
    factor: Option<f64>,
    metadata: Option<String>,
}

impl Default for ConsistentHash {
    /// By the key that the call was given; no endpoint takes more than 1.25 times its share.
    fn default() -> Self {
        Self { factor: Some(1.25), metadata: None }
    }
}

impl ConsistentHash {
    /// Calls that were given no key go by the value of this metadata entry.
    #[must_use]
    pub fn by_metadata(self, name: impl Into<String>) -> Self {
        Self { metadata: Some(name.into()), ..self }
    }

    /// How many times its share of the calls under way an endpoint takes before they go to others. From 1.01 on;
    /// 1.25 to 2 is usual. Nearer to 1 is more even, and sends more calls to where their key is not known.
    #[must_use]
    pub fn with_factor(self, factor: f64) -> Self {
        // `max` also makes a NaN a number.
        Self { factor: Some(factor.max(1.01)), ..self }
    }

    /// A key stays where it is, however much of it there is.
    #[must_use]
    pub fn unbounded(self) -> Self {
        Self { factor: None, ..self }
    }
}

#[derive(Debug)]
struct ConsistentHashPicker {
    ring: Vec<Point>,
    members: Vec<Member>,
    factor: Option<f64>,
    metadata: Option<String>,
    count: Recount,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    at: u64,
    index: u32,
}

#[derive(Debug)]
struct Member {
    endpoint: Endpoint,
    /// Its part of all weights.
    share: f64,
}

/// All calls under way, counted anew only now and then: counting means to look at every endpoint.
#[derive(Debug)]
struct Recount {
    picks: AtomicU64,
    pending: AtomicU64,
    /// After how many picks.
    every: u64,
}

impl Builder for ConsistentHash {
    fn name(&self) -> &'static str {
        "consistent_hash"
    }

    fn build(&self, endpoints: &[Endpoint], _: Option<&dyn Picker>, _: Instant) -> Arc<dyn Picker> {
        let total: f64 = endpoints.iter().map(|endpoint| f64::from(endpoint.weight())).sum();
        let members: Vec<Member> = endpoints
            .iter()
            .map(|endpoint| {
                let share = if total > 0.0 { f64::from(endpoint.weight()) / total } else { 0.0 };
                Member { endpoint: endpoint.clone(), share }
            })
            .collect();
        let every = (endpoints.len() as u64 / 16).max(1);
        Arc::new(ConsistentHashPicker {
            ring: ring(&members),
            members,
            factor: self.factor,
            metadata: self.metadata.clone(),
            count: Recount { picks: AtomicU64::new(0), pending: AtomicU64::new(0), every },
        })
    }
}

fn ring(members: &[Member]) -> Vec<Point> {
    let some = members.iter().filter(|member| member.share > 0.0).count();
    let all = (POINTS_EACH * some).min(POINTS) as f64;
    let mut ring = Vec::new();
    for (index, member) in members.iter().enumerate() {
        if member.share > 0.0 {
            // By the id and not by the place in the list: a point stays where it is when others come and go.
            let id = hash(member.endpoint.instance().id.as_bytes());
            let points = ((all * member.share).round() as u64).max(1);
            ring.extend((0..points).map(|point| Point { at: mix(id ^ mix(point)), index: index as u32 }));
        }
    }
    ring.sort_unstable_by_key(|point| (point.at, point.index));
    ring
}

impl Picker for ConsistentHashPicker {
    fn pick(&self, call: &Pick<'_>) -> Option<usize> {
        let key = call.key.or_else(|| Some(hash(call.metadata?.get(self.metadata.as_deref()?)?.as_bytes())));
        // Mixed, so that keys may be as near to each other as numbers in a row.
        let key = mix(key.unwrap_or_else(|| fastrand::u64(..)));
        let after = self.ring.partition_point(|point| point.at < key);
        let owner = self.ring.get(after).or(self.ring.first())?.index as usize;
        let pending = match self.factor {
            Some(_) => self.count.pending(&self.members),
            None => 0,
        };
        if self.takes(owner, pending, call) {
            return Some(owner);
        }
        Some(self.others(key).find(|&other| self.takes(other, pending, call)).unwrap_or_else(|| {
            // Nobody has room by a count that others have changed meanwhile, or everybody with room was tried.
            let untried = |&other: &usize| self.has_weight(other) && !call.has_tried(other);
            if call.has_tried(owner) { self.others(key).find(untried).unwrap_or(owner) } else { owner }
        }))
    }
}

impl ConsistentHashPicker {
    /// Whether this one gets the call, if so many are under way in all.
    fn takes(&self, index: usize, pending: u64, call: &Pick<'_>) -> bool {
        let Some(member) = self.members.get(index) else { return false };
        if member.share == 0.0 || call.has_tried(index) {
            return false;
        }
        let Some(factor) = self.factor else { return true };
        let own = f64::from(member.endpoint.load().pending());
        own == 0.0 || own < (((pending + 1) as f64 * factor).ceil() * member.share).ceil()
    }

    fn has_weight(&self, index: usize) -> bool {
        self.members.get(index).is_some_and(|member| member.share > 0.0)
    }

    /// All members once, in this key's own order: a start and a step without a common divisor with their number, which
    /// is how Maglev orders its table.
    fn others(&self, key: u64) -> impl Iterator<Item = usize> {
        let count = self.members.len().max(1) as u64;
        let start = mix(key) % count;
        let mut step = mix(!key) % count;
        while greatest_common_divisor(count, step) != 1 {
            step = (step + 1) % count;
        }
        (0..count).scan(start, move |place, _| {
            let here = *place;
            *place = (*place + step) % count;
            Some(here as usize)
        })
    }
}

/// That of `count` and 0 is `count`, so a step of 0 is one only for a list of one.
fn greatest_common_divisor(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { greatest_common_divisor(other, one % other) }
}

impl Recount {
    fn pending(&self, members: &[Member]) -> u64 {
        if !self.picks.fetch_add(1, Relaxed).is_multiple_of(self.every) {
            return self.pending.load(Relaxed);
        }
        let pending = members.iter().map(|member| u64::from(member.endpoint.load().pending())).sum();
        self.pending.store(pending, Relaxed);
        pending
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::balance::testing::{endpoints, now, weighted};
    use crate::metadata::Metadata;

    fn owner(picker: &dyn Picker, key: u64) -> Option<usize> {
        picker.pick(&Pick::new(now()).with_key(Some(key)))
    }

    fn built(endpoints: &[Endpoint]) -> Arc<dyn Picker> {
        ConsistentHash::default().build(endpoints, None, now())
    }

    #[test]
    fn a_key_stays_and_keys_are_spread() {
        let endpoints = endpoints(10);
        let picker = built(&endpoints);
        let mut shares = [0u32; 10];
        for key in 0..100_000 {
            let picked = owner(&*picker, key).expect("there are ten");
            assert_eq!(owner(&*picker, key), Some(picked));
            shares[picked] += 1;
        }
        // A ring of 100 points each: the standard deviation is a tenth.
        assert!(shares.iter().all(|share| (6_500..13_500).contains(share)), "{shares:?}");
    }

    #[test]
    fn only_the_keys_of_the_one_that_goes_move() {
        let all = endpoints(20);
        let (before, after) = (built(&all), built(&all[..19]));
        let moved = (0..50_000)
            .filter(|&key| {
                let (old, new) = (owner(&*before, key), owner(&*after, key));
                assert!(old == new || old == Some(19), "a key moved that was not its");
                old != new
            })
            .count();
        assert!((1_500..3_500).contains(&moved), "{moved} of 50,000 moved; a twentieth is 2,500");
    }

    #[test]
    fn a_hot_key_fills_nobody_beyond_the_bound() {
        let endpoints = endpoints(10);
        let picker = built(&endpoints);
        let calls: Vec<_> = (0..1_000)
            .map(|_| endpoints[owner(&*picker, 7).expect("there are ten")].load().begin(now()))
            .collect();
        let most = endpoints.iter().map(|endpoint| endpoint.load().pending()).max();
        assert!(most <= Some(126), "{most:?} of {} calls", calls.len());
    }

    #[test]
    fn what_overflows_goes_to_the_same_few_and_not_the_same_for_all_keys() {
        let endpoints = endpoints(50);
        let picker = built(&endpoints);
        let overflow = |key| -> (Option<usize>, Option<usize>) {
            let first = owner(&*picker, key);
            let call = endpoints[first.expect("there are fifty")].load().begin(now());
            let more = endpoints[first.expect("there are fifty")].load().begin(now());
            let second = owner(&*picker, key);
            drop((call, more));
            (first, second)
        };
        let mut seconds = HashSet::new();
        for key in 0..2_000 {
            let (first, second) = overflow(key);
            assert!(first != second);
            assert_eq!(overflow(key).1, second);
            if first == Some(0) {
                seconds.insert(second);
            }
        }
        assert!(seconds.len() > 10, "the overflow of one server goes to only {}", seconds.len());
    }

    #[test]
    fn weights_are_shares_and_none_is_none() {
        let endpoints = weighted(&[100, 300, 0]);
        let picker = built(&endpoints);
        let first = (0..10_000).filter(|&key| owner(&*picker, key) == Some(0)).count();
        assert!((1_800..3_200).contains(&first), "{first}");
        assert!((0..10_000).all(|key| owner(&*picker, key) != Some(2)));
        assert_eq!(owner(&*built(&weighted(&[0, 0])), 1), None);
        assert_eq!(owner(&*built(&[]), 1), None);
        assert_eq!(owner(&*built(&weighted(&[u32::MAX])), 1), Some(0));
        assert!(owner(&*built(&weighted(&[u32::MAX, 1, u32::MAX])), 1).is_some());
    }

    #[test]
    fn the_key_comes_from_the_call_then_from_the_metadata_then_from_chance() {
        fastrand::seed(1);
        let endpoints = endpoints(20);
        let picker = ConsistentHash::default().by_metadata("user").build(&endpoints, None, now());
        let mut metadata = Metadata::new();
        metadata.insert("user", "7").expect("it is a name");
        let call = Pick::new(now()).with_metadata(&metadata);
        assert_eq!(picker.pick(&call), owner(&*picker, hash(b"7")));
        assert_eq!(picker.pick(&call.with_key(Some(3))), owner(&*picker, 3));
        let anybody: HashSet<_> = (0..200).map(|_| picker.pick(&Pick::new(now()))).collect();
        assert!(anybody.len() > 10, "calls without a key go to {} of 20", anybody.len());
    }

    proptest! {
        #[test]
        fn a_call_goes_to_another_than_it_has_tried_as_long_as_there_is_one(
            count in 1usize..12,
            tried in prop::collection::vec(0usize..12, 0..12),
            key: u64,
        ) {
            let picker = built(&endpoints(count));
            let picked = picker.pick(&Pick::new(now()).with_key(Some(key)).with_tried(&tried)).expect("there is one");
            let other = (0..count).any(|index| !tried.contains(&index));
            prop_assert!(picked < count && (!other || !tried.contains(&picked)));
        }

        #[test]
        fn an_order_of_a_key_has_everybody_once(count in 1usize..200, key: u64) {
            let members: Vec<Member> =
                endpoints(count).into_iter().map(|endpoint| Member { endpoint, share: 1.0 }).collect();
            let count_ = Recount { picks: AtomicU64::new(0), pending: AtomicU64::new(0), every: 1 };
            let picker =
                ConsistentHashPicker { ring: Vec::new(), members, factor: None, metadata: None, count: count_ };
            let order: HashSet<usize> = picker.others(key).collect();
            prop_assert_eq!(order.len(), count);
        }
    }
}
