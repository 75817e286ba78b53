//! What protobuf allows and Rust does not: two names that become one.
//!
//! Found before or right after prost-build runs, for it would panic, or leave it to rustc to complain about code that
//! nobody wrote.

use std::collections::{HashMap, HashSet};

use heck::ToUpperCamelCase;
use prost_types::{DescriptorProto, EnumDescriptorProto};

use crate::error::Problem;
use crate::externs::Externs;
use crate::message::{Declared, FileCode};
use crate::schema::SourceFile;
use crate::select::scope;
use crate::service::Trait;

/// Looks for enums two of whose values become one variant (`prefix` says whether the enum's name stays before them),
/// and for fields that have no JSON if `json` is asked for.
pub(crate) fn types(
    file: &SourceFile,
    prefix: bool,
    externs: &Externs,
    json: bool,
    problems: &mut Vec<Problem>,
) {
    let mut walk = Walk { file, prefix, externs, json, problems };
    let scope = scope(file.proto.package());
    for (index, item) in (0..).zip(&file.proto.enum_type) {
        walk.enumeration(item, &scope, &[5, index]);
    }
    for (index, item) in (0..).zip(&file.proto.message_type) {
        walk.message(item, &scope, &[4, index]);
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

    fn enumeration(&mut self, item: &EnumDescriptorProto, scope: &str, path: &[i32]) {
        if self.externs.contains(&format!("{scope}.{}", item.name())) {
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
