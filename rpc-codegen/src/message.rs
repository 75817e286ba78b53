//! The messages and enums of a file: prost-build writes them, and here they get their documentation.
//!
//! prost-build is run without comments and without formatting. Its items come in the order of the descriptors, so
//! walking both together tells which item is which, with no need to know how prost-build spells names in Rust.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use prost_build::{Config, Module, Service, ServiceGenerator};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};
use syn::{Attribute, Item, parse_quote};

use crate::doc;
use crate::error::{Error, Problem};
use crate::externs::Externs;
use crate::json::{self, Json};
use crate::schema::{Schema, SourceFile};
use crate::select::scope;

/// What became of one file.
pub(crate) struct FileCode {
    /// Messages and enums, each message followed by the module of what is nested in it.
    pub(crate) items: Vec<Item>,
    /// The services with the names that prost-build found for them and their types.
    pub(crate) services: Vec<Service>,
    /// All types among the items, for the search for clashes.
    pub(crate) declared: Vec<Declared>,
}

/// A type that the code declares.
pub(crate) struct Declared {
    /// The modules around it, from the root.
    pub(crate) module: Vec<String>,
    pub(crate) ident: String,
    /// Where it stands in the .proto.
    pub(crate) place: String,
    /// Its fields or variants, and where they stand.
    pub(crate) members: Vec<(String, String)>,
    pub(crate) json: Json,
}

/// Runs prost-build over the `selected` files of the schema; gives one [`FileCode`] for each.
pub(crate) fn generate(
    config: &mut Config,
    schema: &Schema,
    selected: &[usize],
    externs: &Externs,
) -> Result<Vec<FileCode>, Error> {
    let services = Rc::new(RefCell::new(HashMap::new()));
    config.service_generator(Box::new(Recorder(Rc::clone(&services))));

    // One module for each file keeps the files apart: prost-build takes paths from the package, not from here.
    let module = |index: usize| Module::from_parts([format!("file{index}")]);
    let requests = selected.iter().map(|&index| (module(index), schema.files[index].proto.clone())).collect();
    let mut code = config.generate(requests).map_err(|error| {
        Problem::new(
            "",
            error.to_string(),
            "look at the extern paths: each starts with a dot, and is given once",
        )
    })?;

    let mut out = Vec::new();
    for &index in selected {
        let file = &schema.files[index];
        let text = code.remove(&module(index)).unwrap_or_default();
        let parsed = syn::parse_file(&text).map_err(|error| {
            let mend = "if it is from an attribute or a path of the builder's options, mend that";
            Problem::new(file.place(&[]), format!("the generated code does not parse: {error}"), mend)
        })?;
        let mut items = parsed.items.into_iter().filter(|item| !matches!(item, Item::Const(_)));
        let mut documented = Vec::new();
        let package = Module::from_protobuf_package_name(file.proto.package());
        let module = package.parts().map(str::to_owned).collect();
        let mut walk = Walk { file, externs, module, declared: Vec::new() };
        walk.file(&file.proto, &mut items, &mut documented);
        let scope = scope(file.proto.package());
        let recorded = services.borrow();
        let services = file.proto.service.iter();
        let services =
            services.map(|service| recorded[&format!("{scope}.{}", service.name())].clone()).collect();
        out.push(FileCode { items: documented, services, declared: walk.declared });
    }
    Ok(out)
}

/// Notes down each service; the traits are written later, from the notes.
struct Recorder(Rc<RefCell<HashMap<String, Service>>>);

impl ServiceGenerator for Recorder {
    fn generate(&mut self, service: Service, buf: &mut String) {
        // A file with no code in it would be forgotten, and then missed: prost-build panics on files with services only.
        buf.push_str("const _: () = ();");
        let name = format!("{}.{}", scope(&service.package), service.proto_name);
        self.0.borrow_mut().insert(name, service);
    }
}

