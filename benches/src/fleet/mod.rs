//! A fleet on paper: servers, clients and calls without sockets, on a virtual clock, to compare balancing policies.
//!
//! In reading order: [`server`] (workers and a queue), [`client`] (a picker with what it knows of the servers),
//! [`scenario`] (what is wrong with the fleet), [`run`] (the calls), [`report`] (what came of it), [`picks`] (what a pick
//! costs), [`plot`] (the picture in `docs/balancing.svg`).
//!
//! The dice have a seed: the same run gives the same figures on every machine.
//!
//! ```
//! use benches::fleet::run::{Size, run};
//! use benches::fleet::scenario::{Policy, Scenario};
//!
//! let size = Size { servers: 20, clients: 2, calls: 5_000, ..Size::default() };
//! let report = run(&Policy::of("p2c"), Scenario::Steady, size);
//! assert!(report.spread().most < 2.0, "nobody has twice the mean");
//! ```

pub mod client;
pub mod picks;
pub mod plot;
pub mod report;
pub mod run;
pub mod scenario;
pub mod server;
