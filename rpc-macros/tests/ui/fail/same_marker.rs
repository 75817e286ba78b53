use rpc_core::{Status, service};

#[service]
#[allow(non_snake_case)]
pub trait Greeter {
    async fn say_hello(&self) -> Result<(), Status>;
    
    #[rpc(name = "Other")]
    async fn sayHello(&self) -> Result<(), Status>;
}

fn main() {}
