//! The service of the first program, for the snippets of `docs/GUIDE.md`.

use rpc_core::{Status, service};

/// Greets people.
#[service]
pub trait Greeter {
    /// Says hello.
    async fn hello(&self, name: String) -> Result<String, Status>;
}

/// Greets in English.
#[derive(Clone, Copy, Debug)]
pub struct English;

impl Greeter for English {
    async fn hello(&self, name: String) -> Result<String, Status> {
        Ok(format!("hello, {name}"))
    }
}
