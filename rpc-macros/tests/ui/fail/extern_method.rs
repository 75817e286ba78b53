use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async extern "C" fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
