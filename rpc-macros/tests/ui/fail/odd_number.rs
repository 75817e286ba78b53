use rpc_core::{Status, Streaming, service};

#[service]
pub trait Greeter {
    async fn hello(&self, age: u8) -> Result<Vec<usize>, Status>;
    async fn small(&self, a: i8, b: i16, c: u16, d: char) -> Result<Option<isize>, Status>;
    async fn large(&self, a: i128, b: u128) -> Result<Streaming<usize>, Status>;
}

fn main() {}
