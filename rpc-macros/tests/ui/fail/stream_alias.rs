use rpc_core::{Status, Streaming, service};

type Ticks = Streaming<u64>;
type Price = u64;

#[service]
pub trait Feed {
    async fn ticks(&self) -> Result<Ticks, Status>;
    async fn upload(&self, ticks: Ticks) -> Result<(), Status>;
    async fn prices(&self) -> Result<Streaming<Price>, Status>;
}

fn main() {}
