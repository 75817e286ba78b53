use rpc_core::{Status, service};

#[service]
pub trait Greeter
where
    Self: Sized,
 {
    async fn hello(&self, name: String) -> Result<String, Status>;
}

fn main() {}
