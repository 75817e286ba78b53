//! The first program: a client is what the trait is.

use rpc_core::{Call, Status, service};

#[service]
pub trait Greeter {
    /// Says hello.
    async fn hello(&self, name: String) -> Result<String, Status>;
}

struct English;

impl Greeter for English {
    async fn hello(&self, name: String) -> Result<String, Status> {
        Ok(format!("hello, {name}"))
    }
}

async fn greet(greeter: &impl Greeter) -> Result<String, Status> {
    greeter.hello("world".into()).await
}

async fn both() -> Result<(), Status> {
    let client = GreeterClient::local(English);
    let _channel = client.channel();
    greet(&client).await?;
    greet(&English).await?;
    let call: Call<greeter::Hello> = client.hello("world".into());
    let _: String = call.await?;
    let _ = GreeterClient::connect("127.0.0.1:7000").await?;
    Ok(())
}

fn main() {
    fn is_send<T: Send>(_: T) {}
    is_send(both());
    let method = &greeter::DESCRIPTOR.methods[0];
    assert_eq!(greeter::DESCRIPTOR.name, "Greeter");
    assert_eq!((method.path, method.name, method.index), ("Greeter/Hello", "Hello", 0));
    assert_eq!(method.docs, "Says hello.");
    let codecs: Vec<_> = greeter::DESCRIPTOR.codecs.iter().map(|codec| codec.name).collect();
    assert_eq!(codecs, ["protobuf", "json"]);
    let server = GreeterServer::new(English).clone();
    assert_eq!(format!("{server:?}"), "GreeterServer { .. }");
}
