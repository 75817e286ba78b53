//! The end-to-end tests: every promise of the framework over real sockets, between two runtimes.
//!
//! In reading order: `support` (the tests' vocabulary: a service that can be steered, a bench that finds leaks, a proxy
//! that makes trouble, a peer that speaks bytes), then a module for each topic.

mod support;

mod attempts;
mod callbacks;
mod calls;
mod cluster;
mod codecs;
mod context;
mod deadlines;
mod death;
mod discovery;
mod drain;
mod dropped;
mod errors;
mod generated;
mod hostile;
mod in_place;
mod layers;
mod macros;
mod middleware;
mod pool;
mod program;
mod stream_company;
mod stream_ends;
mod streams;
mod transports;
