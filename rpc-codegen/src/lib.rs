//! From `.proto` files to annotated traits: the other front door of Courier.
//!
//! A build script reads `.proto` files and writes Rust: a message becomes a struct that prost encodes, a service
//! becomes a trait with `#[service]` on it, as a person would have written it. Nothing needs to be installed: the
//! files are read by protox, not by protoc.
//!
//! ```no_run
//! // build.rs
//! fn main() -> Result<(), rpc_codegen::Error> {
//!     rpc_codegen::compile(&["proto/greeter.proto"], &["proto"])
//! }
//! ```
//!
//! ```text
//! // src/lib.rs, of a package that depends on `rpc-core` with the feature `proto`
//! include!(concat!(env!("OUT_DIR"), "/mod.rs"));
//!
//! use demo::v1::{Greeter, GreeterClient, HelloRequest};
//! ```
//!
//! Packages become modules, `demo.v1` becomes `demo::v1`. The command `rpc-codegen` does the same into a folder, for
//! people who check generated code in. The programs `route_guide` and `two_doors` in `examples` are made so; the other
//! way round, from a trait to a `.proto`, is `rpc_core::export`.
//!
//! # From .proto to Rust
//!
//! | .proto | Rust |
//! |---|---|
//! | a method's request | the argument `request`; none for `google.protobuf.Empty`; the value inside of a wrapper like `google.protobuf.StringValue` |
//! | a method's reply | what the method returns: `Result<Reply, Status>` |
//! | `stream` | `Streaming<T>`, in the argument `requests` and in what the method returns |
//! | `option idempotency_level`, `(rpc.v1.method)` of `rpc/v1/options.proto` | the arguments of `#[rpc(…)]` |
//! | `google.protobuf.*` | `rpc_core::proto::*` |
//! | `deprecated` | `#[deprecated]` |
//! | comments | documentation; code in them is text, never a test |
//! | an imported file | generated if something in it is used; not if it is there for its options |
//! | JSON | `shop.v1-json.rs` beside `shop.v1.rs` gives the messages serde's traits, for [proto3's JSON][json]; only if `Json` is among the codecs |
//! | a message called `Option` in a method | `OptionMessage`, since `#[service]` knows scalars by their spelling |
//! | a name that is a word of Rust's | `r#type`; `self_` for `self`, `super`, `crate` and `extern` |
//! | a message with nested types and a package of its name | one module |
//! | a service whose client, server or module has the name of something else | in a module of its own: `greeter_service` |
//!
//! [json]: https://protobuf.dev/programming-guides/json/
//!
//! Where this differs from other languages: a method that takes or gives a wrapper (`google.protobuf.StringValue`) has
//! the wrapper's bytes in protobuf, but in JSON it is `{"value":"…"}`, as for every method of scalars; as a field it
//! is `"…"`. prost drops unknown fields, and it keeps no extensions: they are neither in JSON nor passed on. Editions
//! are refused with an error that says so.
//!
//! The compiler follows messages that hold each other to see that they are `Send`, by default 128 steps deep. A schema with
//! longer chains, of dozens of messages each of which holds the next, needs `#![recursion_limit = "512"]` (or more) in the
//! crate that includes it; the compiler says so.
//!
//! # Files, in the order of a run
//!
//! [`builder`](Builder) (options and the run, `externs`) → `schema` (reading) → `select` (which files) → `check` (names that
//! clash) → `message` (prost-build, `doc`) → `service` (traits, `policy`, `names`) → `package` (modules, `shorten`, `json`) →
//! `render` (text) → [`output`](Output) (writing).

mod builder;
mod check;
mod doc;
mod error;
mod externs;
mod json;
mod message;
mod names;
mod output;
mod package;
mod policy;
mod render;
mod schema;
mod select;
mod service;
mod shorten;

use std::path::Path;

pub use builder::Builder;
pub use error::Error;
pub use output::Output;

/// Generates from `protos`, looking for them and for what they import in `includes`, into the `OUT_DIR` of the build
/// script that calls this. The file to include is `mod.rs`.
///
/// # Errors
/// [`Error`] with all that is wrong with the files, or if the output cannot be written.
pub fn compile(protos: &[impl AsRef<Path>], includes: &[impl AsRef<Path>]) -> Result<(), Error> {
    configure().compile(protos, includes)
}

/// Starts with the options of [`compile`], to change them.
///
/// ```no_run
/// rpc_codegen::configure()
///     .bytes(["."])
///     .type_attribute(".shop.v1.Money", "#[derive(PartialOrd)]")
///     .compile(&["proto/shop/v1/catalog.proto"], &["proto"])?;
/// # Ok::<(), rpc_codegen::Error>(())
/// ```
#[must_use]
pub fn configure() -> Builder {
    Builder::default()
}
