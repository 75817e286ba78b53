use rpc_core::{Status, service};

#[service(nam = "demo.v1.Greeter")]
pub trait Greeter {
    async fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
