//! A trait in a crate of its own: what the end-to-end tests implement and call from another one.

use rpc_core::{Status, message, service};

/// A thing in store.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it is called.
    pub name: String,
    /// How many there are.
    pub count: u64,
}

/// Keeps things.
#[service(name = "contract.v1.Store")]
pub trait Store {
    /// Puts a thing in; gives how many there are now.
    async fn put(&self, item: Item) -> Result<u64, Status>;

    /// The thing of this name, if there is one.
    async fn find(&self, name: String) -> Result<Option<Item>, Status>;
}
