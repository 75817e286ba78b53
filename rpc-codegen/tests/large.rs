//! A tree of hundreds of files and thousands of messages generates, and a part of it compiles, for that is what takes its
//! time; how long it took is printed.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const PACKAGES: usize = 30;
const FILES: usize = 10;
const MESSAGES: usize = 12;

/// The text of one file: each message has fields of all kinds, of types nearby and far away, and one is recursive.
fn proto(package: usize, file: usize, messages: usize) -> String {
    let mut out = format!(
        "syntax = \"proto3\";\npackage big.p{package}.v1;\nimport \"google/protobuf/timestamp.proto\";\n"
    );
    let back = package.checked_sub(1);
    if let Some(back) = back {
        writeln!(out, "import \"p{back}/f{file}.proto\";").unwrap();
    }
    for message in 0..messages {
        let next = (message + 1) % messages;
        writeln!(
            out,
            "// Message {message}.\nmessage M{file}x{message} {{\n  string name = 1;\n  repeated int64 numbers = 2;\n  \
             M{file}x{next} next = 3;\n  map<string, M{file}x{next}> named = 4;\n  google.protobuf.Timestamp at = 5;\n  \
             message Inner {{ M{file}x{message} outer = 1; }}\n  oneof choice {{ Inner inner = 6; bytes raw = 7; }}"
        )
        .unwrap();
        if let Some(back) = back {
            writeln!(out, "  big.p{back}.v1.M{file}x{message} back = 8;").unwrap();
        }
        out.push_str("}\n");
    }
    writeln!(out, "service S{file} {{").unwrap();
    for message in 0..messages {
        writeln!(out, "  rpc Do{message}(M{file}x{message}) returns (M{file}x0);").unwrap();
    }
    out.push_str("}\n");
    out
}

/// Writes so many packages of so many files of so many messages; gives the files' paths.
fn write_tree(folder: &Path, packages: usize, files: usize, messages: usize) -> Vec<PathBuf> {
    let mut protos = Vec::new();
    for package in 0..packages {
        fs::create_dir(folder.join(format!("p{package}"))).unwrap();
        for file in 0..files {
            let path = folder.join(format!("p{package}/f{file}.proto"));
            fs::write(&path, proto(package, file, messages)).unwrap();
            protos.push(path);
        }
    }
    protos
}

#[test]
fn a_large_schema_generates() {
    let folder = tempfile::tempdir().unwrap();
    let protos = write_tree(folder.path(), PACKAGES, FILES, MESSAGES);
    let start = Instant::now();
    let output = rpc_codegen::configure().generate(&protos, &[folder.path()]).unwrap();
    let bytes: usize = output.files().map(|(_, text)| text.len()).sum();
    println!(
        "{} files with {} messages became {} files of {bytes} bytes in {:?}",
        protos.len(),
        protos.len() * MESSAGES * 2,
        output.files().count(),
        start.elapsed()
    );
    // Messages and JSON of each package, and what includes them.
    assert_eq!(output.files().count(), 2 * PACKAGES + 1);
    let text: String = output.files().map(|(_, text)| text).collect();
    assert_eq!(text.matches("pub struct ").count(), PACKAGES * FILES * MESSAGES * 2);
    assert_eq!(text.matches("pub trait ").count(), PACKAGES * FILES);
}

/// What `generate` gives is what a user's crate has in it: that crate is checked here, with the workspace's own versions.
#[test]
fn a_large_schema_compiles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    // Always the same folder, so that only the crate itself is checked when this runs again.
    let krate = Path::new(env!("CARGO_TARGET_TMPDIR")).join("large");
    _ = fs::remove_dir_all(krate.join("src"));
    fs::create_dir_all(krate.join("src")).unwrap();
    fs::copy(root.join("Cargo.lock"), krate.join("Cargo.lock")).unwrap();
    let manifest = format!(
        "[package]\nname = \"large\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
         rpc-core = {{ path = {:?}, features = [\"proto\"] }}\n",
        root.join("rpc-core")
    );
    fs::write(krate.join("Cargo.toml"), manifest).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let protos = write_tree(folder.path(), 10, FILES, 6);
    let output = rpc_codegen::configure().generate(&protos, &[folder.path()]).unwrap();
    output.write_to(krate.join("src")).unwrap();
    // The chains of messages in it are longer than the compiler follows without a word.
    let code = fs::read_to_string(krate.join("src/mod.rs")).unwrap();
    fs::write(krate.join("src/lib.rs"), format!("#![recursion_limit = \"512\"]\n{code}")).unwrap();
    fs::remove_file(krate.join("src/mod.rs")).unwrap();

    let start = Instant::now();
    let check = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--offline"])
        .current_dir(&krate)
        .env("CARGO_TARGET_DIR", krate.join("target"))
        .output()
        .unwrap();
    println!("{} files were checked in {:?}", protos.len(), start.elapsed());
    let errors = String::from_utf8_lossy(&check.stderr);
    assert!(check.status.success() && errors.is_empty(), "{errors}");
}
