use rpc_core::{Status, service};

#[service]
pub trait Greeter {
    async fn hello(&self) -> Result<(), Status>;
}

struct English;

impl Greeter for English {
    async fn hello(&self) -> Result<(), Status> {
        let shared = std::rc::Rc::new(1);
        std::future::ready(()).await;
        drop(shared);
        Ok(())
    }
}

fn main() {}
