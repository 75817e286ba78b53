//! [`run`]: the calls, in the order of a virtual time.
//!
//! Calls come at random times (Poisson) from random clients, at so many a second that the servers would be busy for a
//! part of their time, and each costs an exponentially distributed time: what queueing theory calls M/M/c, but for the
//! choice. A call has a deadline of a second. Keys are numbers below ten thousand, some far more frequent than others
//! (Zipf with exponent 1).

use std::cmp::Ordering;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rpc_core::balance::Outcome;
use rpc_core::discovery::Instance;

use crate::fleet::client::{Client, Open};
use crate::fleet::report::Report;
use crate::fleet::scenario::{Policy, Scenario, zone};
use crate::fleet::server::{End, Server, WORK};

/// How large a run is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How many servers.
    pub servers: usize,
    /// How many clients.
    pub clients: usize,
    /// How many calls, warm-up included: the first third is not measured.
    pub calls: usize,
    /// How many calls a server does at a time.
    pub workers: usize,
    /// How busy the servers are, if the load is even: from 0 to 1.
    pub busy: f64,
    /// The dice.
    pub seed: u64,
}

impl Default for Size {
    /// A thousand servers, twenty clients that know all of them, two workers a server, 400,000 calls, 60 %
    /// busy.
    fn default() -> Self {
        Self { servers: 1_000, clients: 20, calls: 400_000, workers: 2, busy: 0.6, seed: 1 }
    }
}

const DEADLINE: Duration = Duration::from_secs(1);
const KEYS: usize = 10_000;
const CROSSING: Duration = Duration::from_millis(2);
const RESTART_EVERY: Duration = Duration::from_millis(250);
const RESTART_PART: usize = 40;
const COLD: Duration = Duration::from_secs(2);

/// A call that is about to begin.
struct Planned {
    number: usize,
    client: usize,
    key: u64,
    work: Duration,
    measured: bool,
}

/// A call that will end at a time that is known.
struct Ending {
    at: Duration,
    number: usize,
    client: usize,
    open: Open,
    outcome: Outcome,
    began: Duration,
    measured: bool,
}

impl Ending {
    /// By time; the number makes the order the same in each run.
    fn order(&self) -> (Duration, usize) {
        (self.at, self.number)
    }
}

impl PartialEq for Ending {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Ending {}

impl PartialOrd for Ending {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ending {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

struct Fleet {
    scenario: Scenario,
    servers: Vec<Server>,
    /// Those that are listed, with their numbers in `servers`.
    listed: Vec<(Arc<Instance>, usize)>,
    /// When each came.
    since: Vec<Duration>,
    clients: Vec<Client>,
    start: Instant,
    workers: usize,
    /// The next of the list that is to be replaced.
    oldest: usize,
    last: HashMap<u64, usize>,
    report: Report,
}

/// Plays the scenario with this policy.
pub fn run(policy: &Policy, scenario: Scenario, size: Size) -> Report {
    // Pickers throw the thread's dice, the fleet its own.
    fastrand::seed(size.seed);
    let mut dice = Rng::with_seed(size.seed ^ 0x5eed);
    let mut fleet = Fleet::new(policy, scenario, size);
    let keys = Keys::new();
    let workers: usize = fleet.servers.iter().map(Server::workers).sum();
    let gap = WORK.as_secs_f64() / (workers as f64 * size.busy);

    let mut agenda: BinaryHeap<Reverse<Ending>> = BinaryHeap::new();
    let mut now = Duration::ZERO;
    let mut restart = RESTART_EVERY;
    let warm_up = size.calls / 3;
    for number in 0..size.calls {
        now += Duration::from_secs_f64(exponential(&mut dice) * gap);
        while agenda.peek().is_some_and(|Reverse(first)| first.at <= now)
            && let Some(Reverse(ending)) = agenda.pop()
        {
            fleet.finish(ending);
        }
        if scenario == Scenario::Restart && now >= restart {
            fleet.restart(now);
            restart += RESTART_EVERY;
        }
        let client = dice.usize(0..fleet.clients.len());
        let (key, work) = (keys.draw(&mut dice), WORK.mul_f64(exponential(&mut dice)));
        let call = Planned { number, client, key, work, measured: number >= warm_up };
        agenda.extend(fleet.begin(call, now).map(Reverse));
    }
    while let Some(Reverse(ending)) = agenda.pop() {
        fleet.finish(ending);
    }
    fleet.report(warm_up as f64 * gap)
}

impl Fleet {
    fn new(policy: &Policy, scenario: Scenario, size: Size) -> Self {
        let start = beginning();
        let mut fleet = Self {
            scenario,
            servers: Vec::new(),
            listed: Vec::new(),
            since: Vec::new(),
            clients: Vec::new(),
            start,
            workers: size.workers.max(2),
            oldest: 0,
            last: HashMap::new(),
            report: Report::default(),
        };
        for place in 0..size.servers {
            let listed = fleet.server(place, size.servers, Duration::ZERO);
            fleet.listed.push(listed);
        }
        let client = |number| {
            let builder = policy.builder(number);
            Client::new(builder, &fleet.listed, policy.ejects(), start)
        };
        fleet.clients = (0..size.clients).map(client).collect();
        fleet
    }

