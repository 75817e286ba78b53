use rpc_core::{Status, Streaming, service};

#[service]
pub trait Feed {
    async fn upload(&self, points: &mut Streaming<u64>) -> Result<(), Status>;
}

fn main() {}
