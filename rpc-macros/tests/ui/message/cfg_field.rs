use rpc_core::message;

#[message]
struct Point {
    x: f64,
    #[cfg(debug_assertions)]
    label: String,
}

fn main() {}
