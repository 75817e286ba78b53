//! From a trait to a `.proto`, and from there to a trait again: both mean the same on the wire.
//!
//! The `.proto` files in `proto/` are what `rpc_core::export` writes of the trait in `contract`; what the generator makes
//! of them is in `golden/round`.
#![deny(warnings)]

#[allow(unreachable_pub)]
mod contract;

mod generated {
    include!("../golden/round/mod.rs");
}

mod calls;
mod values;

use std::path::Path;

use rpc_core::export;

#[test]
fn the_proto_of_the_trait_is_as_checked_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/round/proto");
    for file in
        export::proto_files([&contract::everything::DESCRIPTOR, &contract::odd::odd::DESCRIPTOR]).unwrap()
    {
        let path = folder.join(&file.path);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &file.text).unwrap();
        }
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(old, file.text, "{}; if that is wanted, run this with UPDATE_GOLDEN=1", file.path);
    }
}

#[test]
fn both_have_the_same_methods_and_policies() {
    let (ours, theirs) = (&contract::everything::DESCRIPTOR, &generated::round::v1::everything::DESCRIPTOR);
    assert_eq!(ours.name, theirs.name);
    assert_eq!(ours.docs, theirs.docs);
    assert_eq!(ours.methods.len(), theirs.methods.len());
    for (ours, theirs) in ours.methods.iter().zip(theirs.methods) {
        let what = |it: &rpc_core::call::MethodDescriptor| {
            (it.path, it.shape, it.oneway, it.idempotent, it.timeout, it.docs)
        };
        assert_eq!(what(ours), what(theirs));
    }
}
