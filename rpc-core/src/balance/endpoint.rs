//! [`Endpoint`]: an instance as a balancer sees it, and [`eligible`]: who of them may be chosen.

use std::sync::Arc;
use std::time::Instant;

use crate::balance::load::Load;
use crate::discovery::{Instance, State};

/// An instance with what is known of its load. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Endpoint {
    instance: Arc<Instance>,
    load: Arc<Load>,
    standing: Standing,
}

/// What the client knows of the way to an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// There is a connection.
    Ready,
    /// Nobody has tried yet.
    #[default]
    Unknown,
    /// There is a connection, but the registry no longer lists it: it may be the registry that is wrong.
    Suspect,
    /// It could not be reached.
    Unreachable,
}

impl Endpoint {
    /// An endpoint that nobody has tried yet. The load is keyed by the instance's id: whoever keeps the endpoints keeps
    /// it over changes of the list.
    pub fn new(instance: Arc<Instance>, load: Arc<Load>) -> Self {
        Self { instance, load, standing: Standing::default() }
    }

    /// The same endpoint, with this standing.
    #[must_use]
    pub fn with_standing(mut self, standing: Standing) -> Self {
        self.standing = standing;
        self
    }

    /// The instance.
    pub fn instance(&self) -> &Arc<Instance> {
        &self.instance
    }

    /// What is known of its load; it is shared with every other clone.
    pub fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// What is known of the way to it.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// How much of the load it takes, beside the weights of the others.
    pub fn weight(&self) -> u32 {
        self.instance.weight
    }
}

/// Who of these may be chosen, as indices in order: what a [`Builder`](crate::balance::Builder) is given.
///
/// There are wishes and opinions. A *wish* is obeyed always: an instance that drains, or has weight 0, is left out. So
/// is one that cannot be reached, for that is a fact. An *opinion* is that an instance is down by its health check,
/// that it is ejected as an outlier, that the registry no longer lists it. Opinions are followed as long as at least
/// `panic_threshold` percent of the willing are well; below that, they are likelier to be wrong than that many servers
/// (or the few that are left would drown in the load of all), and everybody who can be reached is chosen from. Envoy
/// and Finagle call that panic mode; their threshold is 50 too. 0 follows opinions until nobody is left.
pub fn eligible(all: &[Endpoint], now: Instant, panic_threshold: u8) -> Vec<usize> {
    let willing = |endpoint: &Endpoint| endpoint.instance.state != State::Draining && endpoint.weight() > 0;
    let reachable = |endpoint: &Endpoint| endpoint.standing != Standing::Unreachable;
    let well = |endpoint: &Endpoint| {
        endpoint.instance.state == State::Up
            && endpoint.standing != Standing::Suspect
            && !endpoint.load.is_ejected(now)
    };
    let places = |keep: &dyn Fn(&Endpoint) -> bool| -> Vec<usize> {
        all.iter().enumerate().filter(|(_, endpoint)| keep(endpoint)).map(|(index, _)| index).collect()
    };
    let count = all.iter().filter(|endpoint| willing(endpoint)).count();
    let best = places(&|endpoint| willing(endpoint) && reachable(endpoint) && well(endpoint));
    let enough = best.len() * 100 >= count * usize::from(panic_threshold);
    if enough && !best.is_empty() {
        return best;
    }
    places(&|endpoint| willing(endpoint) && reachable(endpoint))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::balance::testing::{endpoint, endpoints, instance, now};

    const LATER: Duration = Duration::from_secs(30);

    #[test]
    fn who_drains_or_has_no_weight_is_left_out_whatever_the_others_do() {
        let mut draining = instance(0);
        draining.state = State::Draining;
        let all = [endpoint(draining), endpoint(instance(1).with_weight(0)), endpoint(instance(2))];
        assert_eq!(eligible(&all, now(), 50), [2]);
        all[2].load().eject(now() + LATER);
        assert_eq!(eligible(&all, now(), 50), [2], "nobody is well: health is ignored, wishes are not");
        assert!(eligible(&all[..2], now(), 50).is_empty());
        assert!(eligible(&[], now(), 50).is_empty());
    }

    #[test]
    fn health_is_ignored_if_too_few_are_well() {
        let all = endpoints(10);
        for endpoint in &all[..5] {
            endpoint.load().eject(now() + LATER);
        }
        assert_eq!(eligible(&all, now(), 50), [5, 6, 7, 8, 9]);
        all[5].load().eject(now() + LATER);
        assert_eq!(eligible(&all, now(), 50).len(), 10);
        assert_eq!(eligible(&all, now(), 0), [6, 7, 8, 9]);
        assert_eq!(eligible(&all, now() + LATER, 50).len(), 10, "the time of an ejection is over");
    }

    #[test]
    fn who_cannot_be_reached_is_never_chosen() {
        let mut all = endpoints(4);
        for endpoint in &mut all[..3] {
            *endpoint = endpoint.clone().with_standing(Standing::Unreachable);
        }
        assert_eq!(eligible(&all, now(), 50), [3]);
        all[3] = all[3].clone().with_standing(Standing::Unreachable);
        assert!(eligible(&all, now(), 50).is_empty());
    }

    #[test]
    fn who_has_left_the_list_is_taken_only_if_too_many_have_left_it() {
        let mut all = endpoints(4);
        all[0] = all[0].clone().with_standing(Standing::Suspect);
        assert_eq!(eligible(&all, now(), 50), [1, 2, 3]);
        for endpoint in &mut all[1..3] {
            *endpoint = endpoint.clone().with_standing(Standing::Suspect);
        }
        assert_eq!(eligible(&all, now(), 50), [0, 1, 2, 3]);
    }
}
