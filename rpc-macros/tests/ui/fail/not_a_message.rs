use rpc_core::{Status, service};

pub struct Person;
pub struct Greeting;

#[service]
pub trait Greeter {
    async fn hello(&self, person: Person) -> Result<Greeting, Status>;
}

fn main() {}
