use rpc_core::message;

#[message(tag = 3)]
struct Point {
    #[message(tga = 3)]
    x: f64,
    #[message(other)]
    y: f64,
    #[message]
    z: f64,
    #[message(name = "a b")]
    w: f64,
    #[message(tag = 9, tag = 10)]
    v: f64,
}

fn main() {}
