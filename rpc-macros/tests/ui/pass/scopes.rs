//! Services of every visibility, in every place that a trait can stand.

#![deny(warnings, missing_docs)]
#![allow(dead_code)]

use rpc_core::{Status, message, service};

/// Not visible outside of this file.
#[message]
struct Secret {
    text: String,
}

#[service]
trait Private {
    async fn keep(&self, secret: Secret) -> Result<Secret, Status>;
    async fn keep_two(&self, one: Secret, two: Secret) -> Result<Vec<Secret>, Status>;
}

#[message]
pub(crate) struct Shared {
    pub(crate) text: String,
}

#[service]
pub(crate) trait InCrate {
    async fn keep(&self, shared: Shared) -> Result<Shared, Status>;
}

// The same method names as above: each service has a module of its own.
#[service]
pub(crate) trait InCrateToo {
    async fn keep(&self, shared: Shared) -> Result<(), Status>;
}

mod outer {
    pub(super) mod inner {
        use rpc_core::{Status, message, service};

        #[message]
        pub(in super::super) struct Local {
            text: String,
        }

        #[service]
        pub(super) trait InOuter {
            async fn keep(&self, local: Local) -> Result<Local, Status>;
        }

        #[service]
        pub(in crate::outer) trait InPath {
            async fn keep(&self, local: Local) -> Result<Local, Status>;
        }

        #[service]
        pub(self) trait InSelf {
            async fn keep(&self, local: Local) -> Result<Local, Status>;
        }

        #[service]
        pub trait Everywhere {
            async fn keep(&self, text: String) -> Result<String, Status>;
        }

        pub(super) fn own() -> &'static str {
            in_self::DESCRIPTOR.name
        }
    }

    pub(super) fn names() -> [&'static str; 3] {
        let _: Option<(inner::InOuterClient, inner::in_outer::Keep)> = None;
        [inner::in_outer::DESCRIPTOR.name, inner::in_path::DESCRIPTOR.name, inner::own()]
    }
}

fn main() {
    #[message]
    struct Inside {
        text: String,
    }

    #[service]
    trait InFunction {
        async fn keep(&self, inside: Inside) -> Result<Inside, Status>;
        async fn keep_two(&self, one: Inside, two: Option<Inside>) -> Result<(), Status>;
    }

    struct Keeper;

    impl InFunction for Keeper {
        async fn keep(&self, inside: Inside) -> Result<Inside, Status> {
            Ok(inside)
        }

        async fn keep_two(&self, _: Inside, _: Option<Inside>) -> Result<(), Status> {
            Ok(())
        }
    }

    let client = InFunctionClient::local(Keeper);
    let _call = client.keep(Inside { text: "here".into() });
    let _: Option<(PrivateClient, private::KeepTwo, InCrateClient, InCrateTooClient)> = None;
    assert_eq!(in_function::DESCRIPTOR.methods.len(), 2);
    assert_eq!(outer::names(), ["InOuter", "InPath", "InSelf"]);
    assert_eq!(outer::inner::everywhere::DESCRIPTOR.name, "Everywhere");
}
