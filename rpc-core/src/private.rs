//! The names that generated code uses. Not for people: they may change in any version.

pub use std::future::Future;
pub use std::sync::Arc;
pub use std::task::{Context as TaskContext, Poll};
pub use std::time::Duration;
pub use std::{
    assert, borrow, clone, convert, default, error, fmt, format, marker, mem, ops, option, result, string,
};

pub use bytes::{Bytes, BytesMut};
pub use prost;
#[cfg(feature = "macros")]
pub use rpc_macros::message;
pub use serde;
pub use tower::Service;

pub use crate::call::service::BoxFuture;
pub use crate::call::{
    CodecFns, CodecInfo, Method, MethodDescriptor, One, Request, Response, ServiceDescriptor, Shape,
};
pub use crate::client::{Call, Channel, IntoTarget};
pub use crate::codec::{Codec, CodecError, Json, Protobuf};
pub use crate::message::schema::MessageSchema;
pub use crate::message::{DecodeError, Empty, Message, field};
pub use crate::server::Serve;
pub use crate::server::handler::{Arrived, call, serve, unknown_method};
pub use crate::server::room::{Handled, Way};
pub use crate::status::{Code, Detail, Status};
pub use crate::stream::Streaming;

/// What the module of a service gets from the scope of its trait, which the module may not see.
pub trait Described {
    /// The codecs of the service, the default first.
    const CODECS: &'static [CodecInfo];
    /// What the request and the reply of each method look like, by the method's index.
    const MESSAGES: &'static [[SchemaFn; 2]];
}

/// What [`Message::schema`] is.
pub type SchemaFn = fn() -> Option<&'static MessageSchema>;

/// Asks a type for its schema, whatever it is: `SchemaOf::<T>::GET`.
///
/// For a message that is its own constant, for all others the one of [`Undescribed`], which has to be in scope.
#[derive(Debug)]
pub struct SchemaOf<T>(marker::PhantomData<T>);

impl<T: Message> SchemaOf<T> {
    /// The message's own.
    pub const GET: SchemaFn = T::schema;
}

/// The answer of [`SchemaOf`] for what only serde knows.
pub trait Undescribed {
    /// It has none.
    const GET: SchemaFn = || None;
}

impl<T> Undescribed for SchemaOf<T> {}

/// [`CodecFns::of`], with the codec named once for each message: each time at the place of the message's type in the
/// user's source, so that the compiler's complaint about a type points at that type.
pub const fn codec_fns<M: Method, Q: Codec<M::Request>, P: Codec<M::Reply>>() -> CodecFns<M> {
    CodecFns::of_pair::<Q, P>()
}

/// The same stream, whose items are made into others: into the messages that they travel as, and back.
pub fn map_items<A: 'static, B: 'static>(
    stream: Streaming<A>,
    change: impl FnMut(A) -> B + Send + 'static,
) -> Streaming<B> {
    stream.map_items(change)
}

/// What the error of a method must be, under a name that the compiler can explain; [`Method::Error`] has the bounds
/// themselves.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a method",
    label = "it must be made of a `Status`, and become one",
    note = "return a `Status`, or an enum with `#[derive(RpcError)]`"
)]
pub trait MethodError: From<Status> + Into<Status> {}

#[diagnostic::do_not_recommend]
impl<E: From<Status> + Into<Status>> MethodError for E {}

/// Compiles if the type can be the error of a method.
pub const fn method_error<E: MethodError>() {}

/// The status that a variant of an error becomes, but for its message: its fields are a detail under the variant's name.
pub fn typed_status<M: Message>(code: Code, type_name: &'static str, fields: &M) -> Status {
    let mut value = BytesMut::with_capacity(fields.encoded_len());
    fields.encode(&mut value);
    Status::new(code, "").with_detail(type_name, value)
}

/// The fields of a variant of an error, if the status has its code and a detail of its name that can be read.
pub fn typed_detail<M: Message>(status: &Status, code: Code, type_name: &str) -> Option<M> {
    if status.code() != code {
        return None;
    }
    let detail = status.details().iter().find(|detail| detail.type_name == type_name)?;
    // A detail that cannot be read is a later version's, say: the status stays what it is, nothing is lost.
    M::decode(detail.value.clone()).ok()
}

/// Asks whether a type is a scalar or a stream, whatever it is called: `Probe::<T>::IS_SCALAR`, `IS_STREAM`.
///
/// For the types below that is their own constant, for all others the one of [`NotScalar`], which has to be in scope.
#[derive(Debug)]
pub struct Probe<T: ?Sized>(marker::PhantomData<T>);

/// The answer of [`Probe`] for every type that has no other.
pub trait NotScalar {
    /// It is none.
    const IS_SCALAR: bool = false;
    /// Nor this.
    const IS_STREAM: bool = false;
}

impl<T: ?Sized> NotScalar for Probe<T> {}

impl<T> Probe<Streaming<T>> {
    /// It is one.
    pub const IS_STREAM: bool = true;
}

macro_rules! scalars {
    ($([$($generics:ident),*] $scalar:ty;)*) => {
        $(impl<$($generics),*> Probe<$scalar> {
            /// It is one.
            pub const IS_SCALAR: bool = true;
        })*
    };
}

scalars! {
    [] ();
    [] bool;
    [] i8;
    [] i16;
    [] i32;
    [] i64;
    [] u8;
    [] u16;
    [] u32;
    [] u64;
    [] f32;
    [] f64;
    [] String;
    [] Bytes;
    [T] Vec<T>;
    [T] Option<T>;
    [K, V, S] std::collections::HashMap<K, V, S>;
    [K, V] std::collections::BTreeMap<K, V>;
}
