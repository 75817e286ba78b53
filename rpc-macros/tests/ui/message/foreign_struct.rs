use rpc_core::message;

struct Author {
    name: String,
}

#[message]
struct Book {
    title: String,
    author: Author,
    reviewers: Vec<Author>,
}

fn main() {}
