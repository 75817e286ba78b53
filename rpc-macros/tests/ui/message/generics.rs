use rpc_core::message;

#[message]
struct Page<T> {
    items: Vec<T>,
}

#[message]
struct View<'a> {
    text: &'a str,
}

fn main() {}
