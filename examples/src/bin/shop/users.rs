//! The service `Users`, from `users.proto`.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rpc_core::Status;

use crate::contract::{GetUserRequest, SignUpRequest, User, Users};
use crate::log::{Log, State, word};

/// All users. Line: mark, name.
#[derive(Default)]
pub(crate) struct Directory {
    names: Vec<String>,
    /// The number of the user that was written under a mark.
    marked: HashMap<String, u64>,
}

impl State for Directory {
    fn apply(&mut self, words: &[&str]) {
        if let [mark, name] = *words {
            self.marked.insert(mark.to_owned(), self.names.len() as u64);
            self.names.push(name.to_owned());
        }
    }
}

impl Directory {
    pub(crate) fn count(&self) -> u64 {
        self.names.len() as u64
    }
}

pub(crate) struct UsersInFile {
    log: Log<Directory>,
    signed: AtomicU64,
}

impl UsersInFile {
    pub(crate) fn open(folder: &Path) -> std::io::Result<Self> {
        Ok(Self { log: log(folder)?, signed: AtomicU64::new(0) })
    }
}

pub(crate) fn log(folder: &Path) -> std::io::Result<Log<Directory>> {
    Log::open(folder, "users.log")
}

impl Users for UsersInFile {
    async fn sign_up(&self, request: SignUpRequest) -> Result<User, Status> {
        word("a name", &request.name)?;
        // Which line is ours shows when we read it back.
        let mark = format!("{}-{}", std::process::id(), self.signed.fetch_add(1, Ordering::Relaxed));
        let line = format!("{mark} {}", request.name);
        let id = self.log.append(line, move |directory| directory.marked.get(&mark).copied()).await?;
        let id = id.ok_or_else(|| Status::data_loss("the line that was written is not there"))?;
        Ok(User { id, name: request.name })
    }

    async fn get_user(&self, request: GetUserRequest) -> Result<User, Status> {
        let at = usize::try_from(request.id).unwrap_or(usize::MAX);
        let name = self.log.look(move |directory| directory.names.get(at).cloned()).await?;
        let name = name.ok_or_else(|| Status::not_found(format!("there is no user {}", request.id)))?;
        Ok(User { id: request.id, name })
    }
}
