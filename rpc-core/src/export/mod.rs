//! Services of traits as `.proto` files, so that programs in other languages can call them.
//!
//! A trait says all that a `.proto` would say: [`proto_files`] writes it down. There is one file for each package, with
//! the services, the messages that they use and the enums in them, all under the names and numbers that they have on the
//! wire; doc comments become comments. What `rpc-codegen` makes of these files is wire-compatible with the trait.
//!
//! ```
//! use rpc_core::{Status, export, message, service};
//!
//! /// Greets people.
//! #[service(name = "demo.v1.Greeter")]
//! trait Greeter {
//!     /// Says hello.
//!     #[rpc(idempotent)]
//!     async fn say_hello(&self, name: String, tone: Tone) -> Result<Greeting, Status>;
//! }
//!
//! #[message]
//! pub struct Greeting { text: String }
//!
//! #[message]
//! pub enum Tone { Casual, Formal }
//!
//! let files = export::proto_files([&greeter::DESCRIPTOR])?;
//! assert_eq!(files[0].path, "demo/v1/greeter.proto");
//! assert_eq!(files[0].text, r#"// Written by Courier from the services of a Rust program.
//! syntax = "proto3";
//!
//! package demo.v1;
//!
//! // Greets people.
//! service Greeter {
//!   // Says hello.
//!   rpc SayHello(SayHelloRequest) returns (Greeting) {
//!     option idempotency_level = IDEMPOTENT;
//!   }
//! }
//!
//! message SayHelloRequest {
//!   string name = 1;
//!   Tone tone = 2;
//! }
//!
//! enum Tone {
//!   TONE_CASUAL = 0;
//!   TONE_FORMAL = 1;
//! }
//!
//! message Greeting {
//!   string text = 1;
//! }
//! "#);
//! # Ok::<(), export::ExportError>(())
//! ```
//!
//! | in Rust | in the .proto |
//! |---|---|
//! | no argument, or `()` | `google.protobuf.Empty` |
//! | several arguments, or a scalar | a message of its own: `SayHelloRequest`, `SayHelloReply` |
//! | a type without a package in its name | in the package of what uses it |
//! | an enum with data | a message with one oneof, `kind` |
//! | an enum without the number 0 | the same with `…_UNSPECIFIED = 0`, which proto3 wants; the server refuses it |
//! | `Option<u32>` | `optional uint32` |
//! | `idempotent`; `timeout`, `oneway` | `idempotency_level`; `(rpc.v1.method)`, whose file comes along |
//!
//! Not in it are the errors of methods and their details: protobuf has no place for them.
//!
//! | file | what is in it |
//! |---|---|
//! | `collect` | from descriptors to the types of each package, under the names that they get |
//! | `symbol` | which names are taken, and how one is written where it is used |
//! | `write` | the text |

mod collect;
mod symbol;
mod write;

use std::fmt;

use crate::call::ServiceDescriptor;

/// The options that carry our policies.
const OPTIONS: &str = "rpc/v1/options.proto";

/// A `.proto` file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProtoFile {
    /// Where it belongs in the folder that imports start from: `demo/v1/greeter.proto`, by its package and by the first
    /// service in it.
    pub path: String,
    /// What is in it.
    pub text: String,
}

/// These services and all that they use as `.proto` files, one for each package, in the order of their names.
///
/// # Errors
/// [`ExportError`], with all that a `.proto` cannot say: a message that has no description, since it comes from a
/// `.proto` file already or only serde knows it; two that have one name; packages that use each other.
pub fn proto_files<'a>(
    services: impl IntoIterator<Item = &'a ServiceDescriptor>,
) -> Result<Vec<ProtoFile>, ExportError> {
    let schema = collect::collect(services.into_iter().collect())?;
    let mut files = write::files(&schema);
    if schema.packages.values().any(|package| package.imports.contains(OPTIONS)) {
        let text = include_str!("../../../proto/rpc/v1/options.proto").to_owned();
        files.push(ProtoFile { path: OPTIONS.to_owned(), text });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Why services could not be written as `.proto` files: all that is wrong with them, with its place and its mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportError {
    problems: Vec<String>,
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problems.join("\n"))
    }
}

impl std::error::Error for ExportError {}
