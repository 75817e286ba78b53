//! [`Zone`]: rather somebody near, without overloading the near ones. It wraps another policy.
//!
//! A call that stays in its zone is faster, and in most clouds free. But if a zone has fewer servers than clients of its
//! own would fill, to stay would drown them. As in Envoy's zone-aware routing, the client supposes that each zone has as
//! many clients as any other, and looks at the zone's part of the servers' weights:
//!
//! * It is the zone's fair part (one of three for three zones) or more: every call stays.
//! * It is less: as many calls stay as the zone can take, `part / fair part` of them; the rest spill over to the zones
//!   that have more than their fair part, in proportion to what they have more.
//!
//! The policy is given only servers that may be chosen, so a zone whose servers fail spills over by itself. So does a
//! call that has tried all of its own zone.

use std::sync::Arc;
use std::time::Instant;

use crate::balance::endpoint::Endpoint;
use crate::balance::group::Group;
use crate::balance::picker::{Builder, Pick, Picker};

/// Prefers the servers of one zone, the client's own.
#[derive(Clone, Debug)]
pub struct Zone<B> {
    inner: B,
    own: String,
}

impl<B: Builder> Zone<B> {
    /// Within a zone `inner` picks; `own` is the zone that the client is in, as instances name theirs.
    pub fn new(inner: B, own: impl Into<String>) -> Self {
        Self { inner, own: own.into() }
    }
}

#[derive(Debug)]
struct ZonePicker {
    near: Option<Group>,
    /// How many of the calls stay, from 0 to 1.
    stay: f64,
    far: Vec<Far>,
}

/// Another zone.
#[derive(Debug)]
struct Far {
    name: String,
    group: Group,
    /// Its part of what spills over, with the parts of those before it.
    upto: f64,
}

impl<B: Builder> Builder for Zone<B> {
    fn name(&self) -> &'static str {
        "zone"
    }

    fn narrow(&self, endpoints: &[Endpoint]) -> Option<Vec<usize>> {
        self.inner.narrow(endpoints)
    }

    fn build(&self, endpoints: &[Endpoint], previous: Option<&dyn Picker>, now: Instant) -> Arc<dyn Picker> {
        let previous = previous.and_then(|previous| previous.downcast_ref::<ZonePicker>());
        let mut names: Vec<&str> = endpoints.iter().map(|endpoint| &*endpoint.instance().zone).collect();
        names.push(&self.own);
        names.sort_unstable();
        names.dedup();
        let weight = |name: &str| -> f64 {
            let of_zone = endpoints.iter().filter(|endpoint| endpoint.instance().zone == name);
            of_zone.map(|endpoint| f64::from(endpoint.weight())).sum()
        };
        let members = |name: &str| -> Vec<usize> {
            let of_zone = |&index: &usize| endpoints.get(index).is_some_and(|it| it.instance().zone == name);
            (0..endpoints.len()).filter(of_zone).collect()
        };
        // Without any weight at all nobody is picked, by whatever part.
        let total = names.iter().map(|name| weight(name)).sum::<f64>().max(1.0);
        let fair = 1.0 / names.len() as f64;

        let own = members(&self.own);
        let near = (!own.is_empty()).then(|| {
            let before = previous.and_then(|previous| previous.near.as_ref());
            Group::new(&self.inner, endpoints, own, before, now)
        });
        let others: Vec<(&str, f64)> = names
            .into_iter()
            .filter(|name| *name != self.own)
            .map(|name| (name, weight(name) / total))
            .collect();
        let spare: f64 = others.iter().map(|(_, part)| (part - fair).max(0.0)).sum();
        let mut upto = 0.0;
        let far = others
            .into_iter()
            .map(|(name, part)| {
                // If nobody has more than its fair part, all are taken by their part.
                upto += if spare > 0.0 { (part - fair).max(0.0) } else { part };
                let same = |far: &&Far| far.name == name;
                let before =
                    previous.and_then(|previous| previous.far.iter().find(same)).map(|far| &far.group);
                let group = Group::new(&self.inner, endpoints, members(name), before, now);
                Far { name: name.to_owned(), group, upto }
            })
            .collect();
        Arc::new(ZonePicker { near, stay: (weight(&self.own) / total / fair).min(1.0), far })
    }
}

