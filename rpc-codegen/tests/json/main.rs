//! The JSON of generated messages, against prost-reflect's: of generated values, and of inputs written by hand.
#![deny(warnings)]

mod hostile;
mod random;

#[allow(unreachable_pub)]
mod corpus {
    include!("../golden/corpus/mod.rs");
}

use std::path::Path;
use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage};
use rpc_core::proto::json;
use rpc_core::proto::prost::Message;

/// The descriptors of the corpus.
static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let protos = ["scalars.proto", "well_known.proto", "recursive.proto", "old.proto", "keywords.proto"]
        .map(|name| folder.join(name));
    let output = rpc_codegen::configure().generate(&protos, &[&folder]).unwrap();
    DescriptorPool::decode(output.descriptor_set()).unwrap()
});

/// A generated message.
trait Typed:
    Message + json::Message + serde::Serialize + serde::de::DeserializeOwned + Clone + PartialEq
{
}

impl<T: Message + json::Message + serde::Serialize + serde::de::DeserializeOwned + Clone + PartialEq> Typed
    for T
{
}

fn descriptor<M: Typed>() -> MessageDescriptor {
    POOL.get_message_by_name(M::NAME).unwrap()
}

/// The message as prost-reflect sees it.
fn dynamic<M: Typed>(message: &M) -> DynamicMessage {
    DynamicMessage::decode(descriptor::<M>(), message.encode_to_vec().as_slice()).unwrap()
}

/// What prost-reflect reads from the text. What is unknown it either passes over or refuses: fields and names of enums
/// alike, while we pass over the former and refuse the latter.
fn oracle<M: Typed>(text: &str, strict: bool) -> Result<DynamicMessage, String> {
    let options = prost_reflect::DeserializeOptions::new().deny_unknown_fields(strict);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let message = DynamicMessage::deserialize_with_options(descriptor::<M>(), &mut deserializer, &options)
        .map_err(|error| error.to_string())?;
    deserializer.end().map_err(|error| error.to_string())?;
    Ok(message)
}

/// A message in one form, to be compared: fields at their default are gone, maps are in order, and a NaN is a string.
fn plain(message: &DynamicMessage) -> serde_json::Value {
    let bytes = message.encode_to_vec();
    let message = DynamicMessage::decode(message.descriptor(), bytes.as_slice()).unwrap();
    serde_json::to_value(&message).unwrap()
}
