//! Types that come from elsewhere, by their names in the .proto: the user's, and the well-known ones.

use std::collections::HashSet;

use prost_build::Config;

/// Where the well-known types are, unless the user says otherwise.
const WELL_KNOWN: &str = "::rpc_core::proto";

/// Those that are no message in Rust.
const PLAIN: &[(&str, &str)] = &[
    ("BoolValue", "bool"),
    ("BytesValue", "::rpc_core::proto::prost::alloc::vec::Vec<u8>"),
    ("DoubleValue", "f64"),
    ("Empty", "()"),
    ("FloatValue", "f32"),
    ("Int32Value", "i32"),
    ("Int64Value", "i64"),
    ("StringValue", "::rpc_core::proto::prost::alloc::string::String"),
    ("UInt32Value", "u32"),
    ("UInt64Value", "u64"),
];

/// Those among the others that have a JSON form.
const WITH_JSON: &[&str] =
    &["Any", "Duration", "FieldMask", "ListValue", "NullValue", "Struct", "Timestamp", "Value"];

/// Paths in the .proto with the Rust paths that stand for them.
pub(crate) struct Externs(Vec<(String, String)>);

impl Externs {
    /// What the user gave, and the well-known types.
    pub(crate) fn new(mut externs: Vec<(String, String)>) -> Self {
        let given: HashSet<String> = externs.iter().map(|(proto, _)| proto.clone()).collect();
        if !given.contains(".google.protobuf") {
            externs.push((".google.protobuf".to_owned(), WELL_KNOWN.to_owned()));
            for (name, rust) in PLAIN {
                let proto = format!(".google.protobuf.{name}");
                if !given.contains(&proto) {
                    externs.push((proto, (*rust).to_owned()));
                }
            }
        }
        Self(externs)
    }

    /// Tells prost-build.
    pub(crate) fn place(&self, config: &mut Config) {
        for (proto, rust) in &self.0 {
            config.extern_path(proto, rust);
        }
    }

    /// Whether the type of this full name is not generated.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(path, _)| is_within(name, path))
    }

    /// The Rust path, if there is one for this very type.
    pub(crate) fn exactly(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(path, _)| path == name).map(|(_, rust)| rust.as_str())
    }

    /// Whether this type becomes a scalar: a wrapper whose extern path the user left alone.
    pub(crate) fn is_scalar(&self, name: &str) -> bool {
        self.exactly(name).is_some_and(|rust| rust != "()" && PLAIN.iter().any(|(_, plain)| *plain == rust))
    }

    /// The name behind `google.protobuf.`, if it is one of those that rpc-core has.
    pub(crate) fn well_known<'a>(&self, name: &'a str) -> Option<&'a str> {
        let ours = self.exactly(".google.protobuf") == Some(WELL_KNOWN) && self.exactly(name).is_none();
        name.strip_prefix(".google.protobuf.").filter(|_| ours)
    }

    /// Whether it is a well-known type without a JSON form.
    pub(crate) fn lacks_json(&self, name: &str) -> bool {
        self.well_known(name).is_some_and(|name| !WITH_JSON.contains(&name))
    }
}

/// Whether `name` is `path`, or in it.
fn is_within(name: &str, path: &str) -> bool {
    name.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
