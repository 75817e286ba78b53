//! [`Folder`]: what the folder of a service says, and who in it is alive.
//!
//! Whoever is alive touches its file. When that was is written in the file's time stamp, but that is by the wall clock,
//! which somebody may set. So a reader reckons from when it *saw* the stamp change, by a clock of its own; the stamp's
//! value counts only for what was there before the reader was. Where the clock was set shortly before that, it is wrong
//! about the living until they touch their files again, a third of a lease at most. So nothing is cleared away by it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::discovery::file::TTL;
use crate::discovery::file::write::{self, Durability};
use crate::discovery::instance::Instance;
use crate::discovery::name;
use crate::discovery::record::{MAX_SIZE, Record};
use crate::status::Status;

/// What ends the name of an instance's file.
const ENDING: &str = ".json";

/// Files are looked at one by one at least this often: a touch does not change the folder.
const FULL: Duration = Duration::from_millis(500);

/// After a change the files are looked at for this many turns: a folder's time stamp is too coarse for two changes in a row.
const UNREST: u32 = 3;

/// A dead instance's file stays for this many of its leases more, and half of a file for as long as the longest of them.
const GRACE: u32 = 10;

/// The folder of a service.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    files: BTreeMap<PathBuf, File>,
    skipped: Arc<AtomicU64>,
    /// Its time stamp when it was looked at last.
    stamp: Option<SystemTime>,
    unrest: u32,
    full: Option<Instant>,
    known: Vec<Instance>,
}

#[derive(Debug)]
struct File {
    stamp: (SystemTime, u64),
    /// When the last sign of life was seen.
    seen: Instant,
    /// How old that was then. Nobody can say for what was there before.
    age: Duration,
    /// Nothing for what is no instance.
    content: Option<Content>,
}

#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) record: Record,
    pub(crate) ttl: Duration,
}

/// What a look has brought.
#[derive(Debug, PartialEq)]
pub(crate) struct Scan {
    pub(crate) alive: Vec<Instance>,
    /// Whose files were taken away while they were alive.
    pub(crate) withdrawn: Vec<String>,
}

impl File {
    fn is_silent_for(&self, time: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.seen).saturating_add(self.age) > time
    }

    fn alive(&self, now: Instant) -> Option<&Instance> {
        let content = self.content.as_ref()?;
        (!self.is_silent_for(content.ttl, now)).then_some(&content.record.instance)
    }

    /// Whether it has been of no use for so long that it can go: all of it seen by this reader. By its stamp alone a file
    /// seems old to whoever comes after the wall clock was set forward, and one that is taken away while its owner lives
    /// looks to all others as if that had left.
    fn is_litter(&self, now: Instant) -> bool {
        let ttl = self.content.as_ref().map_or(TTL, |content| content.ttl);
        now.saturating_duration_since(self.seen) > ttl.saturating_mul(1 + GRACE)
    }

    /// Whether its stamp is so far in the future that the wall clock must have been set back since.
    fn is_ahead_of(&self, wall: SystemTime) -> bool {
        let ttl = self.content.as_ref().map_or(TTL, |content| content.ttl);
        self.stamp.0.duration_since(wall).is_ok_and(|ahead| ahead > ttl)
    }
}

impl Folder {
    pub(crate) fn new(path: PathBuf, skipped: Arc<AtomicU64>) -> Self {
        let (files, known) = (BTreeMap::new(), Vec::new());
        Self { path, files, skipped, stamp: None, unrest: UNREST, full: None, known }
    }

    /// What is there, if that may have changed. Blocks.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the folder cannot be read.
    pub(crate) fn look(&mut self, now: Instant, wall: SystemTime) -> Result<Option<Scan>, Status> {
        let stamp = fs::metadata(&self.path).and_then(|folder| folder.modified()).ok();
        if stamp != self.stamp {
            self.stamp = stamp;
            self.unrest = UNREST;
        }
        let first = self.full.is_none();
        if self.unrest == 0 && self.full.is_some_and(|full| now.saturating_duration_since(full) < FULL) {
            return Ok(None);
        }
        self.unrest = self.unrest.saturating_sub(1);
        let scan = match self.scan(now, wall) {
            Ok(scan) => scan,
            Err(status) => {
                // The next success is news, whatever it brings.
                self.full = None;
                return Err(status);
            }
        };
        self.full = Some(now);
        if !first && scan.alive == self.known && scan.withdrawn.is_empty() {
            return Ok(None);
        }
        self.known.clone_from(&scan.alive);
        Ok(Some(scan))
    }

