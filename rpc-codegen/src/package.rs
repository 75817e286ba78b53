//! The tree of modules: one for each package, so that `super::…` leads from one to another.

use std::collections::{BTreeMap, BTreeSet};

use prost_build::Module;
use syn::{Ident, Item, ItemMod, parse_quote};

use crate::doc;
use crate::json;
use crate::message::{Declared, FileCode};
use crate::names;
use crate::schema::SourceFile;
use crate::service::Trait;
use crate::shorten;

/// Modules by their path from the root, whose path is empty.
pub(crate) type Tree = BTreeMap<Vec<String>, Package>;

/// One module: all files of one package.
#[derive(Default)]
pub(crate) struct Package {
    /// What the files say about the package.
    pub(crate) docs: Vec<String>,
    pub(crate) sections: Vec<Section>,
    pub(crate) imports: BTreeSet<&'static str>,
}

/// What one file has in it, services first.
pub(crate) struct Section {
    pub(crate) source: String,
    pub(crate) items: Vec<Item>,
}

/// Sorts the code of the files into their packages.
pub(crate) fn tree(files: Vec<(&SourceFile, FileCode, Vec<Trait>)>) -> Tree {
    let mut tree = Tree::new();
    for (file, code, traits) in files {
        if code.items.is_empty() && traits.is_empty() {
            continue;
        }
        let parts = module(file);
        let package = tree.entry(parts).or_default();
        // 2 is the `package` statement.
        let docs = doc::lines(file.location(&[2]));
        if !docs.is_empty() && !package.docs.is_empty() {
            package.docs.push(String::new());
        }
        package.docs.extend(docs);
        let mut items: Vec<Item> = traits.into_iter().map(|item| Item::Trait(item.item)).collect();
        items.extend(code.items);
        package.sections.push(Section { source: file.proto.name().to_owned(), items });
    }
    merge_nested(&mut tree);
    alias_messages(&mut tree);
    set_apart_services(&mut tree);
    for package in tree.values_mut() {
        let taken: BTreeSet<String> =
            package.sections.iter().flat_map(|section| shorten::names(&section.items)).collect();
        for section in &mut package.sections {
            package.imports.extend(shorten::module(&mut section.items, &taken));
        }
    }
    tree
}

/// The file with the JSON of each package that has messages or enums.
pub(crate) fn json(files: &[(&SourceFile, FileCode, Vec<Trait>)]) -> BTreeMap<Vec<String>, String> {
    let places = json::places(files.iter().map(|(_, code, _)| code));
    let mut packages: BTreeMap<Vec<String>, Vec<&Declared>> = BTreeMap::new();
    for (file, code, _) in files {
        if !code.declared.is_empty() {
            packages.entry(module(file)).or_default().extend(&code.declared);
        }
    }
    packages
        .into_iter()
        .map(|(path, declared)| {
            let text = json::file(&path, &declared, &places);
            (path, text)
        })
        .collect()
}

/// The module of a file's package.
fn module(file: &SourceFile) -> Vec<String> {
    Module::from_protobuf_package_name(file.proto.package()).parts().map(str::to_owned).collect()
}

/// A message `B` in package `a` keeps what is nested in it in the module `a::b`, and so does a package `a.b` with its
/// messages: they become one module.
fn merge_nested(tree: &mut Tree) {
    let mut open: Vec<Vec<String>> = tree.keys().cloned().collect();
    while let Some(path) = open.pop() {
        let children: BTreeSet<String> = children(tree, &path);
        let Some(package) = tree.get_mut(&path) else { continue };
        let mut moved = Vec::new();
        for section in &mut package.sections {
            let (merged, kept) = std::mem::take(&mut section.items).into_iter().partition(
                |item| matches!(item, Item::Mod(module) if children.contains(&module.ident.to_string())),
            );
            section.items = kept;
            moved.extend(merged.into_iter().map(|item: Item| (section.source.clone(), item)));
        }
        for (source, item) in moved {
            let Item::Mod(ItemMod { ident, content: Some((_, items)), .. }) = item else { continue };
            let path: Vec<String> = path.iter().cloned().chain([ident.to_string()]).collect();
            tree.entry(path.clone()).or_default().sections.push(Section { source, items });
            open.push(path);
        }
    }
}

