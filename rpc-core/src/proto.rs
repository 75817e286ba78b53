//! What code from `.proto` files stands on: prost, and Google's well-known types. Needs the feature `proto`.
//!
//! ```
//! use rpc_core::proto::{Duration, Timestamp};
//!
//! let pause = Duration { seconds: 1, nanos: 500_000_000 };
//! let start = Timestamp { seconds: 0, nanos: 0 };
//! ```

pub use prost;
pub use prost_types::*;
