//! Each mistake is told with its place and its mend.

use std::fs;
use std::path::Path;

use rpc_codegen::Builder;

const RENAME: &str =
    "rename one of them: protobuf sees a difference in case or underscores, Rust's naming does not";

/// What is said of these files, of which the first is compiled. The folder that they are in is left out.
fn complaint(files: &[(&str, &str)]) -> String {
    complaint_of(rpc_codegen::configure(), files)
}

fn complaint_of(builder: Builder, files: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), files);
    let error = builder.generate(&[folder.path().join(files[0].0)], &[folder.path()]).unwrap_err();
    assert_eq!(format!("{error}"), format!("{error:?}"), "a build script shows the latter");
    error
        .to_string()
        .replace(&format!("{}/", folder.path().display()), "")
        .replace(&folder.path().display().to_string(), "PROTO")
}

fn write(folder: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

#[test]
fn syntax_is_refused_at_its_line() {
    let text = complaint(&[("a.proto", "syntax = \"proto3\";\nmessage M {\n  string = 1;\n}\n")]);
    assert!(text.starts_with("a.proto:3:10: expected an identifier"), "{text}");
}

#[test]
fn unknown_types_are_refused_at_their_line() {
    assert_eq!(
        complaint(&[("a.proto", "syntax = \"proto3\";\nmessage M {\n  Nothing nothing = 1;\n}\n")]),
        "a.proto:3:3: name 'Nothing' is not defined"
    );
}

#[test]
fn a_missing_import_names_the_folders_that_were_searched() {
    assert_eq!(
        complaint(&[("a.proto", "syntax = \"proto3\";\nimport \"b/c.proto\";\n")]),
        "a.proto:2:1: import 'b/c.proto' not found\n  \
         help: looked in `PROTO`: add the folder that the import starts from to the includes"
    );
}

#[test]
fn a_missing_file_is_named() {
    let error = rpc_codegen::compile(&["no/such.proto"], &["proto"]).unwrap_err();
    assert_eq!(error.to_string(), "no/such.proto: there is no such file, neither here nor in `proto`");
}

#[test]
fn a_file_outside_of_the_includes_is_told_apart_from_a_missing_one() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a.proto", "syntax = \"proto3\";\n"), ("other/x", "")]);
    let error =
        rpc_codegen::compile(&[folder.path().join("a.proto")], &[folder.path().join("other")]).unwrap_err();
    let text = error.to_string().replace(&folder.path().display().to_string(), "PROTO");
    assert_eq!(
        text,
        "PROTO/a.proto: not in any include folder\n  \
         help: add the folder that its imports start from to the includes, which are: `PROTO/other`"
    );
}

#[test]
fn editions_are_refused_with_what_to_write() {
    let text = complaint(&[("a.proto", "edition = \"2023\";\nmessage M {}\n")]);
    assert!(text.starts_with("a.proto:1:1: "), "{text}");
    assert!(text.ends_with("write `syntax = \"proto3\";` (or \"proto2\") instead"), "{text}");
}

#[test]
fn a_oneway_method_has_no_streams() {
    assert_eq!(
        complaint(&[(
            "a.proto",
            "syntax = \"proto3\";\nimport \"rpc/v1/options.proto\";\nmessage M {}\nservice S {\n\
             rpc Tell(stream M) returns (M) { option (rpc.v1.method).oneway = true; }\n}\n",
        )]),
        "a.proto:5: method `S.Tell` is oneway, and has a stream, which needs both ways\n  \
         help: take `oneway` away, or `stream`"
    );
}

#[test]
fn oneway_methods_return_nothing() {
    assert_eq!(
        complaint(&[(
            "a.proto",
            "syntax = \"proto3\";\nimport \"rpc/v1/options.proto\";\nmessage M {}\nservice S {\n\
             rpc Tell(M) returns (M) { option (rpc.v1.method).oneway = true; }\n}\n",
        )]),
        "a.proto:5: method `S.Tell` is oneway, so nobody will see its `M`\n  \
         help: let it return `google.protobuf.Empty`, or take `oneway` away"
    );
}

