//! The arguments of the command, and what it does with them.

use std::fs;
use std::path::{Path, PathBuf};

use rpc_codegen::{Builder, Output};

pub(crate) const HELP: &str = "\
Generates Rust from .proto files: messages, and a trait for each service.

Usage: rpc-codegen --out <FOLDER> [OPTIONS] <FILE or FOLDER>...

A folder stands for all .proto files in it and below.

Options:
  -o, --out <FOLDER>               where the generated files go (or are, with --check)
  -I, --include <FOLDER>           where imports are looked for; may be repeated
                                   [default: the folders that are given as input, else .]
      --check                      write nothing; fail if a file would change
      --include-file <NAME>        the file that includes all others [default: mod.rs]
      --descriptor-set <FILE>      also write the encoded FileDescriptorSet
      --codecs <NAMES>             codecs of the services, by comma [default: Protobuf,Json]
      --extern <.PROTO=RUST>       take these types from elsewhere: .shop.v1=::shop::v1
      --bytes <PATH>               bytes::Bytes for these fields; . for all
      --btree-map <PATH>           BTreeMap for these map fields
      --boxed <PATH>               Box these message fields
      --type-attribute <PATH=ATTR>     put an attribute on types: .shop=#[derive(PartialOrd)]
      --message-attribute <PATH=ATTR>  on messages only
      --enum-attribute <PATH=ATTR>     on enums and oneofs only
      --field-attribute <PATH=ATTR>    on fields and variants
      --retain-enum-prefix         ToneCasual, not Casual, for TONE_CASUAL of Tone
  -h, --help                       print this
  -V, --version                    print the version
";

/// What to do, as the arguments say.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    builder: Builder,
    out: PathBuf,
    inputs: Vec<PathBuf>,
    includes: Vec<PathBuf>,
    descriptor_set: Option<PathBuf>,
    check: bool,
}

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Wish {
    Help,
    Version,
    Generate(Box<Arguments>),
}

/// Reads the arguments, without the name of the command.
pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Wish, String> {
    let mut out = Arguments::default();
    let mut folder = None;
    let mut arguments = arguments.into_iter();
    let mut only_inputs = false;
    while let Some(argument) = arguments.next() {
        if only_inputs || !argument.starts_with('-') || argument == "-" {
            out.inputs.push(argument.into());
            continue;
        }
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ if argument.starts_with("-I") && argument.len() > 2 => {
                ("-I".to_owned(), Some(argument[2..].to_owned()))
            }
            _ => (argument, None),
        };
        if attached.is_some()
            && matches!(name.as_str(), "--check" | "--retain-enum-prefix" | "--help" | "--version")
        {
            return Err(format!("`{name}` takes no value"));
        }
        let mut value =
            || attached.clone().or_else(|| arguments.next()).ok_or_else(|| format!("`{name}` needs a value"));
        let builder = std::mem::take(&mut out.builder);
        out.builder = match name.as_str() {
            "-h" | "--help" => return Ok(Wish::Help),
            "-V" | "--version" => return Ok(Wish::Version),
            "--" => {
                only_inputs = true;
                builder
            }
            "--check" => {
                out.check = true;
                builder
            }
            "-o" | "--out" => {
                folder = Some(PathBuf::from(value()?));
                builder
            }
            "-I" | "--include" => {
                out.includes.push(value()?.into());
                builder
            }
            "--descriptor-set" => {
                out.descriptor_set = Some(value()?.into());
                builder
            }
            "--include-file" => builder.include_file(value()?),
            "--codecs" => builder.codecs(value()?.split(',').map(|codec| codec.trim().to_owned())),
            "--bytes" => builder.bytes([value()?]),
            "--btree-map" => builder.btree_map([value()?]),
            "--boxed" => builder.boxed(value()?),
            "--retain-enum-prefix" => builder.retain_enum_prefix(),
            "--extern" => pair(&name, &value()?, |proto, rust| builder.extern_path(proto, rust))?,
            "--type-attribute" => pair(&name, &value()?, |path, text| builder.type_attribute(path, text))?,
            "--message-attribute" => {
                pair(&name, &value()?, |path, text| builder.message_attribute(path, text))?
            }
            "--enum-attribute" => pair(&name, &value()?, |path, text| builder.enum_attribute(path, text))?,
            "--field-attribute" => pair(&name, &value()?, |path, text| builder.field_attribute(path, text))?,
            _ => return Err(format!("there is no option `{name}`")),
        };
    }
    out.out = folder.ok_or("`--out` is missing: where do the files go?")?;
    if out.inputs.is_empty() {
        return Err("no .proto file is given".to_owned());
    }
    Ok(Wish::Generate(Box::new(out)))
}

