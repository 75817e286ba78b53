//! The macros of Courier: [`service`], [`message`] and [`RpcError`](derive@RpcError).
//!
//! `rpc-core` re-exports them, and what they write names only `::rpc_core::private`: use them from there.
//!
//! Each macro is a module that works in passes: `service` is ast → attr → valid → expand, with a fallback for code that
//! breaks a rule; `error` and `message` likewise. Shared: `ctxt` (the errors that the passes find), `attr` (reading
//! attributes), `spelling` (what can be told of a type from how it is written), `case`, `wire_name` and `duration`.

mod attr;
mod case;
mod ctxt;
mod duration;
mod error;
mod message;
mod service;
mod spelling;
mod wire_name;

use proc_macro::TokenStream;

/// Turns a trait into a client and a server.
///
/// ```
/// use rpc_core::{Status, service};
///
/// #[service]
/// pub trait Greeter {
///     /// Says hello.
///     async fn hello(&self, name: String) -> Result<String, Status>;
/// }
///
/// struct English;
///
/// impl Greeter for English {
///     async fn hello(&self, name: String) -> Result<String, Status> {
///         Ok(format!("hello, {name}"))
///     }
/// }
///
/// // A client is a `Greeter` as well: code that is generic over the trait takes either.
/// async fn greet(greeter: &impl Greeter) -> Result<String, Status> {
///     greeter.hello("world".into()).await
/// }
///
/// # async fn run() -> Result<(), Status> {
/// let remote = GreeterClient::connect("127.0.0.1:7000").await?;
/// let local = GreeterClient::local(English);
/// greet(&remote).await?;
/// greet(&local).await?;
/// greet(&English).await?;
/// # Ok(())
/// # }
/// assert_eq!(greeter::DESCRIPTOR.methods[0].path, "Greeter/Hello");
/// ```
///
/// # What is generated
///
/// | name | what it is |
/// |---|---|
/// | `Greeter` | the trait; each `async fn` returns `impl Future<…> + Send`, implementations still write `async fn` |
/// | `GreeterClient` | `new(channel)`, `connect(target)`, `local(implementation)`, and the trait's methods, which return a `Call`: a future with options. It implements `Greeter` |
/// | `GreeterServer<T>` | `new(implementation)`, `from_arc(implementation)`: what a server takes, and a tower service |
/// | `greeter` | a module: `DESCRIPTOR`, and each method as a type, `greeter::Hello` |
///
/// All are as visible as the trait. A method called `new`, `connect`, `local`, `channel` or `clone` has a `_` behind it on
/// the client; the trait keeps the name. There is no `dyn Greeter`, for its methods return `impl Future`: write
/// functions over `impl Greeter`.
///
/// # Messages
///
/// What travels follows from the signature. No argument is the empty message. One argument of a message type is the
/// body. Otherwise (several arguments, or one scalar, list, option or map) a message is generated with a field for each
/// argument, of its name, numbered in order. A reply is the empty message for `()`, the body for a message type, and
/// for anything else a message with one field `value`.
///
/// Scalars are known by how they are written: `bool`, `i32`, `i64`, `u32`, `u64`, `f32`, `f64`, `String`, `Bytes`,
/// `Vec<…>`, `Option<…>`, `HashMap<…>`, `BTreeMap<…>`, under any path. Everything else is taken for a message; an alias
/// of a scalar is refused there.
///
/// ```
/// use rpc_core::{Status, message, service};
///
/// #[message]
/// pub struct Point {
///     pub x: f64,
///     pub y: f64,
/// }
///
/// #[service]
/// pub trait Map {
///     // The body is a `Point`, and `{"value":"…"}` comes back.
///     async fn name(&self, at: Point) -> Result<String, Status>;
///     // The body is `{"from":{…},"to":{…}}`, and a `Point` comes back.
///     async fn middle(&self, from: Point, to: Point) -> Result<Point, Status>;
/// }
/// ```
///
/// # Attributes of the trait
///
/// * `name = "demo.v1.Greeter"`: the name on the wire; without it the trait's.
/// * `codecs(Protobuf, Json)`: what the service speaks, the client's default first; without it these two. `Protobuf` and
///   `Json` are Courier's own even if they are not imported; any other path is a type of yours that implements `Codec`,
///   for the empty message too.
///
/// # Attributes of a method
///
/// In `#[rpc(…)]`:
///
/// * `name = "SayHello"`: the name on the wire; without it the method's in CamelCase.
/// * `idempotent`: running it twice is as good as once, so it may be retried after it may have run.
/// * `oneway`: the caller is not answered; such a method returns `Result<(), E>`.
/// * `spawn`: the handler always gets a task of its own.
/// * `timeout = "200ms"`: the time that a call has unless the caller says otherwise, in `us`, `ms`, `s` or `m`.
///
/// ```
/// use std::time::Duration;
///
/// use rpc_core::{Status, service};
///
/// #[service(name = "demo.v1.Greeter", codecs(Json, Protobuf))]
/// pub trait Greeter {
///     #[rpc(name = "SayHello", idempotent, timeout = "200ms")]
///     async fn hello(&self, name: String) -> Result<String, Status>;
///
///     #[rpc(oneway)]
///     async fn note(&self, text: String) -> Result<(), Status>;
/// }
///
/// let hello = greeter::DESCRIPTOR.method("SayHello").unwrap();
/// assert_eq!(hello.path, "demo.v1.Greeter/SayHello");
/// assert_eq!(hello.timeout, Some(Duration::from_millis(200)));
/// assert!(hello.idempotent);
/// ```
///
/// Doc comments, `#[deprecated]` and `#[cfg]` on a method go to its counterparts, so a method that is compiled out is
/// not there at all. All other attributes stay on the trait.
#[proc_macro_attribute]
pub fn service(args: TokenStream, item: TokenStream) -> TokenStream {
    service::expand(args.into(), item.into()).into()
}

