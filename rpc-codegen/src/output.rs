//! What was generated, in memory: to be written, or to be compared with what is there.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Problem};
use crate::render::MARK;

/// The generated files.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # std::fs::write(folder.path().join("a.proto"), "syntax = \"proto3\"; package a; message M {}").unwrap();
/// let output = rpc_codegen::configure().generate(&[folder.path().join("a.proto")], &[folder.path()])?;
/// assert_eq!(output.files().map(|(name, _)| name).collect::<Vec<_>>(), ["a-json.rs", "a.rs", "mod.rs"]);
/// # Ok::<(), rpc_codegen::Error>(())
/// ```
#[derive(Debug)]
pub struct Output {
    pub(crate) files: BTreeMap<String, String>,
    pub(crate) sources: Vec<PathBuf>,
    pub(crate) descriptor_set: Vec<u8>,
}

impl Output {
    /// Names and contents of the files, by name.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }

    /// The `.proto` files that were read, imported ones too: what a build depends on.
    pub fn sources(&self) -> impl Iterator<Item = &Path> {
        self.sources.iter().map(PathBuf::as_path)
    }

    /// The encoded `google.protobuf.FileDescriptorSet` of these files, with imports and comments.
    pub fn descriptor_set(&self) -> &[u8] {
        &self.descriptor_set
    }

    /// Writes the files into `folder`, which is made if it is not there. A file that has its content already is left
    /// alone, so that its time does not change.
    ///
    /// # Errors
    /// [`Error`] if a file or the folder cannot be written.
    pub fn write_to(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder).map_err(|error| broken(folder, "made", &error))?;
        for (name, text) in &self.files {
            write(&folder.join(name), text.as_bytes())?;
        }
        Ok(())
    }

    /// What [`write_to`](Self::write_to) would change in `folder`, one sentence for each file; empty if it is up to
    /// date. A file with our mark that would not be written now is named too.
    ///
    /// # Errors
    /// [`Error`] if a file is there and cannot be read.
    pub fn differences(&self, folder: impl AsRef<Path>) -> Result<Vec<String>, Error> {
        let folder = folder.as_ref();
        let mut out = Vec::new();
        for (name, text) in &self.files {
            let path = folder.join(name);
            match fs::read_to_string(&path) {
                Ok(old) if old == *text => {}
                Ok(old) => out.push(format!(
                    "{} differs, first in line {}",
                    path.display(),
                    first_difference(&old, text)
                )),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    out.push(format!("{} is missing", path.display()));
                }
                Err(error) => return Err(broken(&path, "read", &error)),
            }
        }
        for path in self.stale(folder)? {
            out.push(format!("{} comes from no .proto any more", path.display()));
        }
        Ok(out)
    }

    /// Removes what an earlier run wrote into `folder` and this one did not: files that begin with our mark.
    ///
    /// # Errors
    /// [`Error`] if the folder cannot be read, or a file not removed.
    pub fn remove_stale(&self, folder: impl AsRef<Path>) -> Result<(), Error> {
        for path in self.stale(folder.as_ref())? {
            fs::remove_file(&path).map_err(|error| broken(&path, "removed", &error))?;
        }
        Ok(())
    }

    fn stale(&self, folder: &Path) -> Result<Vec<PathBuf>, Error> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(broken(folder, "read", &error)),
        };
        let mut out = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| broken(folder, "read", &error))?.path();
            let ours = path.extension().is_some_and(|extension| extension == "rs")
                && path.file_name().is_some_and(|name| !self.files.contains_key(&*name.to_string_lossy()))
                && fs::read_to_string(&path).is_ok_and(|text| text.starts_with(MARK));
            if ours {
                out.push(path);
            }
        }
        out.sort();
        Ok(out)
    }
}

/// Writes `content`, unless the file has it already.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), Error> {
    if fs::read(path).is_ok_and(|old| old == content) {
        return Ok(());
    }
    fs::write(path, content).map_err(|error| broken(path, "written", &error))
}

fn broken(path: &Path, what: &str, error: &io::Error) -> Error {
    Problem::new(path.display().to_string(), format!("cannot be {what}: {error}"), "").into()
}

fn first_difference(old: &str, new: &str) -> usize {
    old.lines().zip(new.lines()).take_while(|(old, new)| old == new).count() + 1
}
