use rpc_core::{Status, Streaming, service};

#[service]
pub trait Feed {
    async fn upload(&self, name: String, points: Streaming<u64>) -> Result<(), Status>;
}

fn main() {}
