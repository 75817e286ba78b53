//! What `docs/BALANCING.md` claims of the policies, on a small fleet. Nothing here is timed: the dice have a seed, so the
//! figures are the same on every machine.

use std::time::Duration;

use benches::fleet::report::Report;
use benches::fleet::run::{Size, run};
use benches::fleet::scenario::{Policy, Scenario};

/// A hundred servers, each client with as many calls to each as in the large fleet.
fn played(policy: &str, scenario: Scenario) -> Report {
    run(&Policy::of(policy), scenario, Size { servers: 100, clients: 20, calls: 40_000, ..Size::default() })
}

fn p99(report: &Report) -> Duration {
    report.quantile(0.99)
}

#[test]
fn a_run_has_all_its_calls_and_is_the_same_each_time() {
    let (one, other) = (played("p2c", Scenario::Slow), played("p2c", Scenario::Slow));
    assert_eq!(one.calls(), 40_000 - 40_000 / 3);
    assert_eq!(p99(&one), p99(&other));
    assert_eq!(one.loads(), other.loads());
}

#[test]
fn looking_at_the_load_shortens_the_tail() {
    let random = played("random", Scenario::Steady);
    for policy in ["least_load", "p2c"] {
        let report = played(policy, Scenario::Steady);
        assert!(p99(&report) < p99(&random), "{policy}: {:?}, random {:?}", p99(&report), p99(&random));
    }
}

#[test]
fn round_robin_is_the_most_even() {
    let spread = played("round_robin", Scenario::Steady).spread();
    assert!(spread.most < 1.1 && spread.deviation < 0.03, "{spread:?}");
    assert!(played("random", Scenario::Steady).spread().deviation > 2.0 * spread.deviation);
}

#[test]
fn slow_servers_get_little_from_p2c_and_their_full_part_from_who_does_not_look() {
    let (p2c, least, random) = (
        played("p2c", Scenario::Slow),
        played("least_load", Scenario::Slow),
        played("random", Scenario::Slow),
    );
    assert!(p2c.to_bad() < 0.03, "{}", p2c.to_bad());
    assert!(least.to_bad() < 0.05, "{}", least.to_bad());
    assert!(random.to_bad() > 0.09, "{}", random.to_bad());
    assert!(p99(&p2c) < p99(&least) && p99(&least) < p99(&random));
    assert!(
        p99(&p2c) < 2 * p99(&played("p2c", Scenario::Steady)),
        "the tail is nearly that of a healthy fleet"
    );
}

#[test]
fn a_server_that_refuses_at_once_is_no_black_hole() {
    for policy in ["p2c", "least_load"] {
        let report = played(policy, Scenario::Failing);
        assert!(report.to_bad() < 0.005, "{policy}: {}, the fair part is a hundredth", report.to_bad());
    }
    // Who does not look gives it its part until it is ejected.
    assert!(played("random", Scenario::Failing).to_bad() > 0.007);
    assert!(played("random, ejecting", Scenario::Failing).to_bad() < 0.002);
}

#[test]
fn weights_are_followed_by_those_who_know_them() {
    let even = played("weighted_round_robin", Scenario::Weights).spread();
    assert!(even.most < 1.1, "{even:?}");
    for policy in ["weighted_random", "least_load", "p2c"] {
        let spread = played(policy, Scenario::Weights).spread();
        assert!(spread.deviation < 0.25, "{policy}: {spread:?}");
    }
    assert!(played("random", Scenario::Weights).spread().deviation > 0.4);
}

#[test]
fn a_call_stays_in_its_zone_if_that_is_not_too_small() {
    // Two zones are smaller than a third by a tenth: so much of two thirds of the calls leaves.
    let report = played("p2c, zone", Scenario::Zones);
    assert!((0.05..0.09).contains(&report.crossed()), "{}", report.crossed());
    assert!(report.spread().deviation < 0.25, "{:?}", report.spread());
    assert!(played("p2c", Scenario::Zones).crossed() > 0.6);
}

#[test]
fn nobody_fails_in_a_rolling_restart_and_a_slow_start_shortens_its_tail() {
    let (cold, slow) = (played("p2c", Scenario::Restart), played("p2c, slow start", Scenario::Restart));
    assert!(cold.failed() + slow.failed() < 0.001, "{} {}", cold.failed(), slow.failed());
    assert!(p99(&slow) < p99(&cold), "{:?} {:?}", p99(&slow), p99(&cold));
}

#[test]
fn a_key_mostly_stays_and_a_hot_one_drowns_nobody() {
    // One client, so that its bound is that of the fleet, and servers that do many calls at a time, so that a call more
    // or less is little.
    let size = Size { servers: 20, clients: 1, calls: 40_000, workers: 50, ..Size::default() };
    let play = |policy| run(&Policy::of(policy), Scenario::Steady, size);
    let (bounded, unbounded, random) = (play("consistent_hash"), play("unbounded hash"), play("random"));
    // The bound is 1.25 times the share of the calls under way, about sixty here, rounded up to whole calls.
    assert!(bounded.spread().most <= 1.25 + 1.0 / 60.0, "{:?}", bounded.spread());
    assert!(unbounded.spread().most > 1.5, "{:?}", unbounded.spread());
    assert!(bounded.moved() < 0.5 * random.moved(), "{} {}", bounded.moved(), random.moved());
    assert_eq!(unbounded.moved(), 0.0);
}
