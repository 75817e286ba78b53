use rpc_core::message;

#[message]
enum Level {
    Low = 1,
    High = 3_000_000_000,
    Middle = 1 + 1,
    #[message(tag = 4)]
    Tagged,
}

#[message]
enum Twice {
    A,
    B = 0,
}

fn main() {}
