//! A service in a process of its own, as the tour sees it: it is started, heard, told to drain, killed.

use std::error::Error;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::child;

/// How long a process may take to say what is expected of it.
const PATIENCE: Duration = Duration::from_secs(5);

/// A service in a process of its own. It ends when this is dropped, and when the tour's process ends in whatever way:
/// its standard input is closed then.
pub(crate) struct Process {
    name: String,
    address: String,
    id: u32,
    child: Child,
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a service; the arguments are its name and what it needs to know. It is ready when this is.
    pub(crate) async fn start(args: &[&str]) -> Result<Self, Box<dyn Error>> {
        let name = args.first().copied().unwrap_or_default().to_owned();
        let mut child = Command::new(std::env::current_exe()?)
            .arg(child::ARGUMENT)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let commands = child.stdin.take().ok_or("a process without an input")?;
        let lines = BufReader::new(child.stdout.take().ok_or("a process without an output")?).lines();
        let id = child.id().ok_or("a process without an id")?;
        let mut process = Self { name, address: String::new(), id, child, commands, lines };
        process.address = process.hear("").await?;
        Ok(process)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// The next line with this text in it; others before it are passed over.
    pub(crate) async fn hear(&mut self, text: &str) -> Result<String, Box<dyn Error>> {
        let heard = timeout(PATIENCE, async {
            while let Some(line) = self.lines.next_line().await? {
                if line.contains(text) {
                    return Ok(Some(line));
                }
            }
            Ok::<_, std::io::Error>(None)
        });
        match heard.await {
            Ok(Ok(Some(line))) => Ok(line),
            Ok(Ok(None)) => Err(format!("{} ended without saying {text:?}", self.name).into()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(format!("{} did not say {text:?} within {PATIENCE:?}", self.name).into()),
        }
    }

    /// Tells it to drain within a limit.
    pub(crate) async fn tell_to_drain(&mut self, limit: Duration) -> Result<(), Box<dyn Error>> {
        self.commands.write_all(format!("drain {}\n", limit.as_millis()).as_bytes()).await?;
        Ok(())
    }

    /// Waits for the report of its drain, and for its end.
    pub(crate) async fn report(mut self) -> Result<String, Box<dyn Error>> {
        let report = self.hear("drained").await?;
        timeout(PATIENCE, self.child.wait()).await??;
        Ok(report)
    }

    /// Kills it, without a warning.
    pub(crate) async fn kill(mut self) -> Result<(), Box<dyn Error>> {
        self.child.kill().await?;
        Ok(())
    }
}
