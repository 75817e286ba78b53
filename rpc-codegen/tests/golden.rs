//! Generates from the `.proto` files of the repository, and compares with what is checked in under `golden/`.
//!
//! After a wanted change: `UPDATE_GOLDEN=1 cargo test -p rpc-codegen --test golden`, and read the diff. The files are
//! compiled by the test `compile`.

use std::path::{Path, PathBuf};

use rpc_codegen::Builder;
use rpc_core::export;

#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "round/contract.rs"]
mod contract;

/// Compares what the .proto files in `folder` (or below) become with `golden/<name>`.
fn golden(name: &str, folder: &str, builder: Builder) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join(folder);
    let mut protos = Vec::new();
    collect(&folder, &mut protos);
    protos.sort();
    let output = builder.generate(&protos, &[folder]).unwrap();
    let golden = root.join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        output.write_to(&golden).unwrap();
        output.remove_stale(&golden).unwrap();
    }
    let differences = output.differences(&golden).unwrap();
    assert!(
        differences.is_empty(),
        "{}\nif that is wanted: UPDATE_GOLDEN=1 cargo test -p rpc-codegen --test golden",
        differences.join("\n")
    );
}

fn collect(folder: &Path, protos: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, protos);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            protos.push(path);
        }
    }
}

#[test]
fn the_examples_are_as_checked_in() {
    golden("examples", "../proto", rpc_codegen::configure());
}

#[test]
fn the_nasty_corpus_is_as_checked_in() {
    golden("corpus", "tests/corpus", rpc_codegen::configure());
}

#[test]
fn streams_are_as_checked_in() {
    golden("streams", "tests/streams", rpc_codegen::configure());
}

#[test]
fn the_messages_of_the_conformance_tests_are_as_checked_in() {
    golden("conformance", "tests/conformance", rpc_codegen::configure());
}

#[test]
fn the_shapes_of_real_schemas_are_as_checked_in() {
    golden("real", "tests/real", rpc_codegen::configure());
}

#[test]
fn traits_that_became_proto_files_are_as_checked_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/round/proto");
    let services = [&contract::everything::DESCRIPTOR, &contract::odd::odd::DESCRIPTOR];
    for file in export::proto_files(services).unwrap() {
        let path = folder.join(&file.path);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &file.text).unwrap();
        }
        let old = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(old, file.text, "{}: if that is wanted, run this with UPDATE_GOLDEN=1", file.path);
    }
    golden("round", "tests/round/proto", rpc_codegen::configure());
}
