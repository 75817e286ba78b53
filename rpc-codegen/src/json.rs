//! Proto3's JSON of messages and enums: what `rpc_core::proto::json` needs to know of each, as Rust.
//!
//! It goes into a file of its own beside the package's, `shop.v1-json.rs`, to keep that one as a person would write it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto};
use quote::ToTokens;

use crate::error::Problem;
use crate::externs::Externs;
use crate::message::{Declared, FileCode};
use crate::render::MARK;

/// What a type is in JSON.
pub(crate) enum Json {
    Message {
        name: String,
        fields: Vec<Field>,
    },
    Enum {
        name: String,
        values: Vec<(String, i32)>,
    },
    /// A oneof is part of its message.
    Oneof,
}

/// A field of a message, or all fields of a oneof.
pub(crate) enum Field {
    Own { ident: String, keys: Keys, stands: &'static str, kind: Kind },
    Oneof { ident: String, oneof: String, members: Vec<(String, Keys, Kind)> },
}

/// The name in JSON, and the one in the .proto.
#[derive(Clone)]
pub(crate) struct Keys(String, String);

/// One of `rpc_core::proto::json`'s kinds.
pub(crate) struct Kind {
    name: &'static str,
    /// For an enum: its name in the .proto, or its path in Rust if it comes from elsewhere.
    of: Option<Result<String, String>>,
    boxed: bool,
}

/// An enum's names and numbers.
pub(crate) fn enumeration(name: &str, descriptor: &EnumDescriptorProto) -> Json {
    let values = descriptor.value.iter().map(|value| (value.name().to_owned(), value.number())).collect();
    Json::Enum { name: name[1..].to_owned(), values }
}

/// A field of `message` that is in no oneof.
pub(crate) fn own(
    message: &DescriptorProto,
    field: &FieldDescriptorProto,
    code: &syn::Field,
    externs: &Externs,
) -> Field {
    let ident = code.ident.as_ref().map(ToString::to_string).unwrap_or_default();
    let entry = message.nested_type.iter().find(|nested| {
        nested.options.as_ref().is_some_and(|options| options.map_entry())
            && field.type_name().rsplit('.').next() == Some(nested.name())
            && field.label() == Label::Repeated
    });
    let spelled = code.ty.to_token_stream().to_string().replace(' ', "");
    let (stands, of) = match entry {
        Some(entry) => ("Map", &entry.field[1]),
        None if field.label() == Label::Repeated => ("List", field),
        None if spelled.starts_with("::core::option::Option<") => ("Optional", field),
        None if field.label() == Label::Required => ("Required", field),
        None => ("Implicit", field),
    };
    let mut kind = kind(of, &code.attrs, externs);
    kind.boxed = matches!(stands, "Optional" | "Required") && spelled.contains("::alloc::boxed::Box<");
    Field::Own { ident, keys: keys(field), stands, kind }
}

/// A field that is in a oneof: its variant, keys and kind.
pub(crate) fn member(
    field: &FieldDescriptorProto,
    code: &syn::Variant,
    externs: &Externs,
) -> (String, Keys, Kind) {
    let mut kind = kind(field, &code.attrs, externs);
    kind.boxed = code.fields.to_token_stream().to_string().replace(' ', "").contains("::alloc::boxed::Box<");
    (code.ident.to_string(), keys(field), kind)
}

fn keys(field: &FieldDescriptorProto) -> Keys {
    Keys(field.json_name().to_owned(), field.name().to_owned())
}

fn kind(field: &FieldDescriptorProto, attrs: &[syn::Attribute], externs: &Externs) -> Kind {
    let plain = |name| Kind { name, of: None, boxed: false };
    let ty = field.type_name();
    match field.r#type() {
        Type::Enum if externs.well_known(ty) == Some("NullValue") => plain("Null"),
        Type::Enum => {
            let of = if externs.contains(ty) { Err(enum_path(attrs)) } else { Ok(ty.to_owned()) };
            Kind { name: "Enum", of: Some(of), boxed: false }
        }
        Type::Message | Type::Group if externs.is_scalar(ty) => plain("Scalar"),
        Type::Message if externs.exactly(ty) == Some("()") => plain("Empty"),
        Type::Message if externs.well_known(ty) == Some("Value") => plain("Nullable"),
        Type::Message | Type::Group => plain("Msg"),
        _ => plain("Scalar"),
    }
}

