//! What protobuf allows and Rust does not: two names that become one, and names that become none.
//!
//! Found before or right after prost-build runs, for it would panic, or leave it to rustc to complain about code that
//! nobody wrote.

use std::collections::{HashMap, HashSet};

use heck::ToUpperCamelCase;
use prost_types::{DescriptorProto, EnumDescriptorProto};

use crate::error::Problem;
use crate::externs::Externs;
use crate::message::{Declared, FileCode, is_map_entry, members};
use crate::schema::SourceFile;
use crate::select::scope;
use crate::service::Trait;

/// Looks for enums two of whose values become one variant (`prefix` says whether the enum's name stays before them),
/// for names that Rust has nothing for, and for fields that have no JSON if `json` is asked for.
pub(crate) fn types(
    file: &SourceFile,
    prefix: bool,
    externs: &Externs,
    json: bool,
    problems: &mut Vec<Problem>,
) {
    let mut walk = Walk { file, prefix, externs, json, problems };
    let package = file.proto.package();
    let scope = scope(package);
    let generated = !externs.contains(&scope) || !file.proto.service.is_empty();
    if generated && let Some(part) = package.split('.').find(|part| !package.is_empty() && is_nothing(part)) {
        walk.problems.push(Problem::new(
            file.place(&[2]),
            format!("the package `{package}` is no module in Rust: nothing is left of `{part}` there"),
            "give each part of it a letter, or take its types from elsewhere: `extern_path`",
        ));
    }
    for (index, item) in (0..).zip(&file.proto.enum_type) {
        walk.enumeration(item, &scope, &[5, index]);
    }
    for (index, item) in (0..).zip(&file.proto.message_type) {
        walk.message(item, &scope, &[4, index]);
    }
    for (index, service) in (0..).zip(&file.proto.service) {
        walk.name(service.name(), &[6, index]);
        walk.name_with_module(service.name(), &[6, index]);
        for (at, method) in (0..).zip(&service.method) {
            walk.name(method.name(), &[6, index, 2, at]);
        }
    }
    for (index, service) in (0..).zip(&file.proto.service).filter(|_| json) {
        for (at, method) in (0..).zip(&service.method) {
            for ty in [method.input_type(), method.output_type()] {
                crate::json::refuse(ty, &file.place(&[6, index, 2, at]), externs, walk.problems);
            }
        }
    }
}

struct Walk<'a> {
    file: &'a SourceFile,
    prefix: bool,
    externs: &'a Externs,
    json: bool,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn message(&mut self, message: &DescriptorProto, scope: &str, path: &[i32]) {
        let name = format!("{scope}.{}", message.name());
        if self.externs.contains(&name) {
            return;
        }
        self.name(message.name(), path);
        let (oneofs, _) = members(message);
        if !message.nested_type.iter().all(is_map_entry)
            || !message.enum_type.is_empty()
            || !oneofs.is_empty()
        {
            self.name_with_module(message.name(), path);
        }
        for (index, field) in (0..).zip(&message.field) {
            self.name(field.name(), &[path, &[2, index]].concat());
        }
        for (index, _) in oneofs {
            let oneof = &message.oneof_decl[index as usize];
            self.name(oneof.name(), &[path, &[8, index]].concat());
        }
        for (index, field) in (0..).zip(&message.field).filter(|_| self.json) {
            crate::json::refuse(
                field.type_name(),
                &self.file.place(&[path, &[2, index]].concat()),
                self.externs,
                self.problems,
            );
        }
        for (index, item) in (0..).zip(&message.enum_type) {
            self.enumeration(item, &name, &[path, &[4, index]].concat());
        }
        for (index, item) in (0..).zip(&message.nested_type) {
            self.message(item, &name, &[path, &[3, index]].concat());
        }
    }

    fn name(&mut self, name: &str, path: &[i32]) {
        if is_nothing(name) {
            self.problems.push(Problem::new(
                self.file.place(path),
                format!("`{name}` is no name in Rust: nothing is left of it there"),
                "give it a letter",
            ));
        }
    }

    /// A type's name and its module's differ in their first letter. `_1` has none.
    fn name_with_module(&mut self, name: &str, path: &[i32]) {
        if name.trim_start_matches('_').starts_with(|c: char| c.is_ascii_digit()) {
            self.problems.push(Problem::new(
                self.file.place(path),
                format!("`{name}` would be both a type and a module in Rust"),
                "let its name begin with a letter",
            ));
        }
    }

    fn enumeration(&mut self, item: &EnumDescriptorProto, scope: &str, path: &[i32]) {
        if self.externs.contains(&format!("{scope}.{}", item.name())) {
            return;
        }
        self.name(item.name(), path);
        let prefix = item.name().to_upper_camel_case();
        let mut numbers = HashSet::new();
        let mut variants: HashMap<String, &str> = HashMap::new();
        for (index, value) in (0..).zip(&item.value) {
            // An alias has no variant.
            if !numbers.insert(value.number()) {
                continue;
            }
            self.name(value.name(), &[path, &[2, index]].concat());
            let full = value.name().to_upper_camel_case();
            let variant = match full.strip_prefix(&prefix) {
                Some(rest) if !self.prefix && rest.starts_with(char::is_uppercase) => rest.to_owned(),
                _ => full,
            };
            if let Some(other) = variants.insert(variant.clone(), value.name()) {
                self.problems.push(Problem::new(
                    self.file.place(&[path, &[2, index]].concat()),
                    format!(
                        "`{}` and `{other}` of `{}` are both `{variant}` in Rust",
                        value.name(),
                        item.name()
                    ),
                    "rename one of them, or keep the enum's name in all variants: `retain_enum_prefix()`",
                ));
            }
        }
    }
}

/// Rust's names are made of the words between underscores: whether there are none.
fn is_nothing(name: &str) -> bool {
    name.chars().all(|c| c == '_')
}

/// Looks for types, and fields of one type, that have one name in Rust.
pub(crate) fn names(files: &[(&SourceFile, FileCode, Vec<Trait>)], problems: &mut Vec<Problem>) {
    let mut types: HashMap<(&[String], &str), &str> = HashMap::new();
    for declared in files.iter().flat_map(|(_, code, _)| &code.declared) {
        let Declared { module, ident, place, members, .. } = declared;
        if let Some(other) = types.insert((module, ident), place) {
            problems.push(Problem::new(
                place,
                format!("`{ident}` is what another type of this package is called in Rust too: see {other}"),
                RENAME,
            ));
        }
        let mut seen = HashMap::new();
        for (name, place) in members {
            if let Some(other) = seen.insert(name, place) {
                problems.push(Problem::new(
                    place,
                    format!("`{name}` is what another field of `{ident}` is called in Rust too: see {other}"),
                    RENAME,
                ));
            }
        }
    }
    let mut traits: HashMap<_, (String, &str)> = HashMap::new();
    for (file, _, services) in files {
        for service in services {
            let package = prost_build::Module::from_protobuf_package_name(file.proto.package());
            let ident = service.item.ident.to_string();
            let module = crate::names::module(&ident);
            if let Some((other, place)) =
                traits.insert((package, module.clone()), (ident.clone(), &service.place))
            {
                let what = if other == ident {
                    format!(
                        "`{ident}` is what another service of this package is called in Rust too: see {place}"
                    )
                } else {
                    format!("`{ident}` and `{other}` both have the module `{module}` in Rust: see {place}")
                };
                problems.push(Problem::new(&service.place, what, RENAME));
            }
        }
    }
}

pub(crate) const RENAME: &str =
    "rename one of them: protobuf sees a difference in case or underscores, Rust's naming does not";
