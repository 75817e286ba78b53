use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&self, name: String) -> Result<String, Status>;
}

struct English;

fn serve() {
    let _ = GreeterServer::new(English);
}

fn main() {}
