//! The services of the shop: two as traits, two from `.proto` files (`proto/shop/v1`), called and served alike.
//!
//! ```text
//!                         +--> users   (.proto)
//!   load --> gateway --> orders --+
//!               |                 v
//!               +--------------> stock   (.proto)
//! ```

use rpc_core::{RpcError, Status, Streaming, message, service};

#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/mod.rs"));
}

pub(crate) use generated::shop::v1::*;

/// An order as the customer writes it.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Order {
    /// The customer's own: the same order, sent again, has the same key, and is placed once.
    pub(crate) key: String,
    pub(crate) user: u64,
    pub(crate) item: String,
    pub(crate) quantity: u64,
}

/// An order that was placed, and the how manieth it is, from 0.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) number: u64,
    pub(crate) order: Order,
}

/// What can go wrong in the shop. Crosses every hop as it is.
#[derive(Debug, RpcError)]
#[rpc(name = "shop.v1.ShopError")]
pub(crate) enum ShopError {
    #[rpc(code = "failed_precondition", message = "of {item} only {left} are left")]
    SoldOut { item: String, left: u64 },
    #[rpc(code = "not_found", message = "there is no user {0}")]
    NoSuchUser(u64),
    #[rpc(status)]
    Other(Status),
}

/// What customers call.
#[service(name = "shop.v1.Gateway")]
pub(crate) trait Gateway {
    /// A new user's number. Not idempotent: who calls twice is two users.
    #[rpc(timeout = "10s")]
    async fn sign_up(&self, name: String) -> Result<u64, ShopError>;

    /// How many are left.
    #[rpc(idempotent, timeout = "10s")]
    async fn look(&self, item: String) -> Result<u64, ShopError>;

    /// The number of the order. Idempotent by the order's key.
    #[rpc(idempotent, timeout = "10s")]
    async fn buy(&self, order: Order) -> Result<u64, ShopError>;

    /// The orders from this number on, as they are placed, for a moment: ask again for what comes after.
    #[rpc(idempotent, timeout = "10s")]
    async fn watch(&self, from: u64) -> Result<Streaming<Placed>, ShopError>;
}

/// Places orders.
#[service(name = "shop.v1.Orders")]
pub(crate) trait Orders {
    /// See [`Gateway::buy`].
    #[rpc(idempotent)]
    async fn place(&self, order: Order) -> Result<u64, ShopError>;

    /// See [`Gateway::watch`].
    #[rpc(idempotent)]
    async fn watch(&self, from: u64) -> Result<Streaming<Placed>, ShopError>;
}
