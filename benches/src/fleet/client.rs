//! [`Client`]: what a channel is to a balancer: endpoints with what is known of them, a picker, an outlier detector.

use std::sync::Arc;
use std::time::Instant;

use rpc_core::balance::outlier::{Config, Detector};
use rpc_core::balance::{Builder, Endpoint, InFlight, Load, Outcome, Pick, Picker, eligible};
use rpc_core::discovery::Instance;

/// The threshold of `eligible`, the default of a channel.
const PANIC_THRESHOLD: u8 = 50;

/// A client of the fleet.
#[derive(Debug)]
pub struct Client {
    builder: Arc<dyn Builder>,
    /// Those it knows, with the servers' numbers.
    known: Vec<(Endpoint, usize)>,
    /// Places in `known`, as the picker counts.
    chosen: Vec<usize>,
    picker: Arc<dyn Picker>,
    detector: Option<Detector>,
}

/// A call that is under way.
#[derive(Debug)]
pub struct Open(InFlight);

impl Client {
    /// A client of these servers, of which it knows as many as its policy wants.
    pub fn new(
        builder: Arc<dyn Builder>,
        servers: &[(Arc<Instance>, usize)],
        ejects: bool,
        now: Instant,
    ) -> Self {
        let picker = builder.build(&[], None, now);
        let detector = ejects.then(|| Detector::new(Config::default(), now));
        let mut client = Self { builder, known: Vec::new(), chosen: Vec::new(), picker, detector };
        client.update(servers, now);
        client
    }

    /// The list has changed. What is known of those that stay is kept.
    pub fn update(&mut self, servers: &[(Arc<Instance>, usize)], now: Instant) {
        let before: std::collections::HashMap<String, Arc<Load>> = self
            .known
            .iter()
            .map(|(endpoint, _)| (endpoint.instance().id.clone(), endpoint.load().clone()))
            .collect();
        let load = |instance: &Instance| {
            before.get(&instance.id).cloned().unwrap_or_else(|| Arc::new(Load::of(instance, now)))
        };
        let endpoint = |(instance, number): &(Arc<Instance>, usize)| {
            (Endpoint::new(instance.clone(), load(instance)), *number)
        };
        // Who narrows looks at the instances only: no need for a load of each.
        let nothing = Arc::new(Load::new(now));
        let bare: Vec<Endpoint> =
            servers.iter().map(|(instance, _)| Endpoint::new(instance.clone(), nothing.clone())).collect();
        self.known = match self.builder.narrow(&bare) {
            None => servers.iter().map(endpoint).collect(),
            Some(places) => places.into_iter().filter_map(|place| servers.get(place)).map(endpoint).collect(),
        };
        self.rebuild(now);
    }

    fn rebuild(&mut self, now: Instant) {
        let endpoints: Vec<Endpoint> = self.known.iter().map(|(endpoint, _)| endpoint.clone()).collect();
        self.chosen = eligible(&endpoints, now, PANIC_THRESHOLD);
        let endpoints: Vec<Endpoint> =
            self.chosen.iter().filter_map(|&place| endpoints.get(place).cloned()).collect();
        self.picker = self.builder.build(&endpoints, Some(&*self.picker), now);
    }

    /// A call: the number of its server.
    pub fn begin(&mut self, key: u64, now: Instant) -> Option<(usize, Open)> {
        if self.detector.as_ref().is_some_and(|detector| detector.next() <= now) {
            self.sweep(now);
        }
        let picked = self.picker.pick(&Pick::new(now).with_key(Some(key)))?;
        let place = *self.chosen.get(picked)?;
        let (endpoint, server) = self.known.get(place)?;
        Some((*server, Open(endpoint.load().begin(now))))
    }

    /// It has ended.
    pub fn finish(&mut self, open: Open, outcome: Outcome, now: Instant) {
        let load = open.0.load().clone();
        open.0.finish(now, outcome);
        if self.detector.as_ref().is_some_and(|detector| detector.is_due(&load)) {
            self.sweep(now);
        }
    }

    fn sweep(&mut self, now: Instant) {
        let endpoints: Vec<Endpoint> = self.known.iter().map(|(endpoint, _)| endpoint.clone()).collect();
        if self.detector.as_mut().is_some_and(|detector| detector.sweep(&endpoints, now)) {
            self.rebuild(now);
        }
    }
}
