//! How fast it is, measured: what the benchmarks share.
//!
//! | bench | what it measures |
//! |---|---|
//! | `limit` | calls a second, latency, processor time and system calls, beside the limit ([`raw`]) in the same run |
//! | `scale` | what becomes of it with many calls, many connections, large bodies and slow readers beside small calls |
//! | `peers` | the same beside tonic, tarpc and volo-thrift, closed and open loop (feature `peers`) |
//! | `instructions` | user-space instructions per call, by callgrind; hardly varies, needs no quiet machine |
//! | `allocations` | allocations per call, by a counting allocator |
//! | `balance` | balancing policies on a simulated fleet ([`fleet`]), and instructions per pick |
//!
//! In reading order: [`echo`] (what everybody who is measured does), [`courier`] (we), [`cost`] (we, with one more layer
//! or option), [`raw`] (the limit), `peers` (others), [`peer`] (all of them by name), [`load`] (who calls), [`cell`] (a
//! load in processes of its own), [`rounds`] (cells in turn, and their medians), [`memory`], [`fixed`] and [`callgrind`] (a number of
//! calls, counted), [`ratchet`] (figures that may only fall), [`options`] (the command line), [`table`].
//!
//! `docs/PERFORMANCE.md` has the method, the commands and the figures of the day.

pub mod callgrind;
pub mod cell;
pub mod cost;
pub mod courier;
pub mod echo;
pub mod fixed;
pub mod fleet;
pub mod load;
pub mod memory;
pub mod options;
pub mod peer;
#[cfg(feature = "peers")]
pub mod peers;
pub mod ratchet;
pub mod raw;
pub mod rounds;
pub mod table;

/// What everything here gives.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;
