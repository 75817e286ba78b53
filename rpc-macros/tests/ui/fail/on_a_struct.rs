use rpc_core::{service};

#[service]
pub struct Greeter;

fn main() {}
