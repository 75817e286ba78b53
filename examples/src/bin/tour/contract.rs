//! The services of the tour: a post office, and a chain of three that deliver.

use rpc_core::{RpcError, Status, message, service};

/// What is sent.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parcel {
    pub(crate) id: u64,
    pub(crate) to: Place,
    pub(crate) grams: u32,
    pub(crate) speed: Speed,
    pub(crate) contents: Contents,
    pub(crate) tags: Vec<String>,
}

/// Where to.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) city: String,
    pub(crate) zip: Option<String>,
}

/// An enum without data.
#[message]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Speed {
    Standard,
    Express,
}

/// An enum with data.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Contents {
    Letter { pages: u32 },
    Goods { name: String, cents: u64 },
}

/// What it costs, and the parcel as the post office understood it.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quote {
    pub(crate) cents: u64,
    pub(crate) days: u32,
    pub(crate) parcel: Parcel,
}

/// What can go wrong at the counter.
#[derive(Debug, RpcError)]
#[rpc(name = "tour.v1.CounterError")]
pub(crate) enum CounterError {
    #[rpc(code = "invalid_argument", message = "{grams} g are too heavy, {limit} g is the limit")]
    TooHeavy { grams: u32, limit: u32 },
    #[rpc(code = "not_found", message = "nobody delivers to {0}")]
    NoSuchPlace(String),
    #[rpc(status)]
    Other(Status),
}

/// A post office.
#[service(name = "tour.v1.Post")]
pub(crate) trait Post {
    /// What a parcel costs.
    #[rpc(idempotent)]
    async fn price(&self, parcel: Parcel) -> Result<Quote, CounterError>;

    /// What the server sees of a call: its tenant, and its time.
    async fn surroundings(&self) -> Result<String, Status>;

    /// Waits, and tells if it is dropped before the end.
    async fn wait(&self, millis: u64) -> Result<u64, Status>;

    /// Notes something, for nobody to wait for.
    #[rpc(oneway)]
    async fn note(&self, text: String) -> Result<(), Status>;

    /// How many notes there are.
    #[rpc(idempotent)]
    async fn notes(&self) -> Result<u64, Status>;

    /// Gives back what it gets.
    #[rpc(idempotent)]
    async fn echo(&self, number: u64) -> Result<u64, Status>;

    /// Has a bug.
    async fn stumble(&self) -> Result<(), Status>;
}

/// The first hop: takes a parcel, and has it delivered by the depot.
#[service(name = "tour.v1.Desk")]
pub(crate) trait Desk {
    async fn deliver(&self, parcel: u64) -> Result<String, Status>;
}

/// The second hop: loads a parcel on the truck.
#[service(name = "tour.v1.Depot")]
pub(crate) trait Depot {
    async fn load(&self, parcel: u64) -> Result<String, Status>;
}

/// The third hop: is stuck in traffic.
#[service(name = "tour.v1.Truck")]
pub(crate) trait Truck {
    async fn drive(&self, parcel: u64) -> Result<String, Status>;
}
