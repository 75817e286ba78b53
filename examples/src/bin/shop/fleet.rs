//! The shop's processes: this program, started again with a hidden argument. Adds them, drains them, kills and stops them.
//!
//! None of them outlives this one: each ends when its standard input does, and who stops one has also arranged for its
//! going on.

use std::error::Error;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::instance;

/// How long to wait for what a process does at once, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Done<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// All processes that run or ran.
pub(crate) struct Fleet {
    folder: PathBuf,
    etcd: Option<String>,
    seats: Arc<Mutex<Vec<Arc<Seat>>>>,
}

/// What is known of an instance.
pub(crate) struct Seat {
    pub(crate) service: &'static str,
    pub(crate) number: usize,
    heard: watch::Receiver<Heard>,
    state: watch::Sender<State>,
}

/// How an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Runs,
    Drains,
    Stopped,
    Killed,
    Gone,
}

/// What a process has said.
#[derive(Clone, Debug, Default)]
struct Heard {
    address: Option<String>,
    calls: u64,
    report: Option<String>,
}

/// An instance, to do something with. Dropping it kills the process.
pub(crate) struct Instance {
    pub(crate) seat: Arc<Seat>,
    child: Child,
    commands: ChildStdin,
}

impl Fleet {
    pub(crate) fn new(folder: PathBuf, etcd: Option<String>) -> Self {
        Self { folder, etcd, seats: Arc::default() }
    }

    /// All instances so far.
    pub(crate) fn seats(&self) -> Vec<Arc<Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts an instance; waits until it is registered.
    pub(crate) async fn add(&self, service: &'static str) -> Done<Instance> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(instance::ARGUMENT)
            .arg(service)
            .arg(&self.folder)
            .args(&self.etcd)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let commands = child.stdin.take().ok_or("a process without an input")?;
        let output = child.stdout.take().ok_or("a process without an output")?;
        let (tell, heard) = watch::channel(Heard::default());
        tokio::spawn(listen(output, tell));
        let seat = {
            let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
            let number = seats.iter().filter(|seat| seat.service == service).count() + 1;
            let seat = Arc::new(Seat { service, number, heard, state: watch::Sender::new(State::Runs) });
            seats.push(seat.clone());
            seat
        };
        seat.wait("said where it is", |heard| heard.address.is_some()).await?;
        Ok(Instance { seat, child, commands })
    }
}

/// Hears what a process says, until its end.
async fn listen(output: ChildStdout, tell: watch::Sender<Heard>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tell.send_modify(|heard| match line.split_once(' ') {
            Some(("at", address)) => heard.address = Some(address.to_owned()),
            Some(("calls", calls)) => heard.calls = calls.parse().unwrap_or(heard.calls),
            _ => heard.report = Some(line),
        });
    }
}

impl Seat {
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.service, self.number)
    }

    /// How many calls it has got.
    pub(crate) fn calls(&self) -> u64 {
        self.heard.borrow().calls
    }

    pub(crate) fn state(&self) -> State {
        *self.state.borrow()
    }

    /// Waits until it has got so many more calls.
    pub(crate) async fn served(&self, more: u64) -> Done {
        let least = self.calls() + more;
        self.wait("got calls", |heard| heard.calls >= least).await.map(drop)
    }

    async fn wait(&self, what: &str, holds: impl FnMut(&Heard) -> bool) -> Done<Heard> {
        match timeout(PATIENCE, self.heard.clone().wait_for(holds)).await {
            Ok(Ok(heard)) => Ok(heard.clone()),
            Ok(Err(_)) => Err(format!("{} ended before it {what}", self.name()).into()),
            Err(_) => Err(format!("{} has not {what} within {PATIENCE:?}", self.name()).into()),
        }
    }
}

impl Instance {
    /// Lets it end what it has, and go. What it says of that.
    pub(crate) async fn drain(mut self) -> Done<String> {
        self.seat.state.send_replace(State::Drains);
        self.commands.write_all(b"drain\n").await?;
        let heard = self.seat.wait("was drained", |heard| heard.report.is_some()).await?;
        timeout(PATIENCE, self.child.wait()).await??;
        self.seat.state.send_replace(State::Gone);
        Ok(heard.report.unwrap_or_default())
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) -> Done {
        self.seat.state.send_replace(State::Killed);
        self.child.kill().await?;
        Ok(())
    }

    /// `kill -STOP`, and `kill -CONT` after a time, by one command: should this program be killed meanwhile, the process
    /// goes on all the same, and finds that it is alone.
    pub(crate) async fn stop_for(&self, time: Duration) -> Done {
        let id = self.child.id().ok_or("it has ended")?;
        self.seat.state.send_replace(State::Stopped);
        let script = format!("kill -STOP {id} && sleep {} ; kill -CONT {id}", time.as_secs_f64());
        let status = Command::new("sh").arg("-c").arg(script).stdin(Stdio::null()).status().await?;
        self.seat.state.send_replace(State::Runs);
        if status.success() { Ok(()) } else { Err(format!("it could not be stopped: {status}").into()) }
    }
}
