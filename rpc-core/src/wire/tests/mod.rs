//! Tests of the protocol: two connections against each other on a virtual clock, and one against a script.
//!
//! | file | what is in it |
//! |---|---|
//! | [`pair`] | the two connections, their links and their clock |
//! | [`operations`] | random operations on a pair, and what must hold after each |
//! | [`script`] | a peer that sends what a test says |
//! | `edges` | every edge of the diagram in `stream.rs` |
//! | `flow` | credit, large messages, fairness, back-pressure |
//! | `items` | streams of items |
//! | `parts` | parts of large messages, read straight to their places |
//! | `share` | small calls beside many streams |
//! | `stop` | a request whose items nobody wants any more |
//! | `time` | deadlines, keepalive, drain, loss |
//! | `hostile`, `hostile_stream` | every rule of PROTOCOL.md, broken |
//! | `properties` | round trips, splits, conservation |
//! | `unread` | items that nobody reads, on many streams |
//! | `vectors` | golden bytes |

use crate::metadata::Metadata;
use crate::wire;

mod edges;
mod flow;
mod hostile;
mod hostile_stream;
mod items;
mod operations;
mod pair;
mod parts;
mod properties;
mod script;
mod share;
mod stop;
mod time;
mod unread;
mod vectors;
