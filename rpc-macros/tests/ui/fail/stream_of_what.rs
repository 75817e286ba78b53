use rpc_core::{Status, Streaming, service};

#[service]
pub trait Feed {
    async fn upload(&self, points: Streaming) -> Result<(), Status>;
    async fn chat(&self) -> Result<Streaming<u64, Status>, Status>;
    async fn small(&self) -> Result<Streaming<u8>, Status>;
    async fn borrowed(&self, lines: Streaming<&str>) -> Result<(), Status>;
}

fn main() {}
