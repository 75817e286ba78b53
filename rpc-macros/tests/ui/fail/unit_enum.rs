use rpc_core::{Status, message, service};

#[message]
pub enum Colour {
    Red,
    Green,
}

#[service]
pub trait Painter {
    async fn paint(&self, colour: Colour) -> Result<(), Status>;
}

fn main() {}