    /// What is there. Blocks.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the folder cannot be read.
    pub(crate) fn scan(&mut self, now: Instant, wall: SystemTime) -> Result<Scan, Status> {
        let mut found = BTreeMap::new();
        for path in self.paths().map_err(|error| self.unreadable(error))? {
            // What is gone in this moment is gone.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let stamp = (metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH), metadata.len());
            let file = match self.files.remove(&path) {
                Some(known) if known.stamp == stamp => known,
                known => {
                    let age = if known.is_some() {
                        Duration::ZERO
                    } else {
                        wall.duration_since(stamp.0).unwrap_or_default()
                    };
                    let content = self.read(&path);
                    File { stamp, seen: now, age, content }
                }
            };
            // Whoever owns it and comes to life again writes it again. What cannot be removed is kept in mind: it would be
            // met as something new the next time.
            if file.is_litter(now) && fs::remove_file(&path).is_ok() {
                continue;
            }
            found.insert(path, file);
        }
        let gone = std::mem::replace(&mut self.files, found);
        let withdrawn =
            gone.values().filter_map(|file| file.alive(now)).map(|instance| instance.id.clone()).collect();
        let alive = self.files.values().filter_map(|file| file.alive(now)).cloned().collect();
        Ok(Scan { alive, withdrawn })
    }

    /// Who is alive, for somebody who looks but once and so sees no signs of life. Blocks.
    ///
    /// A watcher takes who has a stamp in the future for alive until it has been silent for a lease; here that would be
    /// until the clock has caught up, however far it was set back. Whoever lives is missed only up to its next touch.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the folder cannot be read.
    pub(crate) fn list(mut self, now: Instant, wall: SystemTime) -> Result<Vec<Instance>, Status> {
        self.scan(now, wall)?;
        let plausible = self.files.values().filter(|file| !file.is_ahead_of(wall));
        Ok(plausible.filter_map(|file| file.alive(now)).cloned().collect())
    }

    fn paths(&self) -> io::Result<Vec<PathBuf>> {
        match fs::read_dir(&self.path) {
            Ok(entries) => Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect()),
            // Nobody has registered for this service yet; but without the folder above there is no registry.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::metadata(self.path.parent().unwrap_or(&self.path)).map(|_| Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    fn unreadable(&self, error: io::Error) -> Status {
        let folder = self.path.parent().unwrap_or(&self.path);
        Status::unavailable(format!("the registry in {} cannot be read: {error}", folder.display()))
            .with_source(error)
    }

    fn read(&self, path: &Path) -> Option<Content> {
        let name = path.file_name()?.to_str()?;
        if name.starts_with(write::UNFINISHED) {
            // Half of a file that somebody writes, or of one that was killed meanwhile.
            return None;
        }
        let content = name
            .strip_suffix(ENDING)
            .and_then(name::decode)
            .and_then(|id| read(path).ok().filter(|content| content.record.instance.id == id));
        if content.is_none() && path.exists() {
            self.skipped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(path = %path.display(), "not the file of an instance; skipped");
        }
        content
    }
}

/// The name of an instance's file.
pub(crate) fn file_name(id: &str) -> String {
    format!("{}{ENDING}", name::encode(id))
}

/// Reads an instance's file.
///
/// # Errors
/// What the file system says; `InvalidData` for what is none.
pub(crate) fn read(path: &Path) -> io::Result<Content> {
    if fs::metadata(path)?.len() > MAX_SIZE as u64 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let value: Value = serde_json::from_slice(&fs::read(path)?)?;
    let record = Record::from_value(&value).map_err(io::Error::other)?;
    let ttl = value.get("ttl").and_then(Value::as_u64).map_or(TTL, Duration::from_millis);
    Ok(Content { record, ttl: ttl.min(Duration::from_secs(86_400 * 365)) })
}

