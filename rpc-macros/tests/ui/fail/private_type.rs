use rpc_core::{Status, message, service};

#[message]
struct Person {
    name: String,
}

#[service]
pub trait Greeter {
    async fn hello(&self, person: Person) -> Result<String, Status>;
}

fn main() {}
