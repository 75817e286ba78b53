//! What code from `.proto` files stands on: prost, Google's well-known types, and JSON. Needs the feature `proto`.
//!
//! ```
//! use rpc_core::proto::{Duration, Timestamp};
//!
//! let start = Timestamp::from(std::time::SystemTime::UNIX_EPOCH);
//! let pause = Duration { seconds: 1, nanos: 500_000_000 };
//! assert_eq!(serde_json::to_string(&start)?, r#""1970-01-01T00:00:00Z""#);
//! assert_eq!(serde_json::to_string(&pause)?, r#""1.500s""#);
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! The well-known types have the fields that prost-types gives them, but are our own: only so can they have serde's
//! traits. All others (`FileDescriptorProto`, `Api`, `Type`…) are those of prost-types, and have no JSON.
//!
//! | file | what is in it |
//! |---|---|
//! | `well_known` | the well-known types with a JSON form of their own, and their conversions |
//! | `any`, `tree` | `Any`, the registry of what may be in it, and JSON that waits for its type |
//! | `time` | `Timestamp` and `Duration` as text |
//! | [`json`] | how the fields of generated messages are written and read |

mod any;
pub mod json;
mod time;
mod tree;
mod well_known;

pub use prost;
pub use prost_types::*;

pub use any::{Any, register};
pub use well_known::{Duration, FieldMask, ListValue, NullValue, Struct, Timestamp, Value, value};
