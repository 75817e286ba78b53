use rpc_core::message;
use rpc_core::message::Message;

#[message]
enum Color {
    Red,
}

fn send(_: impl Message) {}

fn main() {
    send(Color::Red);
}