/// A message may be called `Option`, but a method cannot say so: see [`shorten::alias`].
fn alias_messages(tree: &mut Tree) {
    for package in tree.values_mut() {
        let taken: BTreeSet<String> =
            package.sections.iter().flat_map(|section| shorten::names(&section.items)).collect();
        let mut imports = Vec::new();
        for item in package.sections.iter_mut().flat_map(|section| &mut section.items) {
            if let Item::Trait(item) = item {
                for import in shorten::alias(item, &taken) {
                    if !imports.contains(&import) {
                        imports.push(import);
                    }
                }
            }
        }
        if let Some(section) = package.sections.first_mut() {
            section.items.splice(0..0, imports);
        }
    }
}

/// The names of the modules of packages right below this one.
fn children(tree: &Tree, path: &[String]) -> BTreeSet<String> {
    tree.keys().filter(|key| key.starts_with(path)).filter_map(|key| key.get(path.len()).cloned()).collect()
}

/// `#[service]` puts a client, a server and a module beside the trait. If something else has one of these names, the
/// trait goes into a module of its own, and only the free names stand beside it.
fn set_apart_services(tree: &mut Tree) {
    let paths: Vec<Vec<String>> = tree.keys().cloned().collect();
    for path in paths {
        let mut taken: BTreeSet<String> = children(tree, &path).iter().map(|name| unraw(name)).collect();
        let package = tree.get_mut(&path).expect("a key of the tree");
        let mut traits: BTreeMap<String, usize> = BTreeMap::new();
        for item in package.sections.iter().flat_map(|section| &section.items) {
            match item {
                Item::Mod(module) => drop(taken.insert(unraw(&module.ident.to_string()))),
                Item::Trait(item) => *traits.entry(item.ident.to_string()).or_default() += 1,
                item => taken.extend(shorten::names(std::slice::from_ref(item))),
            }
        }
        for section in &mut package.sections {
            let mut out = Vec::new();
            for item in std::mem::take(&mut section.items) {
                match item {
                    Item::Trait(item) if !is_free(&item.ident, &taken, &traits) => {
                        set_apart(item, &taken, &traits, &mut out);
                    }
                    item => out.push(item),
                }
            }
            section.items = out;
        }
    }
}

fn unraw(name: &str) -> String {
    name.trim_start_matches("r#").to_owned()
}

/// What `#[service]` makes of a trait with this name: types, and a module.
fn made(ident: &Ident) -> [String; 4] {
    let own = ident.to_string();
    let module = names::module(&own);
    [own, format!("{ident}Client"), format!("{ident}Server"), module]
}

fn is_free(ident: &Ident, taken: &BTreeSet<String>, traits: &BTreeMap<String, usize>) -> bool {
    let [own, rest @ ..] = made(ident);
    !taken.contains(&own) && !rest.iter().any(|name| taken.contains(name) || traits.contains_key(name))
}

fn set_apart(
    mut item: syn::ItemTrait,
    taken: &BTreeSet<String>,
    traits: &BTreeMap<String, usize>,
    out: &mut Vec<Item>,
) {
    let [own, client, server, module] = made(&item.ident);
    let mut name = format!("{}_service", module.trim_end_matches('_'));
    while taken.contains(&name) || traits.keys().any(|other| names::module(other) == name) {
        name.push('_');
    }
    let module: Ident = syn::parse_str(&name).expect("a name and `_service` is a name");
    shorten::lift(&mut item);
    let title = format!(" The service `{own}`, apart because another item has a name that it needs.");
    out.push(parse_quote! {
        #[doc = #title]
        pub mod #module {
            #item
        }
    });
    let free = |name: &String| !taken.contains(name);
    let made = [client, server].into_iter().filter(|name| free(name) && !traits.contains_key(name));
    let names: Vec<Ident> = std::iter::once(own)
        .filter(free)
        .chain(made)
        .map(|name| syn::parse_str(&name).expect("a trait's name, and with `Client` behind it, is a name"))
        .collect();
    match names.as_slice() {
        [] => {}
        [name] => out.push(parse_quote!(pub use #module::#name;)),
        names => out.push(parse_quote!(pub use #module::{#(#names),*};)),
    }
}
