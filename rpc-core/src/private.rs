//! The names that generated code uses. Not for people: they may change in any version.

pub use std::future::Future;
pub use std::sync::Arc;
pub use std::task::{Context as TaskContext, Poll};
pub use std::time::Duration;
pub use std::{borrow, clone, convert, default, fmt, marker, mem, ops, option, result};

pub use bytes::{Bytes, BytesMut};
pub use prost;
pub use serde;
pub use tower::Service;

pub use crate::call::service::BoxFuture;
pub use crate::call::{
    CodecFns, CodecInfo, Method, MethodDescriptor, Request, Response, ServiceDescriptor, Shape,
};
pub use crate::client::{Call, Channel, IntoTarget};
pub use crate::codec::{Codec, CodecError, Json, Protobuf};
pub use crate::message::{DecodeError, Empty, Message, field};
pub use crate::server::Serve;
pub use crate::server::handler::{serve, unknown_method};
pub use crate::status::{Code, Detail, Status};
#[cfg(feature = "macros")]
pub use rpc_macros::message;
