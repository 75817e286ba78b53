use rpc_core::{Status, service};

#[service]
trait Names {
    async fn rename(&self, user_name: String, userName: String) -> Result<(), Status>;
}

fn main() {}
