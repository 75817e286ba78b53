use rpc_core::{Status, service};

pub type Nothing = ();

#[service]
pub trait Greeter {
    async fn hello(&self, name: String) -> Result<Nothing, Status>;
}

fn main() {}