/// The path of the enum in `#[prost(enumeration = "…")]`, or in a map's `enumeration(…)`.
fn enum_path(attrs: &[syn::Attribute]) -> String {
    let text: String = attrs.iter().map(|attr| attr.to_token_stream().to_string().replace(' ', "")).collect();
    let rest = text.split_once("enumeration").map_or("", |(_, rest)| rest);
    let rest = rest.trim_start_matches(['=', '"', '(']);
    rest.split(['"', ')']).next().unwrap_or_default().to_owned()
}

/// Refuses well-known types that have no JSON.
pub(crate) fn refuse(ty: &str, place: &str, externs: &Externs, problems: &mut Vec<Problem>) {
    if externs.lacks_json(ty) {
        problems.push(Problem::new(
            place,
            format!("`{}` has no JSON form", &ty[1..]),
            "speak protobuf only: `codecs([\"Protobuf\"])`",
        ));
    }
}

/// Where each generated type is, by its name in the .proto.
pub(crate) type Places<'a> = HashMap<&'a str, &'a Declared>;

pub(crate) fn places<'a>(files: impl IntoIterator<Item = &'a FileCode>) -> Places<'a> {
    let named = |declared: &'a Declared| match &declared.json {
        Json::Message { name, .. } | Json::Enum { name, .. } => Some((name.as_str(), declared)),
        Json::Oneof => None,
    };
    files.into_iter().flat_map(|file| &file.declared).filter_map(named).collect()
}

/// The file for these types, all in the module `package` or below.
pub(crate) fn file(package: &[String], declared: &[&Declared], places: &Places<'_>) -> String {
    // Formatted as it is written: these files are large, and to parse and print them again would take most of a run.
    let mut code = format!(
        "{MARK}: the JSON of the messages beside.\n// Do not edit: change the .proto and generate again.\n\n\
         #[allow(deprecated)]\nconst _: () = {{\n    use ::rpc_core::proto::json;\n\n"
    );
    let mut messages = Vec::new();
    for declared in declared {
        let path = path(package, &declared.module, &declared.ident);
        match &declared.json {
            Json::Message { name, fields } => {
                message(&mut code, package, &path, name, fields, places);
                messages.push(path);
            }
            Json::Enum { name, values } => enumeration_code(&mut code, &path, name, values),
            Json::Oneof => {}
        }
    }
    if !messages.is_empty() {
        _ = writeln!(code, "    json::serde!(");
        for path in messages {
            _ = writeln!(code, "        {path},");
        }
        _ = writeln!(code, "    );");
    }
    code.push_str("};\n");
    code
}

fn message(
    out: &mut String,
    package: &[String],
    path: &str,
    name: &str,
    fields: &[Field],
    places: &Places<'_>,
) {
    let (mut write, mut read) = (String::new(), String::new());
    let mut keys: Vec<Keys> = Vec::new();
    for field in fields {
        match field {
            Field::Own { ident, keys: own, stands, kind } => {
                let kind = format!("json::{stands}<{}>", spell(kind, package, places));
                let (index, key) = (keys.len(), &own.0);
                _ = writeln!(write, "            out.field::<{kind}, _>({key:?}, &self.{ident})?;");
                _ = writeln!(read, "                {index} => from.field::<{kind}, _>(&mut self.{ident}),");
                keys.push(own.clone());
            }
            Field::Oneof { ident, oneof, members } => {
                let (parent, own) = oneof.rsplit_once("::").unwrap_or(("", oneof));
                let module: Vec<String> = parent.split("::").map(str::to_owned).collect();
                let oneof = self::path(package, &module, own);
                _ = writeln!(write, "            match &self.{ident} {{");
                for (variant, own, kind) in members {
                    let kind = spell(kind, package, places);
                    let (index, key) = (keys.len(), &own.0);
                    let variant = format!("{oneof}::{variant}");
                    _ = writeln!(
                        write,
                        "                Some({variant}(value)) => out.member::<{kind}, _>({key:?}, value)?,"
                    );
                    _ = writeln!(
                        read,
                        "                {index} => from.member::<{kind}, _, _>(&mut self.{ident}, {variant}),"
                    );
                    keys.push(own.clone());
                }
                write.push_str("                None => {}\n            }\n");
            }
        }
    }
    let (to, from, index, read) = if keys.is_empty() {
        ("_", "_", "_", "            Ok(())\n".to_owned())
    } else {
        let all = format!("            match field {{\n{read}                _ => Ok(()),\n            }}\n");
        ("out", "from", "field", all)
    };
    let find = find(&keys);
    _ = writeln!(
        out,
        "    impl json::Message for {path} {{
        const NAME: &'static str = {name:?};

        fn write<M: json::SerializeMap>(
            &self,
            {to}: &mut json::Members<'_, M>,
        ) -> ::core::result::Result<(), M::Error> {{
{write}            Ok(())
        }}

{find}
        fn read<'de, A: json::MapAccess<'de>>(
            &mut self,
            {index}: usize,
            {from}: &mut json::Entry<'_, A>,
        ) -> ::core::result::Result<(), A::Error> {{
{read}        }}
    }}
