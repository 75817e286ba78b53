//! Balancing: which of the instances behind a name gets the next call.
//!
//! Nothing here does IO, keeps a task or takes a lock for a call. The client keeps one [`Endpoint`] for each instance,
//! with its [`Load`]; whenever the list, readiness or ejection changes it asks [`eligible`] who may be chosen, and a
//! [`Builder`] for a [`Picker`] over those; each call asks the picker, which never blocks.
//!
//! In reading order: [`load`] (what is known of an endpoint: calls under way, latency, failures), [`outcome`] (what the
//! end of a call says about its endpoint), [`endpoint`] (an instance with its load, and who is eligible), [`picker`]
//! (the two traits), and the policies, each in a file of its own:
//!
//! | builder | whom it picks |
//! |---|---|
//! | [`RoundRobin`] | one after the other |
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

pub mod endpoint;
pub mod load;
pub mod outcome;
pub mod picker;
pub mod round_robin;

pub use endpoint::{Endpoint, Standing, eligible};
pub use load::{InFlight, Load};
pub use outcome::{Outcome, outcome};
pub use picker::{Builder, Pick, Picker};
pub use round_robin::RoundRobin;
