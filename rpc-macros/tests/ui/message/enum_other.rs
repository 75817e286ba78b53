use rpc_core::message;

#[message]
enum Color {
    Red,
    #[message(other)]
    Wide(u64),
}

#[message]
enum Size {
    #[message(other)]
    Small,
    #[message(other)]
    Large,
}

#[message]
enum Event {
    Started(String),
    #[message(other)]
    Rest { why: String },
}

fn main() {}
