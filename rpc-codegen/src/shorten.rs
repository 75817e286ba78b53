//! Full paths to short ones, where the short name is free: `::core::option::Option<T>` becomes `Option<T>`.
//!
//! prost-build spells every name in full, since a message may be called `Option`. Most are not, and a person would
//! write the short name.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit_mut::{self, VisitMut};
use syn::{Item, Path};

/// Where prost is found from generated code.
pub(crate) const PROST: &str = "::rpc_core::proto::prost";

/// What the standard prelude has: these need no import.
const PRELUDE: &[(&str, &str)] = &[
    ("::rpc_core::proto::prost::alloc::string::String", "String"),
    ("::rpc_core::proto::prost::alloc::vec::Vec", "Vec"),
    ("::rpc_core::proto::prost::alloc::boxed::Box", "Box"),
    ("::core::option::Option", "Option"),
    ("::core::result::Result", "Result"),
];

/// What is shorter with an import.
const IMPORTED: &[(&str, &str)] = &[
    ("::rpc_core::service", "service"),
    ("::rpc_core::Status", "Status"),
    ("::rpc_core::Streaming", "Streaming"),
    ("::std::collections::HashMap", "HashMap"),
    ("::rpc_core::proto::prost::alloc::collections::BTreeMap", "BTreeMap"),
];

/// Names by which `#[service]` knows what is no message, whatever the path before them.
const SPELLED: &[&str] = &["String", "Vec", "Option", "HashMap", "BTreeMap", "Bytes", "Streaming"];

/// Shortens the paths in all items of one module, and those nested in it. Gives what the module must import.
pub(crate) fn module(items: &mut [Item], taken: &BTreeSet<String>) -> BTreeSet<&'static str> {
    let mut shorten = Shorten { taken, imports: BTreeSet::new() };
    for item in items.iter_mut() {
        match item {
            Item::Mod(nested) => {
                if let Some((_, items)) = &mut nested.content {
                    let taken = names(items);
                    let used = module(items, &taken);
                    items.splice(0..0, imports(&used));
                }
            }
            item => shorten.visit_item_mut(item),
        }
    }
    shorten.imports
}

/// `use` of these paths, one for all that come from the same place.
pub(crate) fn imports(paths: &BTreeSet<&'static str>) -> Vec<Item> {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for path in paths {
        let (place, name) = path.rsplit_once("::").expect("the paths above have a place");
        places.entry(place).or_default().push(name);
    }
    let line = |(place, names): (&str, Vec<&str>)| match names.as_slice() {
        [name] => format!("use {place}::{name};"),
        names => format!("use {place}::{{{}}};", names.join(", ")),
    };
    places.into_iter().map(|place| syn::parse_str(&line(place)).expect("the paths above are paths")).collect()
}

/// The names of the types that the items declare.
pub(crate) fn names(items: &[Item]) -> BTreeSet<String> {
    let name = |item: &Item| match item {
        Item::Struct(item) => Some(item.ident.to_string()),
        Item::Enum(item) => Some(item.ident.to_string()),
        Item::Trait(item) => Some(item.ident.to_string()),
        _ => None,
    };
    items.iter().filter_map(name).collect()
}

/// Gives other names to messages that are called `String` or `Option`, where a trait uses them: `#[service]` would take
/// them for what is called so elsewhere. Gives the imports that the names come from.
pub(crate) fn alias(item: &mut syn::ItemTrait, taken: &BTreeSet<String>) -> Vec<Item> {
    struct Alias<'a> {
        taken: &'a BTreeSet<String>,
        imports: Vec<Item>,
    }
    impl VisitMut for Alias<'_> {
        fn visit_path_mut(&mut self, path: &mut Path) {
            visit_mut::visit_path_mut(self, path);
            let Some(last) = path.segments.last() else { return };
            let known = PRELUDE.iter().chain(IMPORTED).any(|(long, _)| *long == spell(path));
            if known || !SPELLED.iter().any(|name| last.ident == name) {
                return;
            }
            let mut name = format!("{}Message", last.ident);
            while self.taken.contains(&name) {
                name.push('_');
            }
            let name = syn::Ident::new(&name, last.ident.span());
            if path.segments.len() == 1 && path.leading_colon.is_none() {
                path.segments.insert(0, syn::parse_quote!(self));
            }
            let import: Item = syn::parse_quote!(use #path as #name;);
            if !self.imports.contains(&import) {
                self.imports.push(import);
            }
            *path = name.into();
        }
    }
    let mut alias = Alias { taken, imports: Vec::new() };
    alias.visit_item_trait_mut(item);
    alias.imports
}

/// A path with a leading `::`, without its generic arguments.
fn spell(path: &Path) -> String {
    path.segments.iter().map(|segment| format!("::{}", segment.ident)).collect()
}

/// Makes the paths of a trait right for one module further down.
pub(crate) fn lift(item: &mut syn::ItemTrait) {
    struct Lift;
    impl VisitMut for Lift {
        fn visit_type_path_mut(&mut self, path: &mut syn::TypePath) {
            // A full path, one of the scalars that wrappers become, or the type of `&self`: these stay.
            let scalar = ["Self", "bool", "i32", "i64", "u32", "u64", "f32", "f64"];
            let path = &mut path.path;
            if path.leading_colon.is_none() && !scalar.iter().any(|name| path.is_ident(name)) {
                path.segments.insert(0, syn::parse_quote!(super));
            } else {
                visit_mut::visit_path_mut(self, path);
            }
        }
    }
    Lift.visit_item_trait_mut(item);
}

struct Shorten<'a> {
    taken: &'a BTreeSet<String>,
    imports: BTreeSet<&'static str>,
}

impl VisitMut for Shorten<'_> {
    fn visit_path_mut(&mut self, path: &mut Path) {
        visit_mut::visit_path_mut(self, path);
        if path.leading_colon.is_none() {
            return;
        }
        let full = spell(path);
        let find = |table: &[(&'static str, &'static str)]| {
            table.iter().find(|(long, short)| *long == full && !self.taken.contains(*short)).copied()
        };
        let short = find(PRELUDE).or_else(|| {
            let (long, short) = find(IMPORTED)?;
            self.imports.insert(match short {
                "BTreeMap" => "::std::collections::BTreeMap",
                _ => long,
            });
            Some((long, short))
        });
        if short.is_some() {
            let last = path.segments.pop().expect("a path has a segment").into_value();
            path.leading_colon = None;
            path.segments = std::iter::once(last).collect();
        }
    }

    // A derive's argument is no path to the visitor; nor would it be shorter.
    fn visit_attribute_mut(&mut self, attribute: &mut syn::Attribute) {
        if let syn::Meta::List(list) = &mut attribute.meta {
            self.visit_path_mut(&mut list.path);
        }
    }
}