#[test]
fn timeouts_are_whole_numbers_with_a_unit() {
    assert_eq!(
        complaint(&[(
            "a.proto",
            "syntax = \"proto3\";\nimport \"rpc/v1/options.proto\";\nmessage M {}\nservice S {\n\
             rpc Ask(M) returns (M) { option (rpc.v1.method).timeout = \"1.5s\"; }\n}\n",
        )]),
        "a.proto:5: `1.5s` is not a timeout\n  help: write a whole number and a unit (us, ms, s or m): \"200ms\""
    );
}

#[test]
fn an_unknown_policy_is_refused() {
    let text = complaint(&[(
        "a.proto",
        "syntax = \"proto3\";\nimport \"rpc/v1/options.proto\";\nmessage M {}\nservice S {\n\
         rpc Ask(M) returns (M) { option (rpc.v1.method).retries = 3; }\n}\n",
    )]);
    assert!(text.starts_with("a.proto:5:"), "{text}");
    assert!(text.contains("retries"), "{text}");
}

#[test]
fn names_that_become_one_are_refused() {
    let help = format!("\n  help: {RENAME}");
    assert_eq!(
        complaint(&[(
            "a.proto",
            "syntax = \"proto2\";\npackage a;\nmessage FooBar {}\nmessage Foo_Bar {}\nmessage M {\n  \
             optional string field_name = 1;\n  optional string fieldName = 2 [json_name = \"other\"];\n}\nservice S {\n  \
             rpc GetAll(M) returns (M);\n  rpc getAll(M) returns (M);\n}\nservice s {}\n",
        )]),
        format!(
            "a.proto:11: `getAll` and `GetAll` of `S` are both `GetAll` in Rust{help}\n\
             a.proto:4: `FooBar` is what another type of this package is called in Rust too: see a.proto:3{help}\n\
             a.proto:7: `field_name` is what another field of `M` is called in Rust too: see a.proto:6{help}\n\
             a.proto:13: `S` is what another service of this package is called in Rust too: see a.proto:9{help}"
        )
    );
}

#[test]
fn methods_that_become_one_are_refused() {
    // `get_a1` and `get_a_1` as functions, but each method is a type too.
    assert_eq!(
        complaint(&[(
            "a.proto",
            "syntax = \"proto3\";\npackage a;\nmessage M {}\nservice S {\n  rpc GetA1(M) returns (M);\n  \
             rpc GetA_1(M) returns (M);\n  rpc getA1(M) returns (M);\n}\n",
        )]),
        format!(
            "a.proto:6: `GetA_1` and `GetA1` of `S` are both `GetA1` in Rust\n  help: {RENAME}\n\
             a.proto:7: `getA1` and `GetA1` of `S` are both `GetA1` in Rust\n  help: {RENAME}"
        )
    );
}

#[test]
fn services_whose_modules_become_one_are_refused() {
    assert_eq!(
        complaint(&[(
            "a.proto",
            "syntax = \"proto3\";\npackage a;\nservice AB {}\nservice A_B {}\nservice B {}\n",
        )]),
        format!(
            "a.proto:4: `AB` and `Ab` both have the module `ab` in Rust: see a.proto:3\n  help: {RENAME}"
        )
    );
}