"
    );
}

/// Keys to numbers. What is one field's name in JSON goes before what is another's in the .proto.
fn find(keys: &[Keys]) -> String {
    let mut arms: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut taken: HashSet<&str> = HashSet::new();
    for (index, Keys(json, _)) in keys.iter().enumerate() {
        if taken.insert(json) {
            arms.entry(index).or_default().push(json);
        }
    }
    for (index, Keys(_, proto)) in keys.iter().enumerate() {
        if taken.insert(proto) {
            arms.entry(index).or_default().push(proto);
        }
    }
    let arm = |(index, keys): (usize, Vec<&str>)| {
        let keys: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
        format!("                {} => Some({index}),\n", keys.join(" | "))
    };
    let arms: String = arms.into_iter().map(arm).collect();
    let (key, body) = match arms.as_str() {
        "" => ("_", "            None\n".to_owned()),
        arms => {
            ("key", format!("            match key {{\n{arms}                _ => None,\n            }}\n"))
        }
    };
    format!("        fn find({key}: &str) -> ::core::option::Option<usize> {{\n{body}        }}\n")
}

fn enumeration_code(out: &mut String, path: &str, name: &str, values: &[(String, i32)]) {
    let mut seen = HashSet::new();
    let (mut to_name, mut to_number) = (String::new(), String::new());
    for (value, number) in values {
        if seen.insert(*number) {
            _ = writeln!(to_name, "                {number} => Some({value:?}),");
        }
        _ = writeln!(to_number, "                {value:?} => Some({number}),");
    }
    _ = writeln!(
        out,
        "    impl json::Enumeration for {path} {{
        const NAME: &'static str = {name:?};

        fn name(number: i32) -> ::core::option::Option<&'static str> {{
            match number {{
{to_name}                _ => None,
            }}
        }}

        fn number(name: &str) -> ::core::option::Option<i32> {{
            match name {{
{to_number}                _ => None,
            }}
        }}
    }}
"
    );
}

fn spell(kind: &Kind, package: &[String], places: &Places<'_>) -> String {
    let name = match &kind.of {
        None => format!("json::{}", kind.name),
        Some(Err(rust)) => format!("json::{}<{rust}>", kind.name),
        Some(Ok(proto)) => match places.get(&proto[1..]) {
            Some(declared) => {
                format!("json::{}<{}>", kind.name, path(package, &declared.module, &declared.ident))
            }
            None => format!("json::{}<()>", kind.name),
        },
    };
    if kind.boxed { format!("json::Boxed<{name}>") } else { name }
}

/// The path from the module `from` to the type `ident` in the module `to`.
fn path(from: &[String], to: &[String], ident: &str) -> String {
    let common = from.iter().zip(to).take_while(|(from, to)| from == to).count();
    let up = std::iter::repeat_n("super", from.len() - common);
    let down = to[common..].iter().map(String::as_str);
    let path = up.chain(down).chain([ident]).collect::<Vec<_>>().join("::");
    // Names that the file brings along: its import, and the parameters of its functions.
    if path.starts_with("json::") || matches!(path.as_str(), "M" | "A") {
        format!("self::{path}")
    } else {
        path
    }
}
