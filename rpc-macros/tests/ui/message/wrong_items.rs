use rpc_core::message;

#[message]
union Bits {
    float: f32,
    int: u32,
}

#[message]
fn hello() {}

#[message]
struct Pair(u32, u32);

#[message]
enum Never {}

fn main() {}
