//! [`Process`]: a process of its own that registers, to be killed and stopped.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::{Etcd, SERVICE};

/// The example `register`, as a process.
pub(crate) struct Process(Child);

impl Process {
    /// Starts it, and waits until it is registered.
    pub(crate) async fn start(etcd: &Etcd, address: &str) -> Self {
        // target/debug/deps/etcd-… and target/debug/examples/register
        let mut path = std::env::current_exe().unwrap();
        path.pop();
        path.pop();
        path.push("examples/register");
        let mut child = Command::new(&path)
            .args([&etcd.endpoint(), SERVICE, address])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}: cargo build -p registry-etcd --examples", path.display())
            });
        let output = child.stdout.take().unwrap();
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).map(|_| line)
        });
        assert_eq!(super::soon("registering", line).await.unwrap().unwrap(), "registered\n");
        Self(child)
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    pub(crate) fn stop(&self) {
        super::signal(self.0.id(), "STOP");
    }

    pub(crate) fn go_on(&self) {
        super::signal(self.0.id(), "CONT");
    }

    /// Lets it end by itself, and waits for that.
    pub(crate) async fn end(mut self) {
        drop(self.0.stdin.take());
        super::until("it ends", async || self.0.try_wait().unwrap().is_some()).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
