use rpc_core::{Status, service};

#[service(codecs(Json, Protobuf, Json))]
pub trait Greeter {
    async fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
