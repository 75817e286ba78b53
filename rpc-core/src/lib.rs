//! Courier: an RPC framework in which a trait is the contract.
//!
//! `#[service]` turns a trait into a client that implements the trait and a server that serves any implementation of
//! it, over a framed protocol of our own, in protobuf or JSON.

// What the macros make names `::rpc_core`, here too.
#[cfg(feature = "macros")]
extern crate self as rpc_core;

#[cfg(feature = "macros")]
pub use rpc_macros::{RpcError, message, service};

pub mod balance;
mod buffer;
pub mod call;
pub mod client;
pub mod codec;
pub mod context;
pub mod discovery;
pub mod export;
pub mod lock;
pub mod message;
pub mod metadata;
pub mod middleware;
#[cfg(feature = "proto")]
pub mod proto;
pub mod server;
pub mod status;
pub mod stream;
pub mod transport;
pub mod wire;

#[doc(hidden)]
pub mod private;

pub use call::{Method, Peer, Request, Response};
pub use client::{Call, Channel};
pub use context::{Context, spawn};
pub use message::Message;
pub use metadata::{InvalidName, Metadata};
pub use server::Server;
pub use status::{Certainty, Code, Detail, Hop, Status};
pub use stream::Streaming;