    /// A new server in this place of the list.
    fn server(&mut self, place: usize, places: usize, now: Duration) -> (Arc<Instance>, usize) {
        let number = self.servers.len();
        let (workers, weight) = match (self.scenario, place % 4) {
            (Scenario::Weights, 0) => (self.workers / 2, 50),
            (Scenario::Weights, 1) => (self.workers * 2, 200),
            _ => (self.workers, 100),
        };
        let mut server = Server::new(workers);
        match self.scenario {
            Scenario::Slow if place.is_multiple_of(10) => server.slowness = 5.0,
            Scenario::Failing => server.failing = place.is_multiple_of(100),
            Scenario::Restart if now > Duration::ZERO => server.cold_until = now + COLD,
            _ => {}
        }
        server.zone = match place * 10 / places.max(1) {
            0..3 => 0,
            3..6 => 1,
            _ => 2,
        };
        let address = format!("10.{}.{}.{}:7000", number >> 16, (number >> 8) & 255, number & 255);
        let address = address.parse().unwrap_or_else(|error| unreachable!("{address}: {error}"));
        let mut instance = Instance::new(address).with_weight(weight).with_zone(zone(server.zone));
        // The first ones have been there for long; later ones have just started.
        instance.started = u64::from(now == Duration::ZERO);
        self.servers.push(server);
        self.since.push(now);
        (Arc::new(instance), number)
    }

    /// Replaces some servers by new ones.
    fn restart(&mut self, now: Duration) {
        let places = self.listed.len();
        for _ in 0..places.div_ceil(RESTART_PART) {
            let place = self.oldest % places;
            let new = self.server(place, places, now);
            if let Some(listed) = self.listed.get_mut(place) {
                *listed = new;
            }
            self.oldest += 1;
        }
        let at = self.start + now;
        for client in &mut self.clients {
            client.update(&self.listed, at);
        }
    }

    fn begin(&mut self, call: Planned, now: Duration) -> Option<Ending> {
        let Planned { number, client, key, work, measured } = call;
        let (server, open) = self.clients.get_mut(client)?.begin(key, self.start + now)?;
        let target = self.servers.get_mut(server)?;
        let crosses = self.scenario == Scenario::Zones && target.zone != client % 3;
        let (bad, deadline) = (target.failing || target.slowness > 1.0, now + DEADLINE);
        let (at, outcome) = match target.serve(now, deadline, work) {
            End::Reply(at) => (at, Outcome::Success),
            End::Refused(at) | End::Late(at) => (at, Outcome::FAILURE),
        };
        let at = if crosses { at + CROSSING } else { at };
        let moved = self.last.insert(key, server).is_some_and(|last| last != server);
        if measured {
            target.calls += 1;
            self.report.to_bad += u64::from(bad);
            self.report.crossed += u64::from(crosses);
            self.report.moved += u64::from(moved);
        }
        Some(Ending { at, number, client, open, outcome, began: now, measured })
    }

    fn finish(&mut self, ending: Ending) {
        if ending.measured {
            self.report.latencies.push(ending.at - ending.began);
            self.report.failed += u64::from(ending.outcome != Outcome::Success);
        }
        if let Some(client) = self.clients.get_mut(ending.client) {
            client.finish(ending.open, ending.outcome, self.start + ending.at);
        }
    }

    fn report(mut self, measured_from: f64) -> Report {
        self.report.latencies.sort_unstable();
        let from = Duration::from_secs_f64(measured_from);
        let listed =
            self.listed.iter().filter(|(_, number)| self.since.get(*number).is_some_and(|it| *it <= from));
        self.report.shares = listed
            .filter_map(|(_, number)| self.servers.get(*number))
            .map(|server| server.calls as f64 / server.workers() as f64)
            .collect();
        self.report
    }
}

/// Mean 1.
fn exponential(dice: &mut Rng) -> f64 {
    -(1.0 - dice.f64()).ln()
}

/// Keys, the frequent ones first.
struct Keys {
    upto: Vec<f64>,
}

impl Keys {
    fn new() -> Self {
        let mut sum = 0.0;
        let upto = (1..=KEYS).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self { upto: upto.collect() }
    }

    fn draw(&self, dice: &mut Rng) -> u64 {
        let at = dice.f64() * self.upto.last().copied().unwrap_or_default();
        self.upto.partition_point(|upto| *upto < at) as u64
    }
}

/// When every run begins. The same moment for all of this process: averages keep time in ticks, and a run that begins at
/// another part of a tick is another run.
fn beginning() -> Instant {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    *BEGINNING.get_or_init(Instant::now)
}
