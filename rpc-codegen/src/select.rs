//! Which files become code: those that were asked for, and of the imported ones those that something uses.
//!
//! An import may be there for its options alone (`google/api/annotations.proto`); its messages would be dead code.

use std::collections::HashMap;

use prost_types::DescriptorProto;

use crate::schema::Schema;

/// The indices of the files in `schema` that become code, in order.
pub(crate) fn files(schema: &Schema) -> Vec<usize> {
    let mut home = HashMap::new();
    for (index, file) in schema.files.iter().enumerate() {
        let scope = scope(file.proto.package());
        for message in &file.proto.message_type {
            declare(message, &scope, index, &mut home);
        }
        for item in &file.proto.enum_type {
            home.insert(format!("{scope}.{}", item.name()), index);
        }
    }

    let mut chosen: Vec<bool> = schema.files.iter().map(|file| file.listed).collect();
    let mut open: Vec<usize> = (0..chosen.len()).filter(|&index| chosen[index]).collect();
    while let Some(index) = open.pop() {
        let proto = &schema.files[index].proto;
        let mut used = Vec::new();
        for message in &proto.message_type {
            uses(message, &mut used);
        }
        for method in proto.service.iter().flat_map(|service| &service.method) {
            used.extend([method.input_type(), method.output_type()]);
        }
        for name in used {
            if let Some(&index) = home.get(name)
                && !std::mem::replace(&mut chosen[index], true)
            {
                open.push(index);
            }
        }
    }
    (0..chosen.len()).filter(|&index| chosen[index]).collect()
}

/// A package as the start of a full name: empty, or with a dot before it.
pub(crate) fn scope(package: &str) -> String {
    if package.is_empty() { String::new() } else { format!(".{package}") }
}

fn declare(message: &DescriptorProto, scope: &str, index: usize, home: &mut HashMap<String, usize>) {
    let name = format!("{scope}.{}", message.name());
    for nested in &message.nested_type {
        declare(nested, &name, index, home);
    }
    for item in &message.enum_type {
        home.insert(format!("{name}.{}", item.name()), index);
    }
    home.insert(name, index);
}

fn uses<'a>(message: &'a DescriptorProto, used: &mut Vec<&'a str>) {
    used.extend(message.field.iter().filter_map(|field| field.type_name.as_deref()));
    for nested in &message.nested_type {
        uses(nested, used);
    }
}
