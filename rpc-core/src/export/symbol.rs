//! Names: which are taken, and how one is written where it is used.
//!
//! Protobuf looks for a name in the innermost scope first, and then further out. So a short name is right only if no
//! nearer scope has it; otherwise the full name with a dot before it is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::collect::{Body, Package};
use crate::message::schema::{Label, MessageSchema, Type};

/// Words that begin something else where a type is expected.
const KEYWORDS: [&str; 33] = [
    "bool",
    "bytes",
    "double",
    "edition",
    "enum",
    "export",
    "extend",
    "extensions",
    "fixed32",
    "fixed64",
    "float",
    "group",
    "import",
    "int32",
    "int64",
    "local",
    "map",
    "message",
    "oneof",
    "option",
    "optional",
    "package",
    "repeated",
    "required",
    "reserved",
    "returns",
    "rpc",
    "service",
    "stream",
    "string",
    "syntax",
    "uint32",
    "uint64",
];

/// All names, in full, with the package of each type.
pub(super) struct Symbols {
    all: BTreeSet<String>,
    packages: HashMap<String, String>,
}

impl Symbols {
    /// The package of a type.
    pub(super) fn package_of(&self, full_name: &str) -> Option<&str> {
        self.packages.get(full_name).map(String::as_str)
    }

    /// How the type is written within `scope`, the full name of a message or of a service, or a package.
    pub(super) fn refer(&self, full_name: &str, scope: &str) -> String {
        let written = self.within(full_name, scope);
        if KEYWORDS.contains(&written.split('.').next().unwrap_or_default()) {
            return format!(".{full_name}");
        }
        written
    }

    /// How anything is written within `scope`, where no keyword can stand.
    pub(super) fn within(&self, full_name: &str, scope: &str) -> String {
        let written = match self.package_of(full_name) {
            // Within an outer message of both, or at least within the package of both.
            Some(own) if package_contains(own, scope) => {
                let outer = std::iter::successors(Some(scope), |scope| {
                    (scope.len() > own.len()).then(|| package(scope))
                });
                let within = |outer: &str| match outer {
                    "" => Some(full_name),
                    outer => full_name.strip_prefix(outer).and_then(|rest| rest.strip_prefix('.')),
                };
                outer.into_iter().find_map(within).unwrap_or(full_name)
            }
            _ => full_name,
        };
        let first = written.split('.').next().unwrap_or_default();
        // What `first` is meant to be, and what protobuf finds.
        let meant = &full_name[..full_name.len() - written.len() + first.len()];
        let scopes = std::iter::successors(Some(scope), |scope| (!scope.is_empty()).then(|| package(scope)));
        let found = scopes.map(|scope| join(scope, first)).find(|name| self.all.contains(name));
        if found.is_some_and(|found| found != meant) {
            return format!(".{full_name}");
        }
        written.to_owned()
    }
}

/// Whether `scope` is the package, or in it.
fn package_contains(package: &str, scope: &str) -> bool {
    package.is_empty()
        || scope.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Collects all names. Two things of one name are a problem.
pub(super) fn symbols(packages: &BTreeMap<String, Package<'_>>, problems: &mut Vec<String>) -> Symbols {
    let mut all = BTreeSet::new();
    for package in packages.keys() {
        let parts = std::iter::successors(Some(package.as_str()), |part| Some(self::package(part)));
        all.extend(parts.take_while(|part| !part.is_empty()).map(str::to_owned));
    }
    let mut add = |name: String, problems: &mut Vec<String>| {
        if all.contains(&name) {
            let mend =
                "give one of them another, by `#[message(name = \"…\")]` or `#[service(name = \"…\")]`";
            problems.push(format!("two things have the name `{name}` in a .proto: {mend}"));
        }
        all.insert(name);
    };
    let mut of = HashMap::new();
    for (package, content) in packages {
        for service in &content.services {
            add(service.descriptor.name.to_owned(), problems);
            // Found before any type where the method's own types are named.
            for method in service.descriptor.methods {
                add(join(service.descriptor.name, method.name), problems);
            }
        }
        for declared in &content.types {
            add(declared.full_name.clone(), problems);
            of.insert(declared.full_name.clone(), package.clone());
            match &declared.body {
                Body::Message(schema, _) => {
                    for field in schema.fields {
                        add(join(&declared.full_name, field.name), problems);
                    }
                    if let Some(oneof) = oneof(schema) {
                        add(join(&declared.full_name, &oneof), problems);
                    }
                }
                // Its values stand beside it, not in it.
                Body::Enum(schema) => {
                    let scope = self::package(&declared.full_name);
                    for (value, _) in schema.values {
                        add(join(scope, value), problems);
                    }
                }
            }
        }
    }
    for name in ["google", "google.protobuf", "rpc", "rpc.v1"] {
        all.insert(name.to_owned());
    }
    Symbols { all, packages: of }
}

/// What the oneof of the message is called, if it has one.
pub(super) fn oneof(schema: &MessageSchema) -> Option<String> {
    schema.fields.iter().find(|field| field.label == Label::Member)?;
    let mut name = "kind".to_owned();
    while schema.fields.iter().any(|field| field.name == name) {
        name.push('_');
    }
    Some(name)
}

/// The file of a well-known type that comes from no package of ours.
pub(super) fn well_known(full_name: &str) -> Option<&'static str> {
    (full_name == "google.protobuf.Empty").then_some("google/protobuf/empty.proto")
}

/// All but the last part of a name.
pub(super) fn package(full_name: &str) -> &str {
    full_name.rsplit_once('.').map_or("", |(package, _)| package)
}

/// The last part of a name.
pub(super) fn last(full_name: &str) -> &str {
    full_name.rsplit('.').next().unwrap_or_default()
}

/// A name in a scope, which may be empty.
pub(super) fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

/// Where a package's file belongs.
pub(super) fn path(package: &str, content: &Package<'_>) -> String {
    let name = content
        .services
        .first()
        .map_or("messages".to_owned(), |service| snake(last(service.descriptor.name)));
    let folder = package.replace('.', "/");
    if folder.is_empty() { format!("{name}.proto") } else { format!("{folder}/{name}.proto") }
}

/// `HTTPServer` to `http_server`.
pub(super) fn snake(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut chars = name.chars().peekable();
    let mut before = '_';
    while let Some(c) = chars.next() {
        let before_lower = chars.peek().is_some_and(|next| next.is_lowercase());
        if c.is_uppercase() && before != '_' && (!before.is_uppercase() || before_lower) {
            out.push('_');
        }
        out.extend(c.to_lowercase());
        before = c;
    }
    out
}

/// Protobuf's word for a scalar; empty for what is none.
pub(super) fn scalar(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Uint32 => "uint32",
        Type::Uint64 => "uint64",
        Type::Float => "float",
        Type::Double => "double",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Message(_) | Type::Enum(_) => "",
    }
}
