//! From descriptors to the types of each package.
//!
//! A walk over the graph of types, from the services down. Types whose names we choose, the requests and replies of
//! several arguments or of a scalar, are named last, when it is known which names are taken.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::symbol::{self, Symbols};
use super::{ExportError, OPTIONS};
use crate::call::{MethodDescriptor, ServiceDescriptor};
use crate::message::schema::{EnumSchema, FieldSchema, MessageSchema, Type};

/// Everything that is to be written.
pub(super) struct Schema<'a> {
    pub(super) packages: BTreeMap<String, Package<'a>>,
    pub(super) symbols: Symbols,
}

/// What becomes one file.
#[derive(Default)]
pub(super) struct Package<'a> {
    pub(super) services: Vec<Service<'a>>,
    /// The types, outer ones before those that are nested in them.
    pub(super) types: Vec<Declared>,
    /// The files that it needs.
    pub(super) imports: BTreeSet<String>,
}

/// A service, and the full names of the request and the reply of each method.
pub(super) struct Service<'a> {
    pub(super) descriptor: &'a ServiceDescriptor,
    pub(super) messages: Vec<[String; 2]>,
}

/// A message or an enum.
#[derive(Clone)]
pub(super) struct Declared {
    /// `demo.v1.Shape.Rect`
    pub(super) full_name: String,
    /// The full name of the message that it is nested in.
    pub(super) parent: Option<String>,
    pub(super) body: Body,
}

#[derive(Clone)]
pub(super) enum Body {
    /// A message, and what its fields hold.
    Message(&'static MessageSchema, Vec<Held>),
    Enum(&'static EnumSchema),
}

/// What a field holds.
#[derive(Clone)]
pub(super) enum Held {
    Scalar(&'static str),
    /// The full name of a message, or of an enum.
    Named(String),
}

impl Declared {
    /// What its fields hold, if it has fields.
    fn held(&self) -> &[Held] {
        match &self.body {
            Body::Message(_, held) => held,
            Body::Enum(_) => &[],
        }
    }
}

impl Held {
    /// The full name, if it has one.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Scalar(_) => None,
            Self::Named(full_name) => Some(full_name),
        }
    }
}

/// The types of all services.
pub(super) fn collect<'a>(services: Vec<&'a ServiceDescriptor>) -> Result<Schema<'a>, ExportError> {
    let mut walk = Walk::default();
    for service in &services {
        walk.taken.insert(service.name.to_owned());
        for method in service.methods {
            walk.root(service, method, "request", method.request);
            walk.root(service, method, "reply", method.reply);
        }
    }
    let mut packages: BTreeMap<String, Package<'a>> = BTreeMap::new();
    for service in services {
        let messages = service.methods.iter().map(|method| {
            let request = walk.named(service, method, "Request", method.request);
            [request, walk.named(service, method, "Reply", method.reply)]
        });
        let service = Service { descriptor: service, messages: messages.collect() };
        packages
            .entry(symbol::package(service.descriptor.name).to_owned())
            .or_default()
            .services
            .push(service);
    }
    let order = walk.order(&packages);
    walk.types.sort_by_key(|(_, declared)| order.get(&declared.full_name).copied());
    for (package, declared) in walk.types {
        packages.entry(package).or_default().types.push(declared);
    }
    let symbols = symbol::symbols(&packages, &mut walk.problems);
    imports(&mut packages, &symbols, &mut walk.problems);
    if walk.problems.is_empty() {
        Ok(Schema { packages, symbols })
    } else {
        Err(ExportError { problems: walk.problems })
    }
}

#[derive(Default)]
struct Walk {
    /// The types with their packages, in the order in which they were met.
    types: Vec<(String, Declared)>,
    /// Where in `types` each is.
    places: HashMap<String, usize>,
    /// Full names that are in use.
    taken: BTreeSet<String>,
    problems: Vec<String>,
}

/// Whether the name is the macro's and not the user's.
fn is_generated(schema: &MessageSchema) -> bool {
    schema.name.starts_with("__")
}

