use rpc_core::message;

#[message(reserved(7))]
struct Point {
    x: f64,
    #[message(tag = 1)]
    y: f64,
    #[message(tag = 0)]
    zero: u32,
    #[message(tag = 19500)]
    kept_by_protobuf: u32,
    #[message(tag = 536870912)]
    too_large: u32,
    #[message(tag = 7)]
    reserved: u32,
}

fn main() {}
