//! The options of a run, and the run itself.

use std::collections::HashSet;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};

use prost_build::Config;

use crate::error::{Error, Problem};
use crate::externs::Externs;
use crate::output::{self, Output};
use crate::{check, message, package, policy, render, schema, select, service, shorten};

/// Options, and then [`compile`](Self::compile). Made by [`configure`](crate::configure).
///
/// A `path` names things of the .proto: `.shop.v1.Product` a message and all in it, `.shop.v1.Product.title` a field,
/// `.shop` a package, `.` everything; without the first dot it is matched at the end of the full name.
pub struct Builder {
    config: Config,
    externs: Vec<(String, String)>,
    codecs: Vec<String>,
    out_dir: Option<PathBuf>,
    include_file: String,
    descriptor_set: Option<PathBuf>,
    enum_prefix: bool,
}

impl Default for Builder {
    fn default() -> Self {
        let mut config = Config::new();
        config.prost_path(shorten::PROST);
        // Not to have them compiled: so that prost-build leaves it to us where they are.
        config.compile_well_known_types();
        Self {
            config,
            externs: Vec::new(),
            codecs: vec!["Protobuf".to_owned(), "Json".to_owned()],
            out_dir: None,
            include_file: "mod.rs".to_owned(),
            descriptor_set: None,
            enum_prefix: false,
        }
    }
}

