use rpc_core::{Status, service};

#[service(name = "a b", codex(Json))]
pub trait Greeter {
    fn hello(&mut self, name: &str) -> String;
    #[rpc(timeout = "soon")]
    async fn bye(&self) -> Result<(), Status>;
}

// None of this is reported: the names are there.
#[allow(dead_code)]
fn uses(client: GreeterClient) -> &'static str {
    let _ = client.clone();
    let _ = GreeterClient::local(());
    let _server = GreeterServer::new(());
    greeter::DESCRIPTOR.name
}

fn main() {}
