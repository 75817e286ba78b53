//! [`Subset`]: a client of a very large fleet knows only some of it. It wraps another policy.
//!
//! A thousand clients of a thousand servers are a million connections, each with its memory and its keepalives. With
//! subsets of twenty they are twenty thousand, and a server that fails takes a part of few clients rather than a little of
//! all. The subset is the `size` servers with the highest hash of the client's seed and their id: *rendezvous* hashing
//! (D. Thaler, C. Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996; gRPC's A68). A server that comes or goes
//! changes at most one place of it, and a client that starts again with the same seed gets the same servers.
//!
//! What it costs: a server is in more subsets than its neighbour by chance, by about `1/√(clients × size / servers)`. So
//! it is for fleets with many clients for each server; below a hundred servers it is hardly worth it.
//!
//! A subset is chosen from the whole list, before health: it does not change when servers fail for a while. So `size`
//! must be enough to stand the failure of some.

use std::sync::Arc;
use std::time::Instant;

use crate::balance::endpoint::Endpoint;
use crate::balance::group::Group;
use crate::balance::hash::{hash, mix};
use crate::balance::picker::{Builder, Pick, Picker};

/// Some of the servers only, the same as long as they are there.
#[derive(Clone, Debug)]
pub struct Subset<B> {
    inner: B,
    size: usize,
    seed: u64,
}

impl<B: Builder> Subset<B> {
    /// `size` servers (one at least), among which `inner` picks; by a random seed.
    pub fn new(inner: B, size: usize) -> Self {
        Self { inner, size: size.max(1), seed: fastrand::u64(..) }
    }

    /// Chooses by this seed, the hash of the client's host name for instance: then a client that starts again has the
    /// same servers. Clients must not have it in common.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

#[derive(Debug)]
struct SubsetPicker(Group);

impl<B: Builder> Builder for Subset<B> {
    fn name(&self) -> &'static str {
        "subset"
    }

    fn narrow(&self, endpoints: &[Endpoint]) -> Option<Vec<usize>> {
        if endpoints.len() <= self.size {
            return None;
        }
        let rank = |endpoint: &Endpoint| mix(self.seed ^ hash(endpoint.instance().id.as_bytes()));
        let mut ranked: Vec<(u64, usize)> =
            endpoints.iter().enumerate().map(|(index, endpoint)| (rank(endpoint), index)).collect();
        ranked.sort_unstable_by(|one, other| other.cmp(one));
        let mut chosen: Vec<usize> = ranked.into_iter().take(self.size).map(|(_, index)| index).collect();
        chosen.sort_unstable();
        Some(chosen)
    }

    fn build(&self, endpoints: &[Endpoint], previous: Option<&dyn Picker>, now: Instant) -> Arc<dyn Picker> {
        let members = self.narrow(endpoints).unwrap_or_else(|| (0..endpoints.len()).collect());
        let previous = previous.and_then(|previous| previous.downcast_ref::<SubsetPicker>()).map(|it| &it.0);
        Arc::new(SubsetPicker(Group::new(&self.inner, endpoints, members, previous, now)))
    }
}

impl Picker for SubsetPicker {
    #[inline]
    fn pick(&self, call: &Pick<'_>) -> Option<usize> {
        self.0.pick(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::round_robin::RoundRobin;
    use crate::balance::testing::{endpoints, shares};

    fn chosen(seed: u64, endpoints: &[Endpoint]) -> Vec<String> {
        let members = Subset::new(RoundRobin, 20).with_seed(seed).narrow(endpoints).expect("there are more");
        members.into_iter().map(|index| endpoints[index].instance().id.clone()).collect()
    }

    #[test]
    fn only_the_subset_is_called_and_all_of_it() {
        let shares = shares(&Subset::new(RoundRobin, 20).with_seed(4), &endpoints(1000), 2_000);
        assert_eq!(shares.iter().filter(|&&share| share == 100).count(), 20);
        assert_eq!(shares.iter().filter(|&&share| share == 0).count(), 980);
        let few = endpoints(20);
        assert_eq!(Subset::new(RoundRobin, 20).narrow(&few), None);
    }

    #[test]
    fn a_server_that_goes_changes_one_place_of_those_that_had_it() {
        let mut all = endpoints(200);
        let before: Vec<_> = (0..100).map(|seed| chosen(seed, &all)).collect();
        let gone = all.remove(7).instance().id.clone();
        for (seed, before) in before.iter().enumerate() {
            let after = chosen(seed as u64, &all);
            let kept = before.iter().filter(|id| after.contains(id)).count();
            assert_eq!(kept, if before.contains(&gone) { 19 } else { 20 });
        }
    }

    #[test]
    fn the_clients_subsets_cover_the_servers_evenly() {
        let all = endpoints(100);
        let mut clients = std::collections::HashMap::new();
        for seed in 0..5_000 {
            for id in chosen(hash(&u64::to_be_bytes(seed)), &all) {
                *clients.entry(id).or_insert(0u32) += 1;
            }
        }
        // A thousand clients each, with a standard deviation of 28.
        assert!(
            clients.len() == 100 && clients.values().all(|count| (880..1_120).contains(count)),
            "{clients:?}"
        );
    }
}
