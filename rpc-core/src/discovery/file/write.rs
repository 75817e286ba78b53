//! Files that are there as a whole or not at all.

use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whether a file must outlive the machine's failure, or only the process's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// On the disk before it has its name: else it might be found empty after a power failure.
    Synced,
    /// What it says is worth nothing after a restart of the machine.
    Process,
}

/// The beginning of the names of files that are not whole yet. Nothing that is [encoded](crate::discovery::name::encode)
/// begins with a dot.
pub(crate) const UNFINISHED: &str = ".new-";

/// Writes a file under another name and renames it, so that nobody ever reads half of it.
///
/// # Errors
/// What the file system says; then nothing is left of the attempt, and the file is what it was before.
pub(crate) fn atomically(path: &Path, content: &[u8], durability: Durability) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let folder = path.parent().ok_or_else(|| io::Error::other("a file stands in a folder"))?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Not the file's own name, which may be as long as names can be.
    let unfinished =
        folder.join(format!("{UNFINISHED}{}-{count}-{:08x}", std::process::id(), fastrand::u32(..)));
    let written = std::fs::File::create_new(&unfinished).and_then(|mut file| {
        file.write_all(content)?;
        match durability {
            Durability::Synced => file.sync_all(),
            Durability::Process => Ok(()),
        }
    });
    let renamed = written.and_then(|()| std::fs::rename(&unfinished, path));
    if renamed.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    renamed
}