struct Walk<'a> {
    file: &'a SourceFile,
    externs: &'a Externs,
    /// The module that is being walked through.
    module: Vec<String>,
    declared: Vec<Declared>,
}

impl Walk<'_> {
    fn file(
        &mut self,
        proto: &FileDescriptorProto,
        items: &mut dyn Iterator<Item = Item>,
        out: &mut Vec<Item>,
    ) {
        let scope = scope(proto.package());
        for (index, message) in (0..).zip(&proto.message_type) {
            self.message(message, &scope, &[4, index], items, out);
        }
        for (index, item) in (0..).zip(&proto.enum_type) {
            self.enumeration(item, &scope, &[5, index], items, out);
        }
    }

    fn message(
        &mut self,
        message: &DescriptorProto,
        scope: &str,
        path: &[i32],
        items: &mut dyn Iterator<Item = Item>,
        out: &mut Vec<Item>,
    ) {
        let name = format!("{scope}.{}", message.name());
        if self.externs.contains(&name) {
            return;
        }
        let (oneofs, plain) = members(message);
        let Some(Item::Struct(mut item)) = items.next() else { lost(&name) };
        self.document(&mut item.attrs, path);
        let mut fields = item.fields.iter_mut();
        let paths =
            plain.into_iter().map(|index| [2, index]).chain(oneofs.iter().map(|(index, _)| [8, *index]));
        let mut members = Vec::new();
        let mut json = Vec::new();
        let mut chosen = Vec::new();
        for end in paths {
            let Some(field) = fields.next() else { lost(&name) };
            let Some(ident) = field.ident.as_ref().map(ToString::to_string) else { lost(&name) };
            match end {
                [2, index] => {
                    json.push(json::own(message, &message.field[index as usize], field, self.externs));
                }
                _ => chosen.push(ident.clone()),
            }
            let path = join(path, end);
            self.document(&mut field.attrs, &path);
            members.push((ident, self.file.place(&path)));
        }
        let own = self.declared.len();
        self.declare(&item.ident, path, members, Json::Oneof);
        out.push(Item::Struct(item));

        let nested = message.nested_type.iter().any(|nested| !is_map_entry(nested));
        if !nested && message.enum_type.is_empty() && oneofs.is_empty() {
            self.declared[own].json = Json::Message { name: name[1..].to_owned(), fields: json };
            return;
        }
        let Some(Item::Mod(mut module)) = items.next() else { lost(&name) };
        let content = module.content.take().map(|(_, items)| items).unwrap_or_default();
        let mut items = content.into_iter();
        let mut inside = Vec::new();
        self.module.push(module.ident.to_string());
        for (index, nested) in (0..).zip(&message.nested_type) {
            if !is_map_entry(nested) {
                self.message(nested, &name, &join(path, [3, index]), &mut items, &mut inside);
            }
        }
        for (index, item) in (0..).zip(&message.enum_type) {
            self.enumeration(item, &name, &join(path, [4, index]), &mut items, &mut inside);
        }
        for ((index, fields), chosen) in oneofs.into_iter().zip(chosen) {
            let Some(Item::Enum(mut item)) = items.next() else { lost(&name) };
            self.document(&mut item.attrs, &join(path, [8, index]));
            let mut members = Vec::new();
            let mut choices = Vec::new();
            for (variant, field) in item.variants.iter_mut().zip(fields) {
                choices.push(json::member(&message.field[field as usize], variant, self.externs));
                let path = join(path, [2, field]);
                self.document(&mut variant.attrs, &path);
                members.push((variant.ident.to_string(), self.file.place(&path)));
            }
            let oneof = format!("{}::{}", self.module.join("::"), item.ident);
            json.push(json::Field::Oneof { ident: chosen, oneof, members: choices });
            self.declare(&item.ident, &join(path, [8, index]), members, Json::Oneof);
            inside.push(Item::Enum(item));
        }
        self.module.pop();
        self.declared[own].json = Json::Message { name: name[1..].to_owned(), fields: json };
        // All that is nested may be extern.
        if !inside.is_empty() {
            let title = format!(" What is nested in [`{}`].", ident_of(out));
            module.attrs = vec![parse_quote!(#[doc = #title])];
            module.content = Some((syn::token::Brace::default(), inside));
            out.push(Item::Mod(module));
        }
    }

    fn enumeration(
        &mut self,
        descriptor: &EnumDescriptorProto,
        scope: &str,
        path: &[i32],
        items: &mut dyn Iterator<Item = Item>,
        out: &mut Vec<Item>,
    ) {
        let name = format!("{scope}.{}", descriptor.name());
        if self.externs.contains(&name) {
            return;
        }
        let Some(Item::Enum(mut item)) = items.next() else { lost(&name) };
        self.document(&mut item.attrs, path);
        let mut numbers = std::collections::HashSet::new();
        // An alias has no variant.
        let values = (0..).zip(&descriptor.value).filter(|(_, value)| numbers.insert(value.number()));
        for (variant, (index, _)) in item.variants.iter_mut().zip(values) {
            self.document(&mut variant.attrs, &join(path, [2, index]));
        }
        // That no two variants are the same was seen before prost-build ran.
        self.declare(&item.ident, path, Vec::new(), json::enumeration(&name, descriptor));
        out.push(Item::Enum(item));
        let Some(Item::Impl(mut names)) = items.next() else { lost(&name) };
        for (function, title) in names
            .items
            .iter_mut()
            .zip([" The name in the .proto.", " The value with this name in the .proto."])
        {
            if let syn::ImplItem::Fn(function) = function {
                function.attrs = vec![parse_quote!(#[doc = #title])];
            }
        }
        out.push(Item::Impl(names));
    }

    fn declare(&mut self, ident: &syn::Ident, path: &[i32], members: Vec<(String, String)>, json: Json) {
        let (module, place) = (self.module.clone(), self.file.place(path));
        self.declared.push(Declared { module, ident: ident.to_string(), place, members, json });
    }

    fn document(&self, attrs: &mut Vec<Attribute>, path: &[i32]) {
        let docs = attributes(&doc::lines(self.file.location(path)));
        attrs.splice(0..0, docs);
    }
}

/// Lines of documentation as attributes, which print as `///`.
pub(crate) fn attributes(lines: &[String]) -> Vec<Attribute> {
    let line = |line: &String| {
        let text = if line.is_empty() { String::new() } else { format!(" {line}") };
        parse_quote!(#[doc = #text])
    };
    lines.iter().map(line).collect()
}

/// The oneofs with the indices of their fields, and the indices of the fields that are in none.
pub(crate) fn members(message: &DescriptorProto) -> (Vec<(i32, Vec<i32>)>, Vec<i32>) {
    let mut oneofs: Vec<(i32, Vec<i32>)> =
        (0..).zip(&message.oneof_decl).map(|(index, _)| (index, vec![])).collect();
    let mut plain = Vec::new();
    for (index, field) in (0..).zip(&message.field) {
        match field.oneof_index {
            // A proto3 `optional` is a oneof of one field that nobody wrote.
            Some(oneof) if !field.proto3_optional() => oneofs[oneof as usize].1.push(index),
            _ => plain.push(index),
        }
    }
    oneofs.retain(|(_, fields)| !fields.is_empty());
    (oneofs, plain)
}

pub(crate) fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

fn join(path: &[i32], end: [i32; 2]) -> Vec<i32> {
    [path, &end].concat()
}

fn ident_of(items: &[Item]) -> String {
    match items.last() {
        Some(Item::Struct(item)) => item.ident.to_string(),
        _ => String::new(),
    }
}

/// Our picture of prost-build's output is wrong: a bug here, not in the user's files.
fn lost(name: &str) -> ! {
    panic!("rpc-codegen lost its place in prost-build's output at `{name}`: please report this .proto");
}
