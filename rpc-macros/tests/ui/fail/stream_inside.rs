use rpc_core::{Status, Streaming, service};

#[service]
pub trait Feed {
    async fn maybe(&self, points: Option<Streaming<u64>>) -> Result<(), Status>;
    async fn many(&self) -> Result<Vec<Streaming<u64>>, Status>;
    async fn nested(&self) -> Result<Streaming<Streaming<u64>>, Status>;
}

fn main() {}
