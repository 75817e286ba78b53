//! Holds the sources of rpc-core to its floors: a module names only modules of floors below its own, and modules of one
//! floor do not know each other. Between crates Cargo would see to that; between modules this test does.
//!
//! `docs/ARCHITECTURE.md` has the same table, with what each module is for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, from the ground up.
const FLOORS: &[&[&str]] = &[
    &["buffer", "metadata"],
    &["status"],
    &["context", "message", "wire"],
    &["codec", "stream"],
    &["call"],
    &["export", "lock", "middleware", "transport"],
    &["discovery"],
    &["balance"],
    &["server"],
    &["client"],
    &["lib", "private", "proto"],
];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources are beside the tests") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Every source file with its module and its text, comments and strings' lines of documentation left out.
fn files() -> Vec<(String, PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    paths
        .into_iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tests"))
        .map(|path| {
            let inside = path.strip_prefix(&root).expect("found below the root");
            let module =
                inside.iter().next().expect("a path has a first part").to_string_lossy().replace(".rs", "");
            let text = fs::read_to_string(&path).expect("sources are text");
            // What a module's own tests use is their affair.
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            (module, path, code)
        })
        .collect()
}

#[test]
fn a_module_names_only_modules_of_floors_below_its_own() {
    let floor: BTreeMap<&str, usize> = FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, modules)| modules.iter().map(move |module| (*module, floor)))
        .collect();
    let mut wrong = Vec::new();
    for (module, path, code) in files() {
        let Some(&own) = floor.get(module.as_str()) else {
            wrong
                .push(format!("{module} has no floor: give it one in this test and in docs/ARCHITECTURE.md"));
            continue;
        };
        for (_, rest) in code.match_indices("crate::").map(|(at, found)| code[at..].split_at(found.len())) {
            let named: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            // Names of generated code's own, macros, and types from the crate's root.
            let Some(&below) = floor.get(named.as_str()) else { continue };
            let generated = own == floor["private"] || named == "private";
            if named != module && below >= own && !generated {
                wrong.push(format!("{} (floor {own}) names {named} (floor {below})", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_protocol_knows_no_clock_no_runtime_and_no_lock() {
    for (module, path, code) in files() {
        if module == "wire" {
            for word in
                ["tokio", "Instant::now", "SystemTime", "Mutex", "async ", "std::net", "std::io::Read"]
            {
                assert!(!code.contains(word), "{} names {word}", path.display());
            }
        }
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for (_, path, code) in files() {
        let lines = code.lines().count();
        assert!(lines <= 600, "{} has {lines} lines of code: split it by idea", path.display());
    }
}