#[test]
fn names_that_are_none_in_rust_are_refused() {
    let text = "syntax = \"proto3\";\npackage a._;\nmessage _ {\n  string __ = 1;\n  oneof ___ {\n    string x = 2;\n  }\n}\n\
                enum ____ {\n  _____ = 0;\n}\nservice __S {\n  rpc __(_) returns (_);\n}\nservice _1 {}\n\
                message _2 {\n  message Inside {}\n}\nmessage _3 {\n  optional string x = 1;\n  map<string, string> map = 2;\n}\n";
    let package = "help: give each part of it a letter, or take its types from elsewhere: `extern_path`";
    let letter = "help: give it a letter";
    assert_eq!(
        complaint(&[("a.proto", text)]),
        format!(
            "a.proto:2: the package `a._` is no module in Rust: nothing is left of `_` there\n  {package}\n\
             a.proto:9: `____` is no name in Rust: nothing is left of it there\n  {letter}\n\
             a.proto:10: `_____` is no name in Rust: nothing is left of it there\n  {letter}\n\
             a.proto:3: `_` is no name in Rust: nothing is left of it there\n  {letter}\n\
             a.proto:4: `__` is no name in Rust: nothing is left of it there\n  {letter}\n\
             a.proto:5: `___` is no name in Rust: nothing is left of it there\n  {letter}\n\
             a.proto:16: `_2` would be both a type and a module in Rust\n  help: let its name begin with a letter\n\
             a.proto:13: `__` is no name in Rust: nothing is left of it there\n  {letter}\n\
             a.proto:15: `_1` would be both a type and a module in Rust\n  help: let its name begin with a letter"
        )
    );
    let elsewhere = rpc_codegen::configure().extern_path(".a._", "::a");
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &[("a.proto", "syntax = \"proto3\";\npackage a._;\nmessage _ {}\n")]);
    elsewhere.generate(&[folder.path().join("a.proto")], &[folder.path()]).unwrap();
}

#[test]
fn enum_values_that_become_one_are_refused_and_the_mend_works() {
    let files = [(
        "a.proto",
        "syntax = \"proto3\";\nmessage M {\n  enum Kind {\n    KIND_NONE = 0;\n    NONE = 1;\n  }\n}\n",
    )];
    assert_eq!(
        complaint(&files),
        "a.proto:5: `NONE` and `KIND_NONE` of `Kind` are both `None` in Rust\n  \
         help: rename one of them, or keep the enum's name in all variants: `retain_enum_prefix()`"
    );
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &files);
    let protos = [folder.path().join("a.proto")];
    rpc_codegen::configure().retain_enum_prefix().generate(&protos, &[folder.path()]).unwrap();
}

#[test]
fn all_files_are_read_before_anything_is_said() {
    let folder = tempfile::tempdir().unwrap();
    write(
        folder.path(),
        &[("a.proto", "wrong"), ("b.proto", "import \"a.proto\";"), ("c.proto", "message {}")],
    );
    let protos = ["a.proto", "b.proto", "c.proto"].map(|name| folder.path().join(name));
    let text = rpc_codegen::configure().generate(&protos, &[folder.path()]).unwrap_err().to_string();
    let places: Vec<_> = text.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["a.proto:1:1", "c.proto:1:9"]);
}

#[test]
fn options_that_are_no_rust_are_named() {
    let files = [(
        "a.proto",
        "syntax = \"proto3\";\npackage a;\nmessage M {}\nservice S { rpc Ask(M) returns (M); }\n",
    )];
    let text = complaint_of(rpc_codegen::configure().type_attribute(".", "#[derive("), &files);
    assert!(text.starts_with("a.proto:1: the generated code does not parse: "), "{text}");
    let text = complaint_of(rpc_codegen::configure().extern_path("a.M", "::x::M"), &files);
    assert!(text.contains("begin with a leading '.'"), "{text}");
    let text = complaint_of(rpc_codegen::configure().codecs(["not a path"]), &files);
    assert!(text.starts_with("`not a path` is not a codec"), "{text}");
}

#[test]
fn what_has_no_json_is_refused_and_the_mend_works() {
    let files = [(
        "a.proto",
        "syntax = \"proto3\";\nimport \"google/protobuf/api.proto\";\nmessage M {\n  google.protobuf.Api api = 1;\n}\n\
         service S {\n  rpc Ask(M) returns (google.protobuf.Method);\n}\n",
    )];
    assert_eq!(
        complaint(&files),
        "a.proto:4: `google.protobuf.Api` has no JSON form\n  help: speak protobuf only: `codecs([\"Protobuf\"])`\n\
         a.proto:7: `google.protobuf.Method` has no JSON form\n  help: speak protobuf only: `codecs([\"Protobuf\"])`"
    );
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &files);
    let protos = [folder.path().join("a.proto")];
    let output = rpc_codegen::configure().codecs(["Protobuf"]).generate(&protos, &[folder.path()]).unwrap();
    assert_eq!(output.files().map(|(name, _)| name).collect::<Vec<_>>(), ["_.rs", "mod.rs"]);
}
