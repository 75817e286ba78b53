use rpc_core::{Status, Streaming, service};

#[service]
pub trait Feed {
    async fn merge(&self, one: Streaming<u64>, two: Streaming<u64>) -> Result<Streaming<u64>, Status>;
}

fn main() {}
