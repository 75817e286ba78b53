use rpc_core::{Status, service};

pub struct Person(String, u32);

#[service]
pub trait Greeter {
    async fn hello(&self, (name, age): Person) -> Result<String, Status>;
}

fn main() {}
