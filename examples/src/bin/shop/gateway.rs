//! The service `Gateway`: passes on to the others.

use rpc_core::Streaming;

use crate::contract::{
    Gateway, LevelRequest, Order, OrdersClient, Placed, ShopError, SignUpRequest, StockClient, UsersClient,
};

pub(crate) struct FrontDoor {
    pub(crate) users: UsersClient,
    pub(crate) stock: StockClient,
    pub(crate) orders: OrdersClient,
}

impl Gateway for FrontDoor {
    async fn sign_up(&self, name: String) -> Result<u64, ShopError> {
        Ok(self.users.sign_up(SignUpRequest { name }).await?.id)
    }

    async fn look(&self, item: String) -> Result<u64, ShopError> {
        Ok(self.stock.level(LevelRequest { item }).await?.left)
    }

    async fn buy(&self, order: Order) -> Result<u64, ShopError> {
        // The error is ours too, so it goes on with its fields: nothing to translate.
        self.orders.place(order).await
    }

    async fn watch(&self, from: u64) -> Result<Streaming<Placed>, ShopError> {
        // Item by item as they come, and no faster than the customer reads.
        self.orders.watch(from).await
    }
}
