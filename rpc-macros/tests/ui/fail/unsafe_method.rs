use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async unsafe fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
