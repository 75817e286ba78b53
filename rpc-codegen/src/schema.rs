//! From paths to descriptors: protox reads the files and all that they import.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorProto;
use prost_types::source_code_info::Location;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

use crate::error::{Error, Problem};

/// The options of the framework, which no project needs a copy of.
const OPTIONS: (&str, &str) = ("rpc/v1/options.proto", include_str!("../../proto/rpc/v1/options.proto"));

/// All files that were read, in an order in which each stands after those that it imports.
pub(crate) struct Schema {
    pub(crate) files: Vec<SourceFile>,
    /// The same files with their extensions, for custom options.
    pub(crate) pool: DescriptorPool,
    /// The set as protoc would write it, with imports and comments.
    pub(crate) encoded: Vec<u8>,
}

/// One file.
pub(crate) struct SourceFile {
    pub(crate) proto: FileDescriptorProto,
    /// Where it was found; none for those that come along with the tool.
    pub(crate) path: Option<PathBuf>,
    /// Whether it was asked for, and not just imported.
    pub(crate) listed: bool,
    locations: HashMap<Vec<i32>, Location>,
}

impl SourceFile {
    /// The comments and the place of what the path leads to; see `SourceCodeInfo` in `descriptor.proto`.
    pub(crate) fn location(&self, path: &[i32]) -> Option<&Location> {
        self.locations.get(path)
    }

    /// `shop/v1/catalog.proto:12`, for errors.
    pub(crate) fn place(&self, path: &[i32]) -> String {
        let file = match &self.path {
            Some(path) => path.display().to_string(),
            None => self.proto.name().to_owned(),
        };
        match self.location(path).and_then(|location| location.span.first()) {
            Some(line) => format!("{file}:{}", line + 1),
            None => file,
        }
    }
}

/// Reads `protos` and what they import, looking in `includes`.
pub(crate) fn read(protos: &[impl AsRef<Path>], includes: &[impl AsRef<Path>]) -> Result<Schema, Error> {
    let mut resolver = ChainFileResolver::new();
    for include in includes {
        resolver.add(IncludeFileResolver::new(include.as_ref().to_owned()));
    }
    resolver.add(GoogleFileResolver::new());
    resolver.add(OptionsResolver);
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);

    let mut problems = Vec::new();
    for proto in protos {
        if let Err(error) = compiler.open_file(proto) {
            let problem = explain(&error, proto.as_ref(), includes);
            // A broken file that several files import is one problem.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    if !problems.is_empty() {
        return Err(Error::of(problems));
    }

    let files = compiler
        .file_descriptor_set()
        .file
        .into_iter()
        .zip(compiler.files())
        .map(|(mut proto, file)| {
            let info = proto.source_code_info.take().unwrap_or_default();
            let mut locations = HashMap::new();
            for location in info.location {
                // A path may come twice (`extend` blocks); the first has the comments.
                locations.entry(location.path.clone()).or_insert(location);
            }
            SourceFile { proto, path: file.path().map(Path::to_owned), listed: !file.is_import(), locations }
        })
        .collect();
    Ok(Schema { files, pool: compiler.descriptor_pool(), encoded: compiler.encode_file_descriptor_set() })
}

/// Serves `rpc/v1/options.proto` when no include folder has it.
struct OptionsResolver;

impl FileResolver for OptionsResolver {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == OPTIONS.0 {
            File::from_source(OPTIONS.0, OPTIONS.1)
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}

/// Puts protox's error into our form: place, what, mend.
fn explain(error: &protox::Error, proto: &Path, includes: &[impl AsRef<Path>]) -> Problem {
    // protox puts `file:line:column: ` in front of its `Debug` form only; without a line it leaves out the file too.
    let what = error.to_string();
    let detailed = format!("{error:?}");
    let place = detailed.find(&what).map_or("", |end| &detailed[..end]).trim_end_matches([':', ' ']);
    let place = if place.is_empty() { error.file().unwrap_or_default() } else { place };
    let looked_in = || {
        let folders: Vec<_> = includes.iter().map(|path| format!("`{}`", path.as_ref().display())).collect();
        if folders.is_empty() { "no folder at all".to_owned() } else { folders.join(", ") }
    };
    if error.is_file_not_found() && error.file().is_none() {
        let place = proto.display().to_string();
        return if proto.exists() {
            let mend = "add the folder that its imports start from to the includes, which are";
            Problem::new(place, "not in any include folder", format!("{mend}: {}", looked_in()))
        } else {
            Problem::new(place, format!("there is no such file, neither here nor in {}", looked_in()), "")
        };
    }
    let mend = if what.contains("found 'edition'") {
        "editions are not supported: write `syntax = \"proto3\";` (or \"proto2\") instead".to_owned()
    } else if error.is_file_not_found() {
        format!("looked in {}: add the folder that the import starts from to the includes", looked_in())
    } else {
        String::new()
    };
    Problem::new(place, what, mend)
}