/// Lets a struct or an enum travel.
#[proc_macro_attribute]
pub fn message(args: TokenStream, item: TokenStream) -> TokenStream {
    message::expand(args.into(), item.into()).into()
}

/// Makes an enum the error of a service's methods: each variant travels with its fields.
///
/// It writes `From<Status>` for the enum, `From` of the enum for `Status`, and `Display` and `Error`, so that `?` takes it
/// wherever any error goes. `Display` gives the message that the status has.
///
/// ```
/// use rpc_core::{Code, RpcError, Status, service};
///
/// #[derive(Debug, RpcError)]
/// #[rpc(name = "demo.v1.BankError")]
/// pub enum BankError {
///     #[rpc(code = "not_found", message = "no account {id}")]
///     NoSuchAccount { id: u64 },
///     #[rpc(code = "failed_precondition", message = "only {0} there, not {1}")]
///     TooLittle(u64, u64),
///     #[rpc(code = "unavailable")]
///     OnHoliday,
///     #[rpc(status)]
///     Other(Status),
/// }
///
/// #[service]
/// pub trait Bank {
///     async fn balance(&self, id: u64) -> Result<i64, BankError>;
/// }
///
/// let status = Status::from(BankError::NoSuchAccount { id: 7 });
/// assert_eq!((status.code(), status.message()), (Code::NotFound, "no account 7"));
/// assert!(matches!(BankError::from(status), BankError::NoSuchAccount { id: 7 }));
///
/// let error: Box<dyn std::error::Error> = BankError::OnHoliday.into();
/// assert_eq!(error.to_string(), "on holiday");
/// ```
///
/// # Attributes of the enum
///
/// In `#[rpc(…)]`:
///
/// * `name = "demo.v1.BankError"`: the name that it travels under; without it the enum's own.
/// * `own_display`: leaves `Display` and `Error` to you, or to another derive.
///
/// # Attributes of a variant
///
/// In `#[rpc(…)]`:
///
/// * `code = "not_found"`: the code of the status, in snake case: `cancelled`, `unknown`, `invalid_argument`,
///   `deadline_exceeded`, `not_found`, `already_exists`, `permission_denied`, `resource_exhausted`,
///   `failed_precondition`, `aborted`, `out_of_range`, `unimplemented`, `internal`, `unavailable`, `data_loss` or
///   `unauthenticated`. Every variant but the next has one.
/// * `status`: the variant holds every status that is none of the others (a lost connection, a deadline, a later
///   version's error). One variant has it, and holds one `Status`.
/// * `message = "no account {id}"`: the message of the status, a format string over the fields; the fields of a tuple
///   are `{0}`, `{1}`. Without it the variant's name in words.
///
/// # On the wire
///
/// The fields are a message like that of a `#[message]` struct, in protobuf whatever the call's codec, in a detail of
/// the status named `demo.v1.BankError.NoSuchAccount`: `name` on the enum says the first part, which is otherwise the
/// enum's own name. On the way back, code and name have to fit and the fields to be readable; else the status goes to the
/// `status` variant as it is. A variant holds its fields and nothing else of the status: certainty, metadata and
/// retry-after are gone once it is one.
#[proc_macro_derive(RpcError, attributes(rpc))]
pub fn rpc_error(item: TokenStream) -> TokenStream {
    error::expand(item.into()).into()
}
