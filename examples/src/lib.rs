//! Small programs, one idea each, that end by themselves: `cargo run --bin NAME`.
//!
//! | program | what it shows |
//! |---|---|
//! | `hello` | the first program: a trait, a server, a client |
//! | `tour` | everything in one run, over several processes |
//! | `shop` | four services, several instances of each, which come and go under load |
//! | `options` | every way to make a call, and what can be set for one |
//! | `errors` | errors of your own, which arrive with their fields |
//! | `codecs` | protobuf, JSON and a codec of your own |
//! | `route_guide` | a service from a `.proto` file, made in `build.rs`, with streams in all shapes |
//! | `two_doors` | the same service from a trait and from a `.proto`, calling each other |
//! | `upload` | the caller streams, and a slow disk holds it back |
//! | `feed` | the server streams, for as long as somebody looks |
//! | `oneway` | calls without a reply |
//! | `callbacks` | a server calls its clients |
//! | `deadlines` | a time budget over three hops, and where it went |
//! | `cancel` | dropping a call stops the work, over three hops |
//! | `errgroup` | fan-out in which the first error ends the rest |
//! | `layers` | what is done to every call, on both sides |
//! | `trace` | spans that go on over two hops |
//! | `transports` | TCP, Unix sockets, memory, one of your own |
//! | `discovery` | servers that come and go behind a name |
//! | `local` | code that takes any implementation: a client, a local one, a double |
//! | `drain` | the orderly end of a server |
//!
//! Each is one file in `src/bin`, to be read from the top; the tour and the shop are folders. Each asserts what it claims,
//! so that a run that ends well is a test that passed.

pub mod greeter;

// Every snippet of the guide is compiled, and run where it can be.
#[cfg(doctest)]
#[doc = include_str!("../../docs/GUIDE.md")]
struct Guide;
