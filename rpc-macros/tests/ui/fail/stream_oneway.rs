use rpc_core::{Status, Streaming, service};

#[service]
pub trait Feed {
    #[rpc(oneway)]
    async fn upload(&self, points: Streaming<u64>) -> Result<(), Status>;
    #[rpc(oneway)]
    async fn ticks(&self, symbol: String) -> Result<Streaming<u64>, Status>;
}

fn main() {}
