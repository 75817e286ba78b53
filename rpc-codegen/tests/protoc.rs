//! What we write, and what we read, against `protoc`: it takes the `.proto` files that traits become, and understands
//! them, as well as all others of the tests, as protox does, which reads them for us.
//!
//! `protoc` is needed by this test and by nothing else of the crate; `tests/run` installs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};
use rpc_core::export;

#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "round/contract.rs"]
mod contract;

/// What `protoc` makes of the files, with all that they import.
fn by_protoc(folder: &Path, includes: &[PathBuf], files: &[PathBuf]) -> DescriptorPool {
    let set = tempfile::NamedTempFile::new().unwrap();
    let mut protoc = Command::new("protoc");
    protoc.arg("--include_imports").arg(format!("--descriptor_set_out={}", set.path().display()));
    for include in [&[folder.to_owned()], includes].concat() {
        protoc.arg(format!("-I{}", include.display()));
    }
    let output = protoc.args(files).output().unwrap_or_else(|error| {
        panic!("protoc cannot be started: {error}; on Debian: apt-get install protobuf-compiler")
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // A warning would be about what we wrote.
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    DescriptorPool::decode(std::fs::read(set.path()).unwrap().as_slice()).unwrap()
}

/// What protox makes of them.
fn by_protox(folder: &Path, files: &[PathBuf]) -> DescriptorPool {
    let output = rpc_codegen::configure().generate(files, &[folder]).unwrap();
    DescriptorPool::decode(output.descriptor_set()).unwrap()
}

/// Whether a file is not one of protobuf's own, of which each of the two has the version that it came with.
fn is_ours(file: &FileDescriptor) -> bool {
    !file.name().starts_with("google/protobuf/")
}

/// All that matters on the wire, a line each: it is what a person would compare.
fn lines(pool: &DescriptorPool) -> Vec<String> {
    let mut out = Vec::new();
    for file in pool.files().filter(is_ours) {
        let imports: Vec<_> = file.dependencies().map(|import| import.name().to_owned()).collect();
        let options = options(&file.options());
        out.push(format!(
            "file {} of package {:?}, {:?}, imports {imports:?}, options {options}",
            file.name(),
            file.package_name(),
            file.syntax()
        ));
    }
    for service in pool.services().filter(|it| is_ours(&it.parent_file())) {
        for method in service.methods() {
            let stream = |is: bool| if is { "stream " } else { "" };
            out.push(format!(
                "rpc {}({}{}) returns ({}{}), options {}",
                method.full_name(),
                stream(method.is_client_streaming()),
                method.input().full_name(),
                stream(method.is_server_streaming()),
                method.output().full_name(),
                options(&method.options()),
            ));
        }
    }
    for message in pool.all_messages().filter(|it| is_ours(&it.parent_file())) {
        let reserved: Vec<_> = message.reserved_ranges().collect();
        let options = options(&message.options());
        out.push(format!("message {}, reserved {reserved:?}, options {options}", message.full_name()));
        out.extend(message.fields().map(|field| field_line(&message, &field)));
    }
    for one in pool.all_enums().filter(|it| is_ours(&it.parent_file())) {
        for value in one.values() {
            out.push(format!("enum {}: {} = {}", one.full_name(), value.name(), value.number()));
        }
    }
    for extension in pool.all_extensions().filter(|it| is_ours(&it.parent_file())) {
        out.push(format!("extension {} = {}", extension.full_name(), extension.number()));
    }
    out.sort();
    out
}

/// Options, custom ones too.
fn options(options: &DynamicMessage) -> String {
    serde_json::to_string(options).unwrap()
}

fn field_line(message: &MessageDescriptor, field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(of) => format!("message {}", of.full_name()),
        Kind::Enum(of) => format!("enum {}", of.full_name()),
        scalar => format!("{scalar:?}"),
    };
    format!(
        "field {}.{} = {}: {:?} {kind}, JSON {:?}, presence {}, packed {}, group {}, oneof {:?}, default {:?}, \
         options {}",
        message.full_name(),
        field.name(),
        field.number(),
        field.cardinality(),
        field.json_name(),
        field.supports_presence(),
        field.is_packed(),
        field.is_group(),
        field.containing_oneof().map(|oneof| oneof.name().to_owned()),
        field.field_descriptor_proto().default_value,
        options(&field.options()),
    )
}

/// Both understand the files in the same way.
fn compare(folder: &Path, files: &[PathBuf]) -> DescriptorPool {
    compare_with(folder, &[], files)
}

fn compare_with(folder: &Path, includes: &[PathBuf], files: &[PathBuf]) -> DescriptorPool {
    let (theirs, ours) = (by_protoc(folder, includes, files), by_protox(folder, files));
    let (expected, found) = (lines(&theirs), lines(&ours));
    for (expected, found) in expected.iter().zip(&found) {
        assert_eq!(found, expected, "protox is on the left, protoc on the right");
    }
    assert_eq!(found.len(), expected.len());
    theirs
}

/// All `.proto` files below a folder.
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
fn protoc_reads_the_proto_files_of_traits_as_we_do() {
    let folder = tempfile::tempdir().unwrap();
    let services = [&contract::everything::DESCRIPTOR, &contract::odd::odd::DESCRIPTOR];
    let mut files = Vec::new();
    for file in export::proto_files(services).unwrap() {
        let path = folder.path().join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &file.text).unwrap();
        files.push(path);
    }
    let pool = compare(folder.path(), &files);

    // And as what the traits are.
    for descriptor in services {
        let service = pool.get_service_by_name(descriptor.name).unwrap();
        assert_eq!(service.methods().len(), descriptor.methods.len());
        for (method, ours) in service.methods().zip(descriptor.methods) {
            use rpc_core::call::Shape::{BidiStreaming, ClientStreaming, ServerStreaming, Unary};
            let shape = match (method.is_client_streaming(), method.is_server_streaming()) {
                (false, false) => Unary,
                (true, false) => ClientStreaming,
                (false, true) => ServerStreaming,
                (true, true) => BidiStreaming,
            };
            assert_eq!((method.name(), shape), (ours.name, ours.shape));
            let idempotent = method.method_descriptor_proto().options.clone().unwrap_or_default();
            assert_eq!(idempotent.idempotency_level.is_some(), ours.idempotent, "{}", ours.path);
            for (schema, message) in [(ours.request, method.input()), (ours.reply, method.output())] {
                let fields = |number, name: &str, json: &str| (number, name.to_owned(), json.to_owned());
                let mut expected: Vec<_> = schema()
                    .unwrap()
                    .fields
                    .iter()
                    .map(|field| fields(field.tag, field.name, field.json_name))
                    .collect();
                let mut found: Vec<_> = message
                    .fields()
                    .map(|field| fields(field.number(), field.name(), field.json_name()))
                    .collect();
                expected.sort();
                found.sort();
                assert_eq!(found, expected, "{}", message.full_name());
            }
        }
    }
}

/// The comparison can fail.
#[test]
fn a_difference_is_seen() {
    let pool = |number: u32| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.proto");
        std::fs::write(&path, format!("syntax = \"proto3\"; message M {{ string s = {number}; }}")).unwrap();
        by_protoc(folder.path(), &[], &[path])
    };
    assert_eq!(lines(&pool(1)), lines(&pool(1)));
    assert_ne!(lines(&pool(1)), lines(&pool(2)));
}

#[test]
fn protoc_reads_all_proto_files_of_the_tests_as_we_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The framework's own options come along with us, and not with protoc.
    let own = root.join("../proto");
    for folder in
        ["../proto", "tests/corpus", "tests/real", "tests/streams", "tests/conformance", "tests/round/proto"]
    {
        let folder = root.join(folder);
        let mut protos = Vec::new();
        collect(&folder, &mut protos);
        protos.sort();
        compare_with(&folder, std::slice::from_ref(&own), &protos);
    }
}
