//! The protocol, without sockets, clocks, tasks or locks: bytes and `now` go in, bytes and events come out.
//!
//! `docs/PROTOCOL.md` is the text that this code follows; comments cite its sections as §n. In reading order:
//!
//! | file | what is in it |
//! |---|---|
//! | [`frame`] | the 16-byte prefix, kinds, flags (§3) |
//! | [`field`] | the fields of a header: key, length, value (§4) |
//! | [`settings`] | limits and grants, ours and the peer's (§5) |
//! | [`head`] | the heads of requests and responses (§6, §7) |
//! | [`method`] | method names that become numbers (§6.2) |
//! | [`credit`] | the windows of flow control (§8) |
//! | [`stream`] | one call's state, with its diagram (§9) |
//! | `inbox` | a message that comes in parts (§8.4) |
//! | [`table`] | streams by id |
//! | [`out`] | bytes on their way to the socket |
//! | [`keepalive`] | pings, round-trip time, and the limit on cheap frames (§11) |
//! | [`error`] | what breaks a connection, and whose fault it is (§12) |
//! | [`connection`] | the state machine: commands, `handle_…` in, `poll_…` out |
//!
//! ```
//! use std::time::Instant;
//! use rpc_core::wire::{Config, Connection, Role, Transmit};
//!
//! let now = Instant::now();
//! let mut client = Connection::new(Role::Connector, Config::default(), now);
//! let mut server = Connection::new(Role::Acceptor, Config::default(), now);
//!
//! let mut out = Transmit::default();
//! client.poll_transmit(now, &mut out);
//! let mut bytes = out.take_all();
//! server.handle_bytes(now, &mut bytes)?;
//! assert!(bytes.is_empty() && server.is_established());
//! # Ok::<(), rpc_core::wire::ConnectionError>(())
//! ```

pub mod connection;
pub mod credit;
pub mod error;
pub mod field;
pub mod frame;
pub mod head;
pub(crate) mod inbox;
pub mod keepalive;
pub mod method;
pub mod out;
pub mod settings;
pub mod stream;
pub mod table;

#[cfg(test)]
mod tests;

pub use connection::{Connection, Event, Incoming, OpenError, Opened, Part, Role, SendError};
pub use error::{CancelReason, ConnectionError, ErrorCode};
pub use frame::{Kind, Prefix};
pub use head::{RequestHead, ResponseHead};
pub use out::Transmit;
pub use settings::{Config, Settings};
pub use stream::{StreamId, Token};