impl Builder {
    /// Where the files go; `OUT_DIR` of the build script if not given.
    #[must_use]
    pub fn out_dir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.out_dir = Some(folder.into());
        self
    }

    /// The name of the file that includes all others; `mod.rs` if not given.
    #[must_use]
    pub fn include_file(mut self, name: impl Into<String>) -> Self {
        self.include_file = name.into();
        self
    }

    /// Also writes the encoded `google.protobuf.FileDescriptorSet`, with imports and comments, to this file.
    #[must_use]
    pub fn file_descriptor_set_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.descriptor_set = Some(path.into());
        self
    }

    /// The codecs of the services, the default one first; `Protobuf` and `Json` if not given. Without `Json`, messages
    /// have no serde traits, and there are no files for them.
    #[must_use]
    pub fn codecs(mut self, codecs: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.codecs = codecs.into_iter().map(Into::into).collect();
        self
    }

    /// Puts an attribute on messages, enums and oneofs: `.type_attribute(".shop", "#[derive(Ord, PartialOrd)]")`.
    #[must_use]
    pub fn type_attribute(mut self, path: impl AsRef<str>, attribute: impl AsRef<str>) -> Self {
        self.config.type_attribute(path, attribute);
        self
    }

    /// Puts an attribute on messages only.
    #[must_use]
    pub fn message_attribute(mut self, path: impl AsRef<str>, attribute: impl AsRef<str>) -> Self {
        self.config.message_attribute(path, attribute);
        self
    }

    /// Puts an attribute on enums and oneofs only.
    #[must_use]
    pub fn enum_attribute(mut self, path: impl AsRef<str>, attribute: impl AsRef<str>) -> Self {
        self.config.enum_attribute(path, attribute);
        self
    }

    /// Puts an attribute on fields, on the variants of oneofs and on those of enums.
    #[must_use]
    pub fn field_attribute(mut self, path: impl AsRef<str>, attribute: impl AsRef<str>) -> Self {
        self.config.field_attribute(path, attribute);
        self
    }

    /// Takes types from elsewhere, and does not generate them: `.extern_path(".shop.v1", "::shop::v1")`.
    ///
    /// `.google.protobuf` is `::rpc_core::proto` unless given here.
    #[must_use]
    pub fn extern_path(mut self, proto: impl Into<String>, rust: impl Into<String>) -> Self {
        self.externs.push((proto.into(), rust.into()));
        self
    }

    /// Makes `bytes::Bytes` of these `bytes` fields, which does not copy what was received; else they are `Vec<u8>`.
    #[must_use]
    pub fn bytes(mut self, paths: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.config.bytes(paths);
        self
    }

    /// Makes a `BTreeMap` of these map fields; else they are `HashMap`.
    #[must_use]
    pub fn btree_map(mut self, paths: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.config.btree_map(paths);
        self
    }

    /// Puts these message fields into a `Box`; recursive ones are in any case.
    #[must_use]
    pub fn boxed(mut self, path: impl AsRef<str>) -> Self {
        self.config.boxed(path);
        self
    }

    /// Leaves the name of an enum in front of its values: `Tone::ToneCasual` for `TONE_CASUAL`, not `Tone::Casual`.
    #[must_use]
    pub fn retain_enum_prefix(mut self) -> Self {
        self.config.retain_enum_prefix();
        self.enum_prefix = true;
        self
    }

    /// Generates from `protos`, looking for them and for what they import in `includes`, and writes the files.
    ///
    /// In a build script it also tells cargo which files to watch.
    ///
    /// # Errors
    /// [`Error`] with all that is wrong with the files, or if the output cannot be written.
    pub fn compile(self, protos: &[impl AsRef<Path>], includes: &[impl AsRef<Path>]) -> Result<(), Error> {
        let build_script = env::var_os("OUT_DIR").map(PathBuf::from);
        let folder = self.out_dir.clone().or_else(|| build_script.clone());
        let descriptor_set = self.descriptor_set.clone();
        let output = self.generate(protos, includes)?;
        let Some(folder) = folder else {
            let mend = "call `out_dir(…)`, or run this from a build script";
            return Err(Problem::new("", "there is no folder to write to: `OUT_DIR` is not set", mend).into());
        };
        output.write_to(folder)?;
        if let Some(path) = descriptor_set {
            output::write(&path, output.descriptor_set())?;
        }
        if build_script.is_some() {
            for source in output.sources() {
                println!("cargo::rerun-if-changed={}", source.display());
            }
        }
        Ok(())
    }

    /// Generates as [`compile`](Self::compile) does, and writes nothing.
    ///
    /// # Errors
    /// [`Error`] with all that is wrong with the files.
    pub fn generate(
        mut self,
        protos: &[impl AsRef<Path>],
        includes: &[impl AsRef<Path>],
    ) -> Result<Output, Error> {
        for codec in &self.codecs {
            if syn::parse_str::<syn::Path>(codec).is_err() {
                let mend = "name a type: `Protobuf`, `Json`, or the path of your own";
                return Err(Problem::new("", format!("`{codec}` is not a codec"), mend).into());
            }
        }
        let externs = Externs::new(std::mem::take(&mut self.externs));
        externs.place(&mut self.config);
        let json = self.codecs.iter().any(|codec| codec == "Json");
        let schema = schema::read(protos, includes)?;
        let selected = select::files(&schema);

        let mut problems = Vec::new();
        for &index in &selected {
            check::types(&schema.files[index], self.enum_prefix, &externs, json, &mut problems);
        }
        if !problems.is_empty() {
            return Err(Error::of(problems));
        }

        let code = message::generate(&mut self.config, &schema, &selected, &externs)?;
        let mut files = Vec::new();
        for (index, code) in selected.into_iter().zip(code) {
            let file = &schema.files[index];
            let reflected = schema.pool.get_file_by_name(file.proto.name());
            let mut traits = Vec::new();
            for ((at, recorded), reflected) in
                (0..).zip(&code.services).zip(reflected.iter().flat_map(|file| file.services()))
            {
                let policies: Vec<_> = (0..)
                    .zip(reflected.methods())
                    .map(|(method, reflected)| {
                        policy::read(&reflected, &file.place(&[6, at, 2, method]), &mut problems)
                    })
                    .collect();
                traits.extend(service::item(file, at, recorded, &policies, &self.codecs, &mut problems));
            }
            files.push((file, code, traits));
        }
        check::names(&files, &mut problems);
        if !problems.is_empty() {
            return Err(Error::of(problems));
        }

        let json = if json { package::json(&files) } else { Default::default() };
        let tree = package::tree(files);
        let root = self.include_file;
        let mut files: std::collections::BTreeMap<_, _> = tree
            .iter()
            .map(|(path, package)| (render::file_name(path, &root), render::package(package)))
            .collect();
        files.extend(json.iter().map(|(path, text)| (render::json_file_name(path, &root), text.clone())));
        let with_json = |path: &[String]| json.contains_key(path);
        let text = render::root(&tree, &root, &with_json);
        files.insert(root, text);
        let mut seen = HashSet::new();
        let sources =
            schema.files.iter().filter_map(|file| file.path.clone()).filter(|path| seen.insert(path.clone()));
        Ok(Output { files, sources: sources.collect(), descriptor_set: schema.encoded })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("config", &self.config)
            .field("externs", &self.externs)
            .field("codecs", &self.codecs)
            .field("out_dir", &self.out_dir)
            .field("include_file", &self.include_file)
            .field("descriptor_set", &self.descriptor_set)
            .field("enum_prefix", &self.enum_prefix)
            .finish()
    }
}
