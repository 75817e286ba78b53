//! What the tests are written in.
//!
//! [`bench`] runs a test on two runtimes and finds what it leaves behind; [`lab`] is a service that does what the test
//! says, and counts; [`flow`] is one with streams; [`proxy`] stands between client and server and makes trouble; [`raw`] is a peer that speaks bytes;
//! [`wait`] waits for conditions.

pub(crate) mod bench;
pub(crate) mod chain;
pub(crate) mod flow;
pub(crate) mod lab;
pub(crate) mod proxy;
pub(crate) mod raw;
pub(crate) mod wait;

pub(crate) use bench::{Bench, bench, drained, quiet, until_channel_quiet, until_server_quiet};
pub(crate) use lab::{Bed, LabClient, LabServer};
pub(crate) use proxy::{Faults, Proxy};
pub(crate) use wait::{ms, polled, secs, until, within};
