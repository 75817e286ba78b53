use rpc_core::message;

#[message]
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct User {
    #[serde(rename = "n")]
    name: String,
}

fn main() {
    let user = User { name: String::new() };
    println!("{:?}", user.clone());
}
