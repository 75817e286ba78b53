//! Who calls: the same code for everybody who is measured.
//!
//! | load | what it is for |
//! |---|---|
//! | [`closed`] | loops with one call in flight each: how many calls a second, and how long one takes then |
//! | [`open`] | calls at fixed points in time, whatever becomes of those before: the latency that a user sees under load |
//! | [`oneway`] | messages that nobody answers, from one sender |
//! | [`streams`] | items of streams: how many a second; and streams that are read beside calls |
//! | [`beside`] | small calls while large bodies cross the same connection, or somebody reads slowly |
//! | [`fixed`] | a number of calls, for callgrind and strace |
//!
//! In reading order: [`latency`] (many latencies, few figures), [`window`] (when it is measured, and the processor time
//! meanwhile), then the loads.

pub mod beside;
pub mod closed;
pub mod fixed;
pub mod latency;
pub mod oneway;
pub mod open;
pub mod streams;
pub mod window;
