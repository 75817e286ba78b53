//! Keywords as names: raw in Rust, plain on the wire.

#![deny(warnings)]

use rpc_core::{Status, service};

#[service]
pub trait r#Type {
    async fn r#type(&self, r#match: String, r#in: u32) -> Result<String, Status>;
    async fn super_(&self, r#struct: Vec<String>) -> Result<(), Status>;
    async fn self_(&self) -> Result<(), Status>;
    async fn _1(&self) -> Result<(), Status>;
}

#[service]
pub trait Super {
    async fn hello(&self) -> Result<(), Status>;
}

struct Impl;

impl Type for Impl {
    async fn r#type(&self, r#match: String, r#in: u32) -> Result<String, Status> {
        Ok(format!("{match}{in}"))
    }

    async fn super_(&self, _: Vec<String>) -> Result<(), Status> {
        Ok(())
    }

    async fn self_(&self) -> Result<(), Status> {
        Ok(())
    }

    async fn _1(&self) -> Result<(), Status> {
        Ok(())
    }
}

fn main() {
    let client = TypeClient::local(Impl);
    let _call: rpc_core::Call<r#type::Type> = client.r#type("a".into(), 1);
    let paths: Vec<_> = r#type::DESCRIPTOR.methods.iter().map(|method| method.path).collect();
    assert_eq!(paths, ["Type/Type", "Type/Super", "Type/Self", "Type/_1_"]);
    assert_eq!(super_::DESCRIPTOR.name, "Super");
}
