use rpc_core::message;

#[message]
enum Shape {
    Pair(u32, u32),
    Many(Vec<u32>),
}

#[message]
enum Choice {
    Many(Vec<u32>),
    Maybe(Option<u32>),
}

fn main() {}