impl Walk {
    /// Meets the request or the reply of a method.
    fn root(
        &mut self,
        service: &ServiceDescriptor,
        method: &MethodDescriptor,
        what: &str,
        schema: fn() -> Option<&'static MessageSchema>,
    ) {
        let package = symbol::package(service.name);
        match schema() {
            // Its name comes later, what is in it now.
            Some(schema) if is_generated(schema) => {
                self.fields(schema, package, None);
            }
            Some(schema) => {
                self.message(schema, package, None);
            }
            None => self.problems.push(format!(
                "the {what} of `{}` has no description: it comes from a .proto file, which says what it is, or only serde \
                 knows it; a type with `#[message]` has one",
                method.path
            )),
        }
    }

    /// The full name of the request or of the reply of a method, once all others are known.
    fn named(
        &mut self,
        service: &ServiceDescriptor,
        method: &MethodDescriptor,
        suffix: &str,
        schema: fn() -> Option<&'static MessageSchema>,
    ) -> String {
        let package = symbol::package(service.name);
        let Some(schema) = schema() else { return String::new() };
        if !is_generated(schema) {
            return self.message(schema, package, None);
        }
        let plain = format!("{}{suffix}", method.name);
        let mut full_name = symbol::join(package, &plain);
        if self.taken.contains(&full_name) {
            full_name = symbol::join(package, &format!("{}{plain}", symbol::last(service.name)));
        }
        while self.taken.contains(&full_name) {
            full_name.push('_');
        }
        let held = self.fields(schema, package, None);
        self.taken.insert(full_name.clone());
        let body = Body::Message(schema, held);
        self.types.push((package.to_owned(), Declared { full_name: full_name.clone(), parent: None, body }));
        full_name
    }

    /// Where each type stands: after what uses it first, as people write. A walk of its own, since the names that we chose
    /// came last.
    fn order(&self, packages: &BTreeMap<String, Package<'_>>) -> HashMap<String, usize> {
        let held: HashMap<&str, &[Held]> =
            self.types.iter().map(|(_, it)| (it.full_name.as_str(), it.held())).collect();
        let services = packages.values().flat_map(|package| &package.services);
        let mut open: Vec<&str> =
            services.flat_map(|it| it.messages.iter().flatten()).map(String::as_str).collect();
        open.reverse();
        let mut order = HashMap::new();
        while let Some(name) = open.pop() {
            let next = order.len();
            if let Entry::Vacant(entry) = order.entry(name.to_owned()) {
                entry.insert(next);
                let held = held.get(name).copied().unwrap_or_default();
                open.extend(held.iter().rev().filter_map(Held::name));
            }
        }
        order
    }

    /// Takes a message and all that is in it; gives its full name. `parent` is the name in the source and the full name
    /// of the message that it was met in.
    fn message(
        &mut self,
        schema: &'static MessageSchema,
        package: &str,
        parent: Option<(&str, &str)>,
    ) -> String {
        if symbol::well_known(schema.name).is_some() {
            return schema.name.to_owned();
        }
        let (full_name, package, outer) = place(schema.name, package, parent);
        let body = Body::Message(schema, Vec::new());
        if let Some(place) = self.declare(&full_name, &package, outer, body) {
            let held = self.fields(schema, &package, Some((schema.name, &full_name)));
            self.types[place].1.body = Body::Message(schema, held);
        }
        full_name
    }

    fn enumeration(
        &mut self,
        schema: &'static EnumSchema,
        package: &str,
        parent: Option<(&str, &str)>,
    ) -> String {
        let (full_name, package, outer) = place(schema.name, package, parent);
        self.declare(&full_name, &package, outer, Body::Enum(schema));
        full_name
    }

    fn fields(
        &mut self,
        schema: &'static MessageSchema,
        package: &str,
        parent: Option<(&str, &str)>,
    ) -> Vec<Held> {
        schema.fields.iter().map(|field| self.held(schema, field, package, parent)).collect()
    }

    fn held(
        &mut self,
        message: &MessageSchema,
        field: &FieldSchema,
        package: &str,
        parent: Option<(&str, &str)>,
    ) -> Held {
        match field.ty {
            Type::Message(schema) => match schema() {
                Some(schema) => Held::Named(self.message(schema, package, parent)),
                None => {
                    self.problems.push(format!(
                        "the field `{}` of `{}` has no description: its type comes from a .proto file",
                        field.name,
                        message.name.trim_start_matches("__")
                    ));
                    Held::Named(String::new())
                }
            },
            Type::Enum(schema) => Held::Named(self.enumeration(schema(), package, parent)),
            scalar => Held::Scalar(symbol::scalar(scalar)),
        }
    }

