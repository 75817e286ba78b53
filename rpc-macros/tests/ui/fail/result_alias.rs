use rpc_core::{Status, service};

pub type Result<T> = std::result::Result<T, Status>;

#[service]
pub trait Greeter {
    async fn hello(&self, name: String) -> Result<String>;
}

fn main() {}
