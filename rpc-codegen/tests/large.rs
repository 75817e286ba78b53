//! A tree of hundreds of files and thousands of messages generates; how long it took is printed.

use std::fmt::Write;
use std::fs;
use std::time::Instant;

const PACKAGES: usize = 30;
const FILES: usize = 10;
const MESSAGES: usize = 12;

/// The text of one file: each message has fields of all kinds, of types nearby and far away, and one is recursive.
fn proto(package: usize, file: usize) -> String {
    let mut out = format!(
        "syntax = \"proto3\";\npackage big.p{package}.v1;\nimport \"google/protobuf/timestamp.proto\";\n"
    );
    let back = package.checked_sub(1);
    if let Some(back) = back {
        writeln!(out, "import \"p{back}/f{file}.proto\";").unwrap();
    }
    for message in 0..MESSAGES {
        let next = (message + 1) % MESSAGES;
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
    for message in 0..MESSAGES {
        writeln!(out, "  rpc Do{message}(M{file}x{message}) returns (M{file}x0);").unwrap();
    }
    out.push_str("}\n");
    out
}

#[test]
fn a_large_schema_generates() {
    let folder = tempfile::tempdir().unwrap();
    let mut protos = Vec::new();
    for package in 0..PACKAGES {
        fs::create_dir(folder.path().join(format!("p{package}"))).unwrap();
        for file in 0..FILES {
            let path = folder.path().join(format!("p{package}/f{file}.proto"));
            fs::write(&path, proto(package, file)).unwrap();
            protos.push(path);
        }
    }
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