impl Picker for ZonePicker {
    #[inline]
    fn pick(&self, call: &Pick<'_>) -> Option<usize> {
        let stays = self.far.is_empty() || self.stay >= 1.0 || fastrand::f64() < self.stay;
        let near = || self.near.as_ref().and_then(|near| near.pick(call));
        let first = if stays { near() } else { self.spill(call) };
        if first.is_some_and(|first| !call.has_tried(first)) {
            return first;
        }
        let untried = |index: &usize| !call.has_tried(*index);
        let second = if stays { self.spill(call) } else { near() };
        second
            .filter(untried)
            .or_else(|| self.far.iter().filter_map(|far| far.group.pick(call)).find(untried))
            .or(first)
            .or(second)
    }
}

impl ZonePicker {
    fn spill(&self, call: &Pick<'_>) -> Option<usize> {
        let all = self.far.last()?.upto;
        let at = fastrand::f64() * all;
        let far = self.far.iter().find(|far| at < far.upto).or(self.far.last())?;
        far.group.pick(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::random::Random;
    use crate::balance::round_robin::RoundRobin;
    use crate::balance::testing::{endpoint, instance, now, picks, shares};

    /// So many in `a`, in `b`, in `c`.
    fn zones(counts: [usize; 3]) -> Vec<Endpoint> {
        let names = ["a", "b", "c"].into_iter().zip(counts).flat_map(|(zone, count)| vec![zone; count]);
        names.enumerate().map(|(number, zone)| endpoint(instance(number).with_zone(zone))).collect()
    }

    fn by_zone(endpoints: &[Endpoint]) -> [u32; 3] {
        let shares = shares(&Zone::new(Random, "a"), endpoints, 12_000);
        ["a", "b", "c"].map(|zone| {
            let own = shares.iter().zip(endpoints).filter(|(_, endpoint)| endpoint.instance().zone == zone);
            own.map(|(share, _)| share).sum()
        })
    }

    #[test]
    fn every_call_stays_where_there_is_room() {
        assert_eq!(by_zone(&zones([3, 3, 3])), [12_000, 0, 0]);
        assert_eq!(by_zone(&zones([5, 2, 2])), [12_000, 0, 0]);
    }

    #[test]
    fn what_a_small_zone_cannot_take_goes_to_who_has_more_than_a_fair_part() {
        let [a, b, c] = by_zone(&zones([1, 3, 8]));
        // A twelfth in the place of a third: a quarter stays.
        assert!((2_800..3_200).contains(&a), "{a} {b} {c}");
        assert_eq!(b, 0, "it has less than a third itself");
        assert!((8_800..9_200).contains(&c), "{a} {b} {c}");
    }

    #[test]
    fn a_zone_without_servers_sends_all_elsewhere() {
        let [a, b, c] = by_zone(&zones([0, 4, 4]));
        assert!(a == 0 && b.abs_diff(c) < 600, "{a} {b} {c}");
        assert_eq!(picks(&Zone::new(Random, "a"), &[], 1), [None]);
    }

    #[test]
    fn a_call_that_has_tried_its_zone_goes_to_another() {
        let endpoints = zones([2, 1, 1]);
        let picker = Zone::new(RoundRobin, "a").build(&endpoints, None, now());
        for _ in 0..20 {
            assert_eq!(picker.pick(&Pick::new(now()).with_tried(&[0])), Some(1));
            let far = picker.pick(&Pick::new(now()).with_tried(&[0, 1]));
            assert!(far == Some(2) || far == Some(3));
            assert_eq!(picker.pick(&Pick::new(now()).with_tried(&[0, 1, 2])), Some(3));
            assert!(picker.pick(&Pick::new(now()).with_tried(&[0, 1, 2, 3])).is_some());
        }
    }

    #[test]
    fn a_change_of_the_list_keeps_the_inner_pickers() {
        fastrand::seed(1);
        let endpoints = zones([3, 1, 1]);
        let builder = Zone::new(RoundRobin, "a");
        let mut picker = builder.build(&endpoints, None, now());
        let mut shares = [0; 5];
        for _ in 0..300 {
            shares[picker.pick(&Pick::new(now())).expect("there are five")] += 1;
            picker = builder.build(&endpoints, Some(&*picker), now());
        }
        assert_eq!(shares, [100, 100, 100, 0, 0]);
    }
}
