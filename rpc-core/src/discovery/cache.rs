//! [`Cache`]: files with the lists that were known last, for a start without the registry.
//!
//! A file is written when a list from the registry was published, and read only when a client starts and its registry
//! cannot be reached. One line says what it is, when it was saved, and what the rest sums up to:
//!
//! ```text
//! courier-instances 1 1700000000000 9ae16a3b2f90404f
//! [{"v":1,"id":"10.0.0.1:7000","address":"10.0.0.1:7000",…},…]
//! ```
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use rpc_core::discovery::{Cache, Instance, Snapshot};
//!
//! let cache = Cache::new(std::env::temp_dir().join(format!("courier-doc-{}", std::process::id())));
//! let snapshot = Snapshot::new([Instance::new("10.0.0.1:7000".parse()?)]);
//! let now = SystemTime::now();
//! cache.save("demo.v1.Greeter", &snapshot, now)?;
//! assert_eq!(cache.load("demo.v1.Greeter", now)?, snapshot);
//! // Tomorrow it is worth nothing any more.
//! assert!(cache.load("demo.v1.Greeter", now + Duration::from_secs(86_401)).is_err());
//! # std::fs::remove_dir_all(cache.folder())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::discovery::file::write;
use crate::discovery::name;
use crate::discovery::record::Record;
use crate::discovery::snapshot::Snapshot;

const MAGIC: &str = "courier-instances";
const VERSION: &str = "1";

/// How many bytes a file may have: some ten thousand instances.
const MAX_SIZE: u64 = 64 << 20;

/// A folder of files with the lists that were known last: see the [module](self). Cheap to clone.
///
/// Processes may share a folder if they ask the same registry: each writes a whole file under a name of its own and
/// renames it, so the last one wins, and no lock can be left behind by a process that was killed.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    max_age: Duration,
}

/// Why a file is of no use.
#[derive(Debug)]
#[non_exhaustive]
pub enum CacheError {
    /// There is none: no list was ever kept.
    Missing(PathBuf),
    /// It could not be read.
    Io(PathBuf, io::Error),
    /// It is older than [allowed](Cache::max_age).
    TooOld {
        /// The file.
        path: PathBuf,
        /// How old it is.
        age: Duration,
        /// How old it may be.
        max_age: Duration,
    },
    /// It is not what was written, or not ours.
    Corrupt(PathBuf, &'static str),
}

impl Cache {
    /// Files in this folder, which is made if it is not there. They are of use for a day.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), max_age: Duration::from_secs(86_400) }
    }

    /// Sets how old a file may be to be of use.
    #[must_use]
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// How long a file is left alone although the registry still says the same.
    pub(crate) fn refresh_after(&self) -> Duration {
        self.max_age / 4
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{}.instances", name::encode(name)))
    }

    /// Keeps this list under this name. It is there as a whole or not at all, whatever happens meanwhile. Blocks.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save(&self, name: &str, snapshot: &Snapshot, now: SystemTime) -> io::Result<()> {
        let records = snapshot
            .instances()
            .iter()
            .map(|instance| Record { instance: instance.clone(), epoch: 0 }.to_value())
            .collect();
        let body = Value::Array(records).to_string();
        let saved = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let sum = checksum(saved, body.as_bytes());
        std::fs::create_dir_all(&self.folder)?;
        write::atomically(
            &self.path(name),
            format!("{MAGIC} {VERSION} {saved} {sum:016x}\n{body}").as_bytes(),
            write::Durability::Synced,
        )
    }

    /// The list that was kept under this name. Blocks.
    ///
    /// # Errors
    /// [`CacheError`]: there is no file, it is too old, it is damaged.
    pub fn load(&self, name: &str, now: SystemTime) -> Result<Snapshot, CacheError> {
        let path = self.path(name);
        let text = match read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(CacheError::Missing(path)),
            Err(error) => return Err(CacheError::Io(path, error)),
        };
        let (saved, body) = match parse(&text) {
            Ok(parsed) => parsed,
            Err(why) => return Err(CacheError::Corrupt(path, why)),
        };
        let saved = UNIX_EPOCH.checked_add(Duration::from_millis(saved)).unwrap_or(now);
        // Saved in the future: a clock was set back. Nothing says that the list is wrong.
        let age = now.duration_since(saved).unwrap_or_default();
        if age > self.max_age {
            return Err(CacheError::TooOld { path, age, max_age: self.max_age });
        }
        let records: Option<Vec<_>> =
            body.iter().map(|value| Record::from_value(value).ok().map(|record| record.instance)).collect();
        records.map(Snapshot::new).ok_or(CacheError::Corrupt(path, "an instance in it cannot be read"))
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    if std::fs::metadata(path)?.len() > MAX_SIZE {
        return Err(io::Error::other("it is too large"));
    }
    std::fs::read(path)
}

