use rpc_core::message;

#[message]
struct User {
    user_name: String,
    #[message(name = "userName")]
    alias: String,
}

fn main() {}