/// Splits `path=value` at its first `=`.
fn pair(name: &str, text: &str, then: impl FnOnce(&str, &str) -> Builder) -> Result<Builder, String> {
    let (left, right) =
        text.split_once('=').ok_or_else(|| format!("`{name}` takes `<path>=<value>`, not `{text}`"))?;
    Ok(then(left, right))
}

/// Generates, and writes or compares.
pub(crate) fn run(arguments: Arguments) -> Result<(), String> {
    let mut files = Vec::new();
    let mut includes = arguments.includes;
    let given = !includes.is_empty();
    for input in &arguments.inputs {
        if input.is_dir() {
            if !given {
                includes.push(input.clone());
            }
            collect(input, &mut files)?;
        } else {
            files.push(input.clone());
        }
    }
    if includes.is_empty() {
        includes.push(PathBuf::from("."));
    }
    if files.is_empty() {
        return Err("the folders have no .proto file in them".to_owned());
    }
    let output = arguments.builder.generate(&files, &includes).map_err(|error| error.to_string())?;
    if arguments.check {
        return check(&output, &arguments.out, arguments.descriptor_set.as_deref());
    }
    output.write_to(&arguments.out).map_err(|error| error.to_string())?;
    output.remove_stale(&arguments.out).map_err(|error| error.to_string())?;
    if let Some(path) = arguments.descriptor_set {
        fs::write(&path, output.descriptor_set()).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn check(output: &Output, folder: &Path, descriptor_set: Option<&Path>) -> Result<(), String> {
    let mut differences = output.differences(folder).map_err(|error| error.to_string())?;
    if let Some(path) = descriptor_set
        && !fs::read(path).is_ok_and(|old| old == output.descriptor_set())
    {
        differences.push(format!("{} differs", path.display()));
    }
    if differences.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\n  help: run the same command without --check, and commit what it writes",
        differences.join("\n")
    ))
}

/// All .proto files in `folder` and below, in the order of their names.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let broken = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(broken)? {
        entries.push(entry.map_err(broken)?.path());
    }
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            collect(&entry, files)?;
        } else if entry.extension().is_some_and(|extension| extension == "proto") {
            files.push(entry);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Wish, parse};

    fn refusal(arguments: &[&str]) -> String {
        parse(arguments.iter().map(|text| (*text).to_owned())).unwrap_err()
    }

    #[test]
    fn arguments_stand_in_any_order_and_spelling() {
        let arguments =
            ["a.proto", "-Iproto", "--out=gen", "--check", "--extern", ".a=::b", "--", "-b.proto"];
        let Ok(Wish::Generate(wish)) = parse(arguments.map(str::to_owned)) else { panic!("refused") };
        assert_eq!(wish.inputs, ["a.proto", "-b.proto"].map(std::path::PathBuf::from));
        assert_eq!(wish.includes, [std::path::PathBuf::from("proto")]);
        assert_eq!(wish.out, std::path::PathBuf::from("gen"));
        assert!(wish.check);
    }

    #[test]
    fn misuse_is_named() {
        assert_eq!(refusal(&["a.proto"]), "`--out` is missing: where do the files go?");
        assert_eq!(refusal(&["-o", "x"]), "no .proto file is given");
        assert_eq!(refusal(&["-o"]), "`-o` needs a value");
        assert_eq!(refusal(&["--wrong"]), "there is no option `--wrong`");
        assert_eq!(refusal(&["--check=yes"]), "`--check` takes no value");
        assert_eq!(refusal(&["--extern", "a"]), "`--extern` takes `<path>=<value>`, not `a`");
    }
}