fn parse(text: &[u8]) -> Result<(u64, Vec<Value>), &'static str> {
    let at = text.iter().position(|byte| *byte == b'\n').ok_or("its first line does not end")?;
    let (head, body) = (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
    let head = std::str::from_utf8(head).map_err(|_| "its first line is no text")?;
    let mut words = head.split(' ');
    if words.next() != Some(MAGIC) {
        return Err("it was not written by this program");
    }
    if words.next() != Some(VERSION) {
        return Err("it is of another version");
    }
    let saved: u64 =
        words.next().and_then(|word| word.parse().ok()).ok_or("it does not say when it was saved")?;
    let sum = words.next().and_then(|word| u64::from_str_radix(word, 16).ok());
    if sum != Some(checksum(u128::from(saved), body)) {
        return Err("its checksum is wrong");
    }
    match serde_json::from_slice(body) {
        Ok(Value::Array(values)) => Ok((saved, values)),
        _ => Err("it is no list"),
    }
}

/// FNV-1a over the time and the list: against damage, not against malice, for whoever can write the file can do all.
fn checksum(saved: u128, body: &[u8]) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = saved.to_le_bytes().into_iter().fold(0xcbf2_9ce4_8422_2325, step);
    body.iter().copied().fold(hash, step)
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "no list was kept in {}", path.display()),
            Self::Io(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
            Self::TooOld { path, age, max_age } => {
                write!(
                    f,
                    "{} is {} s old, {} s are allowed",
                    path.display(),
                    age.as_secs(),
                    max_age.as_secs()
                )
            }
            Self::Corrupt(path, why) => write!(f, "{} is damaged: {why}", path.display()),
        }
    }
}

impl std::error::Error for CacheError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            Self::Missing(_) | Self::TooOld { .. } | Self::Corrupt(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::instance::Instance;

    #[test]
    fn a_damaged_file_is_never_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let (now, path) = (SystemTime::now(), cache.path("a"));
        let snapshot = Snapshot::new([Instance::new("h:1".parse().unwrap())]);
        assert!(matches!(cache.load("a", now), Err(CacheError::Missing(_))));
        cache.save("a", &snapshot, now).unwrap();
        assert_eq!(cache.load("a", now).unwrap(), snapshot);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 0x10;
            std::fs::write(&path, &wrong).unwrap();
            assert!(matches!(cache.load("a", now), Err(CacheError::Corrupt(..))), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(matches!(cache.load("a", now), Err(CacheError::Corrupt(..))), "{at} bytes");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_file_old() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
        cache.save("a", &Snapshot::default(), now + hour).unwrap();
        assert!(cache.load("a", now).is_ok());
        assert!(cache.load("a", now + hour * 26).is_err());
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        cache.save("a/b", &Snapshot::default(), SystemTime::now()).unwrap();
                        assert!(cache.load("a/b", SystemTime::now()).is_ok());
                    }
                });
            }
        });
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1, "{files:?}");
    }
}
