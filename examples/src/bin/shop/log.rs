//! The shop's database: files to which all instances append, and which each of them reads from the start.
//!
//! What is true follows from the order of the lines alone, so all instances agree on it, with no lock that one of them
//! could hold while it is killed or stopped. A line is appended by one write, which Linux does whole and in one place.
//! (It is the idea of a replicated log, with the file system in the place of the replication.)

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rpc_core::Status;

/// What follows from the lines that were read.
pub(crate) trait State: Default + Send + 'static {
    /// One more line, as its words. One that is not understood changes nothing.
    fn apply(&mut self, words: &[&str]);
}

/// A file that several processes append to. A clone is the same.
pub(crate) struct Log<S>(Arc<Mutex<Inner<S>>>);

struct Inner<S> {
    appended: File,
    read: File,
    /// What was read of a line that is not whole yet.
    rest: Vec<u8>,
    state: S,
}

impl<S> Clone for Log<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: State> Log<S> {
    /// The file of this name in the folder; it is made if there is none.
    pub(crate) fn open(folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        let appended = OpenOptions::new().append(true).create(true).open(&path)?;
        let inner = Inner { appended, read: File::open(path)?, rest: Vec::new(), state: S::default() };
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    /// Looks at the state after every line that is in the file now.
    pub(crate) async fn look<R, F>(&self, look: F) -> Result<R, Status>
    where
        R: Send + 'static,
        F: FnOnce(&S) -> R + Send + 'static,
    {
        self.run(None, look).await
    }

    /// Appends a line, and looks at the state that it and those before it make. If the future is dropped the line is
    /// appended all the same.
    pub(crate) async fn append<R, F>(&self, line: String, look: F) -> Result<R, Status>
    where
        R: Send + 'static,
        F: FnOnce(&S) -> R + Send + 'static,
    {
        self.run(Some(line), look).await
    }

    async fn run<R, F>(&self, line: Option<String>, look: F) -> Result<R, Status>
    where
        R: Send + 'static,
        F: FnOnce(&S) -> R + Send + 'static,
    {
        let shared = self.0.clone();
        // Files block: not on a thread that others wait for.
        let done = tokio::task::spawn_blocking(move || {
            let mut inner = shared.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(line) = line {
                inner.appended.write_all(format!("{line}\n").as_bytes())?;
            }
            inner.catch_up()?;
            Ok::<_, io::Error>(look(&inner.state))
        });
        match done.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Status::internal(format!("the log: {error}"))),
            Err(error) => Err(Status::internal(format!("the log: {error}"))),
        }
    }
}

impl<S: State> Inner<S> {
    fn catch_up(&mut self) -> io::Result<()> {
        let Self { read, rest, state, .. } = self;
        read.read_to_end(rest)?;
        let whole = rest.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        for line in String::from_utf8_lossy(&rest[..whole]).lines() {
            state.apply(&line.split(' ').collect::<Vec<_>>());
        }
        rest.drain(..whole);
        Ok(())
    }
}

/// A word that can stand in a line.
///
/// # Errors
/// `INVALID_ARGUMENT` if it is empty, long, or has anything but letters, digits, `-` and `_`.
pub(crate) fn word(what: &str, text: &str) -> Result<(), Status> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(fits) {
        let message = format!("{what}: 1 to 64 letters, digits, - and _, not {text:?}");
        return Err(Status::invalid_argument(message));
    }
    Ok(())
}
