//! `#[cfg]` on methods and on the trait: what is not there leaves no trace, and the others are still found.

#![deny(warnings)]
#![allow(unexpected_cfgs)]

use rpc_core::{Status, service};

#[service]
pub trait Partly {
    #[cfg(missing)]
    async fn first(&self, absent: Absent) -> Result<Absent, Status>;
    async fn second(&self, name: String) -> Result<String, Status>;
    #[cfg(missing)]
    async fn third(&self, a: u32, b: Absent) -> Result<(), Status>;
    #[cfg(not(missing))]
    async fn third(&self, a: u32) -> Result<(), Status>;
    #[cfg(all())]
    async fn fourth(&self) -> Result<(), Status>;
}

#[cfg(missing)]
#[service]
pub trait Gone {
    async fn first(&self, absent: Absent) -> Result<Absent, Status>;
}

#[service]
#[cfg(missing)]
pub trait Gone {
    async fn first(&self, absent: Absent) -> Result<Absent, Status>;
}

#[service]
#[cfg(not(missing))]
pub trait There {
    #[cfg(missing)]
    async fn first(&self, absent: Absent) -> Result<Absent, Status>;
}

// The names are free.
struct GoneClient;
mod gone {}

struct Impl;

impl Partly for Impl {
    async fn second(&self, name: String) -> Result<String, Status> {
        Ok(name)
    }

    async fn third(&self, _: u32) -> Result<(), Status> {
        Ok(())
    }

    async fn fourth(&self) -> Result<(), Status> {
        Ok(())
    }
}

fn main() {
    let _ = GoneClient;
    let client = PartlyClient::local(Impl);
    let _calls = (client.second("a".into()), client.third(1), client.fourth());
    let methods: Vec<_> = partly::DESCRIPTOR.methods.iter().map(|method| (method.index, method.name)).collect();
    assert_eq!(methods, [(0, "Second"), (1, "Third"), (2, "Fourth")]);
    assert!(there::DESCRIPTOR.methods.is_empty());
}