/// Writes an instance's file.
///
/// # Errors
/// What the file system says.
pub(crate) fn write(path: &Path, record: &Record, ttl: Duration) -> io::Result<()> {
    let mut value = record.to_value();
    if let Value::Object(fields) = &mut value {
        fields.insert("ttl".to_owned(), u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).into());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    write::atomically(path, value.to_string().as_bytes(), Durability::Process)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// A folder, a file in it whose time stamp the test sets, and a reader with a clock.
    struct Bench {
        _root: tempfile::TempDir,
        folder: Folder,
        now: Instant,
        wall: SystemTime,
    }

    impl Bench {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("s");
            fs::create_dir(&path).unwrap();
            let folder = Folder::new(path, Arc::default());
            Self { _root: root, folder, now: Instant::now(), wall: SystemTime::now() }
        }

        /// A reader that has just come.
        fn newcomer(&self) -> Folder {
            Folder::new(self.folder.path.clone(), Arc::default())
        }

        fn path(&self, id: &str) -> PathBuf {
            self.folder.path.join(file_name(id))
        }

        fn write(&self, id: &str) {
            let instance = Instance::new("h:1".parse().unwrap()).with_id(id);
            write(&self.path(id), &Record { instance, epoch: 1 }, secs(6)).unwrap();
            self.touch(id, self.wall);
        }

        fn touch(&self, id: &str, at: SystemTime) {
            fs::File::options().write(true).open(self.path(id)).unwrap().set_modified(at).unwrap();
        }

        /// Both clocks go on.
        fn pass(&mut self, time: Duration) {
            self.now += time;
            self.wall += time;
        }

        fn alive(&mut self) -> String {
            let scan = self.folder.scan(self.now, self.wall).unwrap();
            let ids: Vec<_> = scan.alive.into_iter().map(|instance| instance.id).collect();
            ids.join(" ")
        }
    }

    #[test]
    fn whoever_is_not_touched_for_its_lease_is_dead_until_it_is_touched_again() {
        let mut bench = Bench::new();
        bench.write("a");
        bench.write("b");
        assert_eq!(bench.alive(), "a b");
        bench.pass(secs(4));
        bench.touch("b", bench.wall);
        assert_eq!(bench.alive(), "a b");
        bench.pass(secs(3));
        assert_eq!(bench.alive(), "b");
        bench.touch("a", bench.wall);
        assert_eq!(bench.alive(), "a b");
    }

    #[test]
    fn a_reader_that_comes_late_goes_by_the_time_stamp() {
        let mut bench = Bench::new();
        bench.write("a");
        bench.pass(secs(60));
        bench.write("b");
        assert_eq!(bench.alive(), "b");
    }

    #[test]
    fn nobody_dies_by_a_clock_that_is_set() {
        for jump in [1i64, -1] {
            let mut bench = Bench::new();
            bench.write("a");
            bench.alive();
            let hour = secs(3600);
            bench.wall = if jump > 0 { bench.wall + hour } else { bench.wall - hour };
            assert_eq!(bench.alive(), "a");
            bench.pass(secs(5));
            bench.touch("a", bench.wall);
            assert_eq!(bench.alive(), "a");
            bench.pass(secs(5));
            assert_eq!(bench.alive(), "a");
            bench.pass(secs(5));
            assert_eq!(bench.alive(), "", "but by silence");
        }
    }

    /// A minute is less than the time after which the dead are cleared away, an hour is more.
    #[test]
    fn who_comes_after_the_clock_was_set_forward_takes_nothing_away() {
        for jump in [60, 3600] {
            let mut bench = Bench::new();
            bench.write("a");
            bench.alive();
            let mut newcomer = bench.newcomer();
            bench.wall += secs(jump);
            let scan = newcomer.scan(bench.now, bench.wall).unwrap();
            assert!(scan.alive.is_empty(), "nobody can know better yet");
            assert_eq!(bench.folder.scan(bench.now, bench.wall).unwrap().withdrawn, [""; 0]);
            assert_eq!(bench.alive(), "a");
            bench.pass(secs(2));
            bench.touch("a", bench.wall);
            assert_eq!(newcomer.scan(bench.now, bench.wall).unwrap().alive.len(), 1);
        }
    }

    #[test]
    fn who_was_dead_when_the_clock_was_set_back_does_not_live_until_it_has_caught_up() {
        let mut bench = Bench::new();
        bench.write("dead");
        bench.write("alive");
        bench.pass(secs(60));
        bench.wall -= secs(3600);
        bench.touch("alive", bench.wall);
        let listed = bench.newcomer().list(bench.now, bench.wall).unwrap();
        assert_eq!(listed.iter().map(|instance| &instance.id).collect::<Vec<_>>(), ["alive"]);
        // A watcher finds it out by itself.
        let mut newcomer = bench.newcomer();
        newcomer.scan(bench.now, bench.wall).unwrap();
        bench.pass(secs(7));
        assert!(newcomer.scan(bench.now, bench.wall).unwrap().alive.is_empty());
    }

    #[test]
    fn what_is_taken_away_alive_has_left_and_what_was_dead_is_litter() {
        let mut bench = Bench::new();
        for id in ["a", "b", "c"] {
            bench.write(id);
        }
        bench.alive();
        fs::remove_file(bench.path("a")).unwrap();
        let scan = bench.folder.scan(bench.now, bench.wall).unwrap();
        assert_eq!((scan.alive.len(), scan.withdrawn), (2, vec!["a".to_owned()]));
        bench.pass(secs(7));
        fs::remove_file(bench.path("b")).unwrap();
        let scan = bench.folder.scan(bench.now, bench.wall).unwrap();
        assert_eq!((scan.alive.len(), scan.withdrawn.len()), (0, 0), "a dead one does not leave");
        assert!(bench.path("c").exists());
        bench.pass(secs(60));
        bench.alive();
        assert!(!bench.path("c").exists(), "anybody clears it away");
    }

    #[test]
    fn garbage_is_skipped_and_counted_once() {
        let mut bench = Bench::new();
        bench.write("a");
        let half = bench.folder.path.join(format!("{}1", write::UNFINISHED));
        fs::write(&half, "{").unwrap();
        fs::write(bench.path("empty"), "").unwrap();
        fs::write(bench.path("large"), vec![b' '; MAX_SIZE + 1]).unwrap();
        fs::write(bench.folder.path.join("readme.txt"), "hello").unwrap();
        fs::create_dir(bench.folder.path.join("folder.json")).unwrap();
        fs::copy(bench.path("a"), bench.path("another")).unwrap();
        for _ in 0..3 {
            assert_eq!(bench.alive(), "a");
        }
        assert_eq!(bench.folder.skipped.load(Ordering::Relaxed), 5);
        bench.pass(secs(3600));
        for _ in 0..3 {
            bench.alive();
        }
        assert!(!half.exists(), "halves are cleared away");
        assert_eq!(bench.folder.skipped.load(Ordering::Relaxed), 5, "the folder stays, and is nothing new");
    }

    #[test]
    fn a_look_costs_nothing_while_nothing_changes_and_misses_nothing() {
        let mut bench = Bench::new();
        bench.write("a");
        let look = |bench: &mut Bench| {
            bench.pass(Duration::from_millis(100));
            bench.folder.look(bench.now, bench.wall).unwrap().map(|scan| scan.alive.len())
        };
        assert_eq!(look(&mut bench), Some(1));
        for _ in 0..20 {
            assert_eq!(look(&mut bench), None);
        }
        bench.write("b");
        assert_eq!(look(&mut bench), Some(2));
        for _ in 0..80 {
            look(&mut bench);
        }
        assert_eq!(bench.folder.known.len(), 0, "silence is noticed though the folder does not change");
    }

    #[test]
    fn no_registry_is_an_error_and_an_empty_one_is_none() {
        let root = tempfile::tempdir().unwrap();
        let mut empty = Folder::new(root.path().join("s"), Arc::default());
        let (now, wall) = (Instant::now(), SystemTime::now());
        assert_eq!(empty.look(now, wall).unwrap().unwrap().alive.len(), 0);
        let mut missing = Folder::new(root.path().join("no/s"), Arc::default());
        let error = missing.look(now, wall).unwrap_err();
        assert!(error.message().contains("cannot be read"), "{error}");
    }
}