    /// Puts a type in the list; `None` if it is there already.
    fn declare(
        &mut self,
        full_name: &str,
        package: &str,
        parent: Option<String>,
        body: Body,
    ) -> Option<usize> {
        if let Some(&place) = self.places.get(full_name) {
            if !same(&self.types[place].1.body, &body) {
                let mend = "give one of them another by `#[message(name = \"…\")]`";
                let problem = format!("two types have the name `{full_name}`: {mend}");
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
            }
            return None;
        }
        let place = self.types.len();
        self.places.insert(full_name.to_owned(), place);
        self.taken.insert(full_name.to_owned());
        self.types.push((package.to_owned(), Declared { full_name: full_name.to_owned(), parent, body }));
        Some(place)
    }
}

/// Full name, package and outer message of a type of this name in the source, which was met in `package` and `parent`.
fn place(name: &str, package: &str, parent: Option<(&str, &str)>) -> (String, String, Option<String>) {
    if let Some((outer, full_name)) = parent
        && let Some(rest) = name.strip_prefix(outer).and_then(|rest| rest.strip_prefix('.'))
        && !rest.contains('.')
    {
        return (symbol::join(full_name, rest), package.to_owned(), Some(full_name.to_owned()));
    }
    if name.contains('.') {
        return (name.to_owned(), symbol::package(name).to_owned(), None);
    }
    (symbol::join(package, name), package.to_owned(), None)
}

/// Whether two descriptions are of one type. A type may have several, one for each part of the program that the compiler
/// translated by itself.
fn same(a: &Body, b: &Body) -> bool {
    let field =
        |a: &FieldSchema, b: &FieldSchema| (a.name, a.tag, a.label, a.ty) == (b.name, b.tag, b.label, b.ty);
    match (a, b) {
        (Body::Message(a, _), Body::Message(b, _)) => {
            a.fields.len() == b.fields.len() && a.fields.iter().zip(b.fields).all(|(a, b)| field(a, b))
        }
        (Body::Enum(a), Body::Enum(b)) => a.values == b.values,
        _ => false,
    }
}

/// Finds which files each file needs, and whether two need each other.
fn imports(packages: &mut BTreeMap<String, Package<'_>>, symbols: &Symbols, problems: &mut Vec<String>) {
    let mut needs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let paths: BTreeMap<String, String> =
        packages.iter().map(|(name, package)| (name.clone(), symbol::path(name, package))).collect();
    for (name, package) in packages.iter_mut() {
        let mut imports = BTreeSet::new();
        let used =
            package.services.iter().flat_map(|service| service.messages.iter().flatten()).map(String::as_str);
        let held = package.types.iter().flat_map(Declared::held).filter_map(Held::name);
        for full_name in used.chain(held) {
            if let Some(file) = symbol::well_known(full_name) {
                imports.insert(file.to_owned());
            } else if let Some(other) = symbols.package_of(full_name).filter(|other| other != name) {
                imports.extend(paths.get(other).cloned());
                needs.entry(name.clone()).or_default().insert(other.to_owned());
            }
        }
        let methods = package.services.iter().flat_map(|service| service.descriptor.methods);
        if methods.clone().any(|method| method.oneway || method.timeout.is_some()) {
            imports.insert(OPTIONS.to_owned());
        }
        package.imports = imports;
    }
    // What needs nothing that is left can be imported; who is left in the end is in a circle, or needs one.
    while let Some(free) = needs
        .iter()
        .find(|(_, of)| !of.iter().any(|other| needs.contains_key(other)))
        .map(|(name, _)| name.clone())
    {
        needs.remove(&free);
    }
    if !needs.is_empty() {
        let names: Vec<String> = needs.keys().map(|name| format!("`{name}`")).collect();
        problems.push(format!(
            "the packages {} use types of each other, and .proto files cannot: move some of the types with \
             `#[message(name = \"…\")]`",
            names.join(", ")
        ));
    }
}
