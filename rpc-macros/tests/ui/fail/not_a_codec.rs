use rpc_core::{Status, service};

pub struct Greeting;

#[service(codecs(Greeting))]
pub trait Greeter {
    async fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
