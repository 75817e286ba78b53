//! [`Streaming`]: many messages in place of one, in either direction.
//!
//! In reading order: `streaming` (the type), `source` (what it may be made of), `channel` (one that is fed by hand).
//!
//! A method takes a stream as its only argument, or gives one, or both. Whoever has a `Streaming` reads it as any other
//! [`Stream`](futures_core::Stream); whoever needs one makes it of a stream, of an iterator, or of a
//! [channel](Streaming::channel):
//!
//! ```
//! use rpc_core::{Status, Streaming, service};
//!
//! #[service]
//! pub trait Numbers {
//!     /// The numbers from 1 to `last`.
//!     async fn count(&self, last: u64) -> Result<Streaming<u64>, Status>;
//!     /// The sum of what is sent.
//!     async fn sum(&self, numbers: Streaming<u64>) -> Result<u64, Status>;
//! }
//!
//! struct Plain;
//!
//! impl Numbers for Plain {
//!     async fn count(&self, last: u64) -> Result<Streaming<u64>, Status> {
//!         Ok(Streaming::iter(1..=last))
//!     }
//!
//!     async fn sum(&self, mut numbers: Streaming<u64>) -> Result<u64, Status> {
//!         let mut sum = 0;
//!         while let Some(number) = numbers.next().await {
//!             sum += number?;
//!         }
//!         Ok(sum)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Status> {
//! let numbers = NumbersClient::local(Plain);
//! // What comes from one call can go into the next, as it comes.
//! let sum = numbers.sum(numbers.count(4).await?).await?;
//! assert_eq!(sum, 10);
//! # Ok(())
//! # }
//! ```

mod channel;
mod source;
mod streaming;

pub use channel::{Gone, Sender};
pub(crate) use source::{Source, Trailing};
pub use streaming::{IntoItem, Next, Streaming};
