use rpc_core::message;

#[message]
struct Page {
    number: usize,
}

fn main() {}
