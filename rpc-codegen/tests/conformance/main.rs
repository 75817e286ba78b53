//! Protobuf's own conformance tests for proto3's JSON, by their names there, as far as they are public.
//!
//! Each input is either taken, and then written again in the one canonical form, or refused. prost-reflect has to read
//! the canonical form as the same message.
#![deny(warnings)]

mod generated {
    include!("../golden/conformance/mod.rs");
}

mod numbers;
mod output;
mod shapes;
mod texts;
mod unknown;
mod well_known;

use std::path::Path;
use std::sync::LazyLock;

use generated::conformance::TestAllTypes;
use prost_reflect::{DescriptorPool, DynamicMessage};
use rpc_core::proto::prost::Message;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let protos = [folder.join("conformance.proto")];
    let output = rpc_codegen::configure().generate(&protos, &[&folder]).unwrap();
    DescriptorPool::decode(output.descriptor_set()).unwrap()
});

fn read(input: &str) -> Result<TestAllTypes, serde_json::Error> {
    rpc_core::proto::register::<TestAllTypes>();
    serde_json::from_str(input)
}

fn tree(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

/// Inputs that are taken, each with its name and its canonical form.
#[track_caller]
fn taken(cases: &[(&str, &str, &str)]) {
    for (name, input, canonical) in cases {
        let message = read(input).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = serde_json::to_string(&message).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(tree(&written), tree(canonical), "{name}");

        let descriptor = POOL.get_message_by_name("conformance.TestAllTypes").unwrap();
        let theirs = DynamicMessage::deserialize(
            descriptor.clone(),
            &mut serde_json::Deserializer::from_str(canonical),
        )
        .unwrap_or_else(|error| panic!("{name}: the oracle says {error}"));
        let ours = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).unwrap();
        // As JSON, in which a NaN is equal to itself.
        let plain = |message: &DynamicMessage| serde_json::to_value(message).unwrap();
        assert_eq!(plain(&ours), plain(&theirs), "{name}");
    }
}

/// Inputs that are refused, each with its name.
#[track_caller]
fn refused(cases: &[(&str, &str)]) {
    for (name, input) in cases {
        if let Ok(message) = read(input) {
            panic!("{name} is taken, as {}", serde_json::to_string(&message).unwrap());
        }
    }
}
