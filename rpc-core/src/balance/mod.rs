//! Balancing: which of the instances behind a name gets the next call.
//!
//! Nothing here does IO, keeps a task or takes a lock for a call. The client keeps one [`Endpoint`] for each instance,
//! with its [`Load`]; whenever the list, readiness or ejection changes it asks [`eligible`] who may be chosen, and a
//! [`Builder`] for a [`Picker`] over those; each call asks the picker, which never blocks.
//!
//! In reading order: [`load`] (what is known of an endpoint: calls under way, latency, failures), [`mod@outcome`] (what the
//! end of a call says about its endpoint), [`endpoint`] (an instance with its load, and who is eligible), [`picker`]
//! (the two traits), [`outlier`] (who does markedly worse than the others), and the policies, each in a file of its own:
//!
//! | builder | whom it picks |
//! |---|---|
//! | [`RoundRobin`] | one after the other |
//! | [`WeightedRoundRobin`] | one after the other, in proportion to the weights |
//! | [`Random`], [`WeightedRandom`] | anybody; anybody in proportion to the weights |
//! | [`LeastLoad`] | of a few drawn at random, the one with the fewest calls under way |
//! | [`P2c`] | of two drawn at random, the one where a call should be done sooner; the default |
//! | [`ConsistentHash`] | calls of one key go to one endpoint, and nobody gets too many |
//! | [`Zone`] | rather somebody near; wraps another |
//! | [`SlowStart`] | who has just come gets little at first; wraps another |
//! | [`Subset`] | some of a very large fleet; wraps another |
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Instant;
//!
//! use rpc_core::balance::{Builder, Endpoint, Load, Outcome, Pick, RoundRobin, eligible};
//! use rpc_core::discovery::Instance;
//!
//! let now = Instant::now();
//! let endpoints: Vec<Endpoint> = ["10.0.0.1:7000", "10.0.0.2:7000"]
//!     .into_iter()
//!     .map(|address| Ok(Endpoint::new(Arc::new(Instance::new(address.parse()?)), Arc::new(Load::new(now)))))
//!     .collect::<Result<_, rpc_core::transport::InvalidAddress>>()?;
//! assert_eq!(eligible(&endpoints, now, 50), [0, 1]);
//!
//! let picker = RoundRobin.build(&endpoints, None, now);
//! let first = picker.pick(&Pick::new(now)).ok_or("nobody to pick")?;
//! let call = endpoints[first].load().begin(now);
//! assert_eq!(endpoints[first].load().pending(), 1);
//! call.finish(now, Outcome::Success);
//! assert_ne!(picker.pick(&Pick::new(now)), Some(first));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod candidates;
pub mod consistent_hash;
pub mod endpoint;
mod ewma;
mod group;
mod hash;
pub mod least_load;
pub mod load;
pub mod outcome;
pub mod outlier;
pub mod p2c;
pub mod picker;
pub mod random;
pub mod round_robin;
pub mod slow_start;
pub mod subset;
#[cfg(test)]
mod testing;
pub mod weighted_random;
pub mod weighted_round_robin;
pub mod zone;

pub use consistent_hash::ConsistentHash;
pub use endpoint::{Endpoint, Standing, eligible};
pub use hash::hash;
pub use least_load::LeastLoad;
pub use load::{InFlight, Load};
pub use outcome::{Outcome, outcome};
pub use p2c::P2c;
pub use picker::{Builder, Pick, Picker};
pub use random::Random;
pub use round_robin::RoundRobin;
pub use slow_start::SlowStart;
pub use subset::Subset;
pub use weighted_random::WeightedRandom;
pub use weighted_round_robin::WeightedRoundRobin;
pub use zone::Zone;
