use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;

/// A connection as the shelf sees it.
#[derive(Clone, Debug)]
struct Fake(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    name: u32,
    calls: Cell<usize>,
    begun: Cell<u64>,
    usable: Cell<bool>,
    spoken: Cell<bool>,
    broken: Cell<bool>,
    closed: Cell<bool>,
}

impl Fake {
    fn new(name: u32) -> Self {
        let (calls, usable, spoken) = (Cell::new(0), Cell::new(true), Cell::new(true));
        let (broken, closed, begun) = (Cell::new(false), Cell::new(false), Cell::new(0));
        Self(Rc::new(Inner { name, calls, begun, usable, spoken, broken, closed }))
    }
}

impl PartialEq for Fake {
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
    }
}

impl Eq for Fake {}

impl Connection for Fake {
    fn is_usable(&self) -> bool {
        self.0.usable.get() && !self.0.closed.get()
    }

    fn calls(&self) -> usize {
        self.0.calls.get()
    }

    fn begun(&self) -> u64 {
        self.0.begun.get()
    }

    fn is_established(&self) -> bool {
        self.0.spoken.get()
    }

    fn has_answered(&self) -> bool {
        true
    }

    fn is_broken(&self) -> bool {
        self.0.broken.get()
    }

    fn is(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A shelf with so many connections, each put there a second after the one before.
fn shelf(config: &Config, count: u32, start: Instant) -> (Shelf<Fake>, Vec<Fake>) {
    let mut shelf = Shelf::new();
    let fakes: Vec<Fake> = (0..count).map(Fake::new).collect();
    for (fake, at) in fakes.iter().zip(0..) {
        shelf.put(fake.clone(), config, start + secs(at), 0.5);
    }
    (shelf, fakes)
}

/// Puts the shelf in order, and closes what that takes out.
fn groom(shelf: &mut Shelf<Fake>, config: &Config, dialing: usize, now: Instant) -> Groomed<Fake> {
    let groomed = shelf.groom(config, dialing, now);
    groomed.closed.iter().for_each(|fake| fake.0.closed.set(true));
    groomed
}

fn many(max: usize) -> Config {
    Config { max_connections: max, high_water: 10, ..Config::default() }
}

fn exclusive(max: usize) -> Config {
    Config { max_connections: max, exclusive: true, ..Config::default() }
}

#[test]
fn calls_fill_the_oldest_up_to_the_mark_and_then_the_least_busy() {
    let (config, now) = (many(3), Instant::now());
    let (mut shelf, fakes) = shelf(&config, 2, now);
    assert_eq!(shelf.choose(&config, now), Choice::Use(fakes[0].clone()));
    fakes[0].0.calls.set(10);
    assert_eq!(shelf.choose(&config, now), Choice::Use(fakes[1].clone()));
    fakes[1].0.calls.set(12);
    assert_eq!(shelf.choose(&config, now), Choice::Busy(fakes[0].clone()));
    assert!(shelf.may_dial(&config, 0, now));
    assert!(!shelf.may_dial(&config, 1, now), "the one that is being made counts");
}

#[test]
fn an_empty_shelf_has_nothing_and_lets_one_be_made() {
    let (config, now) = (Config::default(), Instant::now());
    let mut shelf = Shelf::<Fake>::new();
    assert_eq!(shelf.choose(&config, now), Choice::Nothing);
    assert!(shelf.may_dial(&config, 0, now) && !shelf.may_dial(&config, 1, now));
    let none = Config { max_connections: 0, max_dials: 0, ..Config::default() };
    assert!(shelf.may_dial(&none, 0, now), "a pool of none is one of one");
}

#[test]
fn an_exclusive_connection_is_one_calls_at_a_time_and_the_one_used_last_comes_first() {
    let (config, now) = (exclusive(2), Instant::now());
    let (mut shelf, fakes) = shelf(&config, 2, now);
    assert_eq!(shelf.choose(&config, now), Choice::Use(fakes[1].clone()));
    assert_eq!(shelf.choose(&config, now), Choice::Use(fakes[0].clone()));
    assert_eq!(shelf.choose(&config, now), Choice::Nothing);
    assert!(!shelf.may_dial(&config, 0, now));
    shelf.put_back(&fakes[0], now + secs(9));
    shelf.put_back(&fakes[1], now + secs(8));
    assert_eq!(shelf.choose(&config, now + secs(9)), Choice::Use(fakes[0].clone()));
}

#[test]
fn only_so_many_are_made_at_once() {
    let (config, now) = (Config { max_dials: 2, ..exclusive(10) }, Instant::now());
    let shelf = Shelf::<Fake>::new();
    assert!(shelf.may_dial(&config, 1, now) && !shelf.may_dial(&config, 2, now));
}

#[test]
fn what_takes_no_calls_is_taken_out_and_counted_by_its_reason() {
    let (config, now) = (many(3), Instant::now());
    let (mut shelf, fakes) = shelf(&config, 3, now);
    fakes[0].0.usable.set(false);
    fakes[2].0.usable.set(false);
    fakes[2].0.broken.set(true);
    assert_eq!(shelf.sweep(), [fakes[0].clone(), fakes[2].clone()]);
    let statistics = shelf.statistics(0);
    assert_eq!((statistics.open, statistics.closed_drained, statistics.closed_broken), (1, 1, 1));
}

#[test]
fn an_old_connection_serves_until_its_successor_is_there() {
    let config = Config { max_lifetime: Some(secs(100)), ..Config::default() };
    let start = Instant::now();
    let (mut shelf, fakes) = shelf(&config, 1, start);
    let due = groom(&mut shelf, &config, 0, start).due.unwrap();
    assert_eq!(due, start + secs(100));
    assert_eq!(groom(&mut shelf, &config, 0, due).dial, 1, "its successor is made");
    assert_eq!(groom(&mut shelf, &config, 1, due).dial, 0, "once");
    assert_eq!(shelf.choose(&config, due), Choice::Use(fakes[0].clone()));
    let next = Fake::new(9);
    next.0.spoken.set(false);
    shelf.put(next.clone(), &config, due, 0.5);
    assert_eq!(shelf.choose(&config, due), Choice::Use(fakes[0].clone()), "the other has not said a word");
    let groomed = groom(&mut shelf, &config, 0, due);
    assert_eq!((groomed.closed, groomed.dial), (vec![], 0), "it is waited for");
    next.0.spoken.set(true);
    assert_eq!(shelf.choose(&config, due), Choice::Use(next));
    assert_eq!(groom(&mut shelf, &config, 0, due).dial, 0);
    assert!(fakes[0].0.closed.get());
    assert_eq!(shelf.statistics(0).closed_lifetime, 1);
}

#[test]
fn one_successor_is_waited_for_however_many_there_may_be() {
    let config = Config { max_lifetime: Some(secs(100)), ..many(4) };
    let start = Instant::now();
    let (mut shelf, fakes) = shelf(&config, 2, start);
    let old = start + secs(120);
    let groomed = groom(&mut shelf, &config, 0, old);
    assert_eq!((groomed.closed, groomed.dial), (vec![fakes[1].clone()], 1), "one of the old is enough");
    let lost = Fake::new(9);
    lost.0.spoken.set(false);
    shelf.put(lost.clone(), &config, old, 0.5);
    assert_eq!(groom(&mut shelf, &config, 0, old).dial, 0);
    lost.0.usable.set(false);
    shelf.sweep();
    let groomed = groom(&mut shelf, &config, 0, old);
    assert_eq!((groomed.closed, groomed.dial), (vec![], 1), "that one came to nothing");
}

#[test]
fn an_old_exclusive_connection_is_closed_when_it_is_given_back_and_never_given_out() {
    let config = Config { max_lifetime: Some(secs(100)), ..exclusive(1) };
    let start = Instant::now();
    let (mut shelf, fakes) = shelf(&config, 1, start);
    assert_eq!(shelf.choose(&config, start), Choice::Use(fakes[0].clone()));
    let old = start + secs(120);
    groom(&mut shelf, &config, 0, old);
    assert!(!fakes[0].0.closed.get(), "a call has it");
    assert!(!shelf.may_dial(&config, 0, old), "and it counts as long");
    shelf.put_back(&fakes[0], old);
    assert_eq!(shelf.choose(&config, old), Choice::Nothing, "not even before anybody looks after it");
    assert!(shelf.may_dial(&config, 0, old));
    groom(&mut shelf, &config, 0, old);
    assert!(fakes[0].0.closed.get());
}

#[test]
fn lives_differ_so_that_not_all_end_at_once() {
    let config = Config { max_lifetime: Some(secs(100)), ..many(3) };
    let now = Instant::now();
    let mut shelf = Shelf::new();
    for (name, random) in [(0, 0.0), (1, 0.5), (2, 1.0)] {
        shelf.put(Fake::new(name), &config, now, random);
    }
    let mut ages: Vec<_> = shelf.entries.iter().map(|entry| entry.expires.unwrap() - now).collect();
    ages.sort();
    assert_eq!(ages, [secs(90), secs(100), secs(110)]);
}

#[test]
fn idle_ones_are_closed_after_their_time_but_for_the_least_number() {
    let config = Config { idle_timeout: Some(secs(30)), min_idle: 1, ..many(3) };
    let start = Instant::now();
    let (mut shelf, fakes) = shelf(&config, 3, start);
    fakes[2].0.calls.set(1);
    assert_eq!(groom(&mut shelf, &config, 0, start + secs(5)).due, Some(start + secs(30)));
    let groomed = groom(&mut shelf, &config, 0, start + secs(40));
    let closed: Vec<bool> = fakes.iter().map(|fake| fake.0.closed.get()).collect();
    assert_eq!((closed, groomed.dial), (vec![true, false, false], 0));
    assert_eq!(shelf.statistics(0).closed_idle, 1);
}

#[test]
fn more_idle_ones_than_allowed_are_closed_at_once_the_oldest_first() {
    let config = Config { max_idle: 1, ..exclusive(3) };
    let start = Instant::now();
    let (mut shelf, fakes) = shelf(&config, 3, start);
    groom(&mut shelf, &config, 0, start + secs(3));
    let closed: Vec<bool> = fakes.iter().map(|fake| fake.0.closed.get()).collect();
    assert_eq!(closed, [true, true, false]);
}

#[test]
fn missing_idle_ones_are_made_and_looked_for_again() {
    let config = Config { min_idle: 3, max_dials: 2, ..many(8) };
    let now = Instant::now();
    let mut shelf = Shelf::<Fake>::new();
    let groomed = groom(&mut shelf, &config, 0, now);
    assert_eq!(groomed, Groomed { closed: Vec::new(), dial: 2, due: Some(now + AGAIN) });
    assert_eq!(groom(&mut shelf, &config, 2, now).dial, 0);
    let full = Config { min_idle: 3, ..many(2) };
    assert_eq!(groom(&mut shelf, &full, 0, now).dial, 2, "never more than there may be");
}

/// What can happen to a shelf.
#[derive(Clone, Debug)]
enum Step {
    Dial,
    Dialed,
    DialFailed,
    Choose,
    PutBack(usize),
    Break(usize),
    Drain(usize),
    Groom,
    Sweep,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Dial),
        Just(Step::Dialed),
        Just(Step::DialFailed),
        Just(Step::Choose),
        (0usize..8).prop_map(Step::PutBack),
        (0usize..8).prop_map(Step::Break),
        (0usize..8).prop_map(Step::Drain),
        Just(Step::Groom),
        Just(Step::Sweep),
        (0u64..60).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Never more connections than allowed, none given to two calls, none lost, none given out that is closed.
    #[test]
    fn an_exclusive_pool_keeps_its_promises(
        steps in prop::collection::vec(step(), 1..200),
        max in 1usize..5,
        min_idle in 0usize..4,
        lifetime in prop::option::of(1u64..100),
        idle in prop::option::of(1u64..50),
    ) {
        let config = Config {
            min_idle,
            max_lifetime: lifetime.map(secs),
            idle_timeout: idle.map(secs),
            ..exclusive(max)
        };
        let mut now = Instant::now();
        let mut shelf = Shelf::<Fake>::new();
        let (mut dialing, mut name) = (0, 0);
        let mut held: Vec<Fake> = Vec::new();
        for step in steps {
            match step {
                Step::Dial => dialing += usize::from(shelf.may_dial(&config, dialing, now)),
                Step::Dialed if dialing > 0 => {
                    dialing -= 1;
                    name += 1;
                    shelf.put(Fake::new(name), &config, now, 0.3);
                }
                Step::DialFailed if dialing > 0 => {
                    dialing -= 1;
                    shelf.dial_failed();
                }
                Step::Choose => {
                    shelf.sweep();
                    if let Choice::Use(fake) = shelf.choose(&config, now) {
                        prop_assert!(!held.iter().any(|other| other.is(&fake)), "given to two");
                        prop_assert!(fake.is_usable());
                        held.push(fake);
                    }
                }
                Step::PutBack(at) if at < held.len() => shelf.put_back(&held.remove(at), now),
                Step::Break(at) | Step::Drain(at) => {
                    if let Some(fake) = shelf.connections().nth(at) {
                        fake.0.usable.set(false);
                        fake.0.broken.set(matches!(step, Step::Break(_)));
                    }
                }
                Step::Groom => dialing += groom(&mut shelf, &config, dialing, now).dial,
                Step::Sweep => drop(shelf.sweep()),
                Step::Wait(seconds) => now += secs(seconds),
                _ => {}
            }
            let statistics = shelf.statistics(dialing);
            let young = shelf.entries.iter().filter(|entry| entry.taken || !entry.is_old(now)).count();
            prop_assert!(young + dialing <= max, "{} connections, {} on the way", young, dialing);
            let closed = statistics.closed_idle
                + statistics.closed_lifetime
                + statistics.closed_drained
                + statistics.closed_broken;
            prop_assert_eq!(statistics.opened, statistics.open as u64 + closed);
        }
        // When all is given back, nothing is taken.
        for fake in held {
            shelf.put_back(&fake, now);
        }
        prop_assert!(shelf.entries.iter().all(|entry| !entry.taken));
    }
}
