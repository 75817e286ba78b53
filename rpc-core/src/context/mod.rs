//! What surrounds a call: how long it may take, whether anybody still wants it, and what goes with it.
//!
//! In reading order: `context` (the type), `node` (the chain that it points to), `incoming` (a call, as the root of a
//! chain), `cancel` (one place that can be cancelled, and who waits there), `cancelled` (waiting for the end, and
//! bringing it about), `scope` (which context is the current one, and tasks that keep it), `group` (tasks of which the
//! first error ends the rest), `trace` (W3C trace context), `peer` (the other end), `caller` (the connection to it),
//! `clock` (the time, which tests may stop).
//!
//! A context is a chain of small nodes, each made from its parent and never changed. Two rules give its direction:
//!
//! * deadline and cancellation go from parent to child, and never widen: a child can only have less time;
//! * values are looked up from child to parent: the nearest one of the type asked for.
//!
//! ```
//! use std::time::Duration;
//! use rpc_core::{Code, Context};
//!
//! struct Tenant(&'static str);
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let ctx = Context::background().with_value(Tenant("a")).with_timeout(Duration::from_millis(10));
//! ctx.scope(async {
//!     // Somewhere below, with nothing passed along:
//!     assert_eq!(Context::current().value::<Tenant>().unwrap().0, "a");
//!     let endless = Context::current().run(std::future::pending::<()>()).await;
//!     assert_eq!(endless.unwrap_err().code(), Code::DeadlineExceeded);
//! })
//! .await;
//! # }
//! ```
//!
//! # An answer from a child
//!
//! A parent cannot see the values of its children. Where one needs to (how many rows did the calls below read?), the
//! parent puts in a slot, something shared that can be written through `&`, and the children fill it:
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use rpc_core::Context;
//!
//! #[derive(Default)]
//! struct RowsRead(AtomicU64);
//!
//! async fn query() {
//!     if let Some(rows) = Context::current().value::<RowsRead>() {
//!         rows.0.fetch_add(3, Ordering::Relaxed);
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let ctx = Context::current().with_value(RowsRead::default());
//! ctx.scope(async { tokio::join!(query(), query()) }).await;
//! assert_eq!(ctx.value::<RowsRead>().unwrap().0.load(Ordering::Relaxed), 6);
//! # }
//! ```
//!
//! A `OnceLock<T>` makes a slot for one answer, a `Mutex<Vec<T>>` one for many. The type of the slot is its name, so
//! wrap it in a struct of your own.

mod caller;
mod cancel;
mod cancelled;
mod clock;
#[expect(clippy::module_inception, reason = "named after its type, as every file here")]
mod context;
mod group;
mod incoming;
mod node;
mod peer;
mod scope;
mod trace;

pub(crate) use caller::Caller;
pub(crate) use cancel::Reason;
pub(crate) use cancelled::Registration;
pub use cancelled::{CancelHandle, Cancelled};
pub(crate) use clock::{now, sleep_until};
pub use context::Context;
pub use group::Group;
pub(crate) use incoming::CallParts;
pub use peer::Peer;
pub(crate) use scope::poll_in;
pub use scope::{Run, Scope, spawn};
pub use trace::TraceContext;
