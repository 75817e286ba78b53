//! How fast it is, measured: what the benchmarks share.
//!
//! | bench | what it measures |
//! |---|---|
//! | `instructions` | user-space instructions per call, by callgrind; hardly varies, needs no quiet machine |
//! | `allocations` | allocations per call, by a counting allocator |
//! | `balance` | balancing policies on a simulated fleet ([`fleet`]), and instructions per pick |
//! | `limit` | calls a second, latency, memory and system calls, beside the limit ([`raw`]) in the same run |
//!
//! In reading order: [`echo`] (what everybody who is measured does), [`courier`] (we), [`raw`] (the limit), [`load`] (who
//! calls), [`child`] (a cell of a table in a process of its own), [`callgrind`],
//! [`ratchet`] (figures that may only fall), [`table`].
//!
//! `docs/PERFORMANCE.md` has the method, the commands and the figures of the day.

pub mod callgrind;
pub mod child;
pub mod courier;
pub mod echo;
pub mod fleet;
pub mod load;
pub mod ratchet;
pub mod raw;
pub mod table;

/// What everything here gives.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;
