//! From a trait to a `.proto`, and from there to a trait again: both mean the same on the wire.
//!
//! The `.proto` files in `proto/` are what `rpc_core::export` writes of the traits in `contract`; what the generator makes
//! of them is in `golden/round`. The test `golden` sees to both.
#![deny(warnings)]

#[allow(unreachable_pub)]
mod contract;

mod generated {
    include!("../golden/round/mod.rs");
}

mod calls;
mod values;

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
