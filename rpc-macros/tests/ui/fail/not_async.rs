use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
