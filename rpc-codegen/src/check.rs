//! What protobuf allows and Rust does not: two names that become one.
//!
//! Found before or right after prost-build runs, for it would panic, or leave it to rustc to complain about code that
//! nobody wrote.

use std::collections::{HashMap, HashSet};

use heck::ToUpperCamelCase;
use prost_types::{DescriptorProto, EnumDescriptorProto};
use syn::{Item, Member};

use crate::error::Problem;
use crate::message::FileCode;
use crate::schema::SourceFile;
use crate::select::scope;
use crate::service::Trait;

/// Looks for enums two of whose values become one variant.
pub(crate) fn file(file: &SourceFile, is_extern: &dyn Fn(&str) -> bool, problems: &mut Vec<Problem>) {
    let scope = scope(file.proto.package());
    for (index, item) in (0..).zip(&file.proto.enum_type) {
        enumeration(file, item, &scope, &[5, index], is_extern, problems);
    }
    for (index, item) in (0..).zip(&file.proto.message_type) {
        message(file, item, &scope, &[4, index], is_extern, problems);
    }
}

fn message(
    file: &SourceFile,
    message: &DescriptorProto,
    scope: &str,
    path: &[i32],
    is_extern: &dyn Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) {
    let name = format!("{scope}.{}", message.name());
    if is_extern(&name) {
        return;
    }
    for (index, item) in (0..).zip(&message.enum_type) {
        enumeration(file, item, &name, &[path, &[4, index]].concat(), is_extern, problems);
    }
    for (index, item) in (0..).zip(&message.nested_type) {
        self::message(file, item, &name, &[path, &[3, index]].concat(), is_extern, problems);
    }
}

fn enumeration(
    file: &SourceFile,
    item: &EnumDescriptorProto,
    scope: &str,
    path: &[i32],
    is_extern: &dyn Fn(&str) -> bool,
    problems: &mut Vec<Problem>,
) {
    if is_extern(&format!("{scope}.{}", item.name())) {
        return;
    }
    let prefix = item.name().to_upper_camel_case();
    let mut numbers = HashSet::new();
    let mut variants: HashMap<String, &str> = HashMap::new();
    for (index, value) in (0..).zip(&item.value) {
        // An alias has no variant.
        if !numbers.insert(value.number()) {
            continue;
        }
        let full = value.name().to_upper_camel_case();
        let variant = match full.strip_prefix(&prefix) {
            Some(rest) if rest.starts_with(char::is_uppercase) => rest.to_owned(),
            _ => full,
        };
        if let Some(other) = variants.insert(variant.clone(), value.name()) {
            problems.push(Problem::new(
                file.place(&[path, &[2, index]].concat()),
                format!("`{}` and `{other}` of `{}` are both `{variant}` in Rust", value.name(), item.name()),
                "rename one of them, or keep the enum's name in all variants: `retain_enum_prefix()`",
            ));
        }
    }
}

/// Looks for types, fields and methods that have one name in Rust.
pub(crate) fn names(files: &[(&SourceFile, FileCode, Vec<Trait>)], problems: &mut Vec<Problem>) {
    let mut types: HashMap<(String, String), String> = HashMap::new();
    for (file, code, _) in files {
        let package = prost_build::Module::from_protobuf_package_name(file.proto.package()).to_string();
        items(file, &package, &code.items, &mut types, problems);
    }
    let mut traits: HashMap<(String, String), &str> = HashMap::new();
    for (file, _, services) in files {
        let package = prost_build::Module::from_protobuf_package_name(file.proto.package()).to_string();
        for service in services {
            let key = (package.clone(), service.item.ident.to_string());
            if let Some(other) = traits.insert(key, &service.place) {
                problems.push(Problem::new(
                    &service.place,
                    format!("another service is called `{}` in Rust too, in {other}", service.item.ident),
                    "rename one of them",
                ));
            }
        }
    }
}

fn items(
    file: &SourceFile,
    module: &str,
    items: &[Item],
    types: &mut HashMap<(String, String), String>,
    problems: &mut Vec<Problem>,
) {
    for item in items {
        let (ident, members): (_, Vec<Option<Member>>) = match item {
            Item::Struct(item) => (&item.ident, item.fields.members().map(Some).collect()),
            Item::Enum(item) => {
                let variants = item.variants.iter().map(|variant| Some(Member::Named(variant.ident.clone())));
                (&item.ident, variants.collect())
            }
            Item::Mod(nested) => {
                let module = format!("{module}::{}", nested.ident);
                let content = nested.content.iter().flat_map(|(_, items)| items).cloned().collect::<Vec<_>>();
                self::items(file, &module, &content, types, problems);
                continue;
            }
            _ => continue,
        };
        let place = file.place(&[]);
        if let Some(other) = types.insert((module.to_owned(), ident.to_string()), place.clone()) {
            problems.push(Problem::new(
                &place,
                format!("another type of this package is called `{ident}` in Rust too, in {other}"),
                "rename one of them",
            ));
        }
        let mut seen = HashSet::new();
        for member in members.into_iter().flatten() {
            if let Member::Named(name) = &member
                && !seen.insert(name.to_string())
            {
                problems.push(Problem::new(
                    &place,
                    format!("two fields of `{ident}` are called `{name}` in Rust"),
                    "rename one of them",
                ));
            }
        }
    }
}
