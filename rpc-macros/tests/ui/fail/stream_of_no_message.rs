use rpc_core::{Status, Streaming, service};

pub struct Tick;

#[service]
pub trait Feed {
    async fn ticks(&self) -> Result<Streaming<Tick>, Status>;
    async fn upload(&self, ticks: Streaming<Tick>) -> Result<(), Status>;
}

fn main() {}
