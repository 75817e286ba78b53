//! A cell of a table, run in a process of its own: the benchmark starts itself again, with the cell as arguments.
//!
//! So no cell sees the heap, the threads or the sockets of another, and each can be run under callgrind or strace, or
//! pinned to a core.

use std::env;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use crate::Result;
use crate::courier::{Courier, Oneway, Unary, UnaryJson};
use crate::echo::{self, Client, Peer};
use crate::load::{self, Measured};
use crate::raw::{Raw, RawSpawn, RawYield};

/// Set for a child that runs many times slower than it would by itself.
const SLOWED: &str = "COURIER_BENCH_SLOWED";

/// Whether this process runs under callgrind.
pub fn is_slowed() -> bool {
    env::var_os(SLOWED).is_some()
}

/// What to do with whoever is measured.
pub trait Visit {
    /// What comes of it.
    type Output;

    /// Does it.
    fn visit<P: Peer>(self) -> Self::Output;
}

/// Calls `visit` with the one of this name.
///
/// # Errors
/// If there is none of this name.
pub fn with_peer<V: Visit>(name: &str, visit: V) -> Result<V::Output> {
    Ok(match name {
        "courier" => visit.visit::<Courier<Unary>>(),
        "courier-json" => visit.visit::<Courier<UnaryJson>>(),
        "courier-oneway" => visit.visit::<Courier<Oneway>>(),
        "raw" => visit.visit::<Raw>(),
        "raw-spawn" => visit.visit::<RawSpawn>(),
        "raw-yield" => visit.visit::<RawYield>(),
        _ => return Err(format!("nobody is called {name:?}").into()),
    })
}

/// A number of calls, client and server in one thread.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// Who.
    pub peer: String,
    /// Calls at a time.
    pub in_flight: usize,
    /// Calls in all.
    pub calls: usize,
    /// Bytes of payload.
    pub payload: usize,
}

impl Fixed {
    const FLAG: &str = "--fixed";

    /// The command that runs it in a child; behind `under` (`valgrind …`), if that is given.
    ///
    /// # Errors
    /// If this program does not know where it lies.
    pub fn command(&self, under: &[&str]) -> Result<Command> {
        let own = env::current_exe()?;
        let mut command = match under {
            [] => Command::new(own),
            [program, options @ ..] => {
                let mut command = Command::new(program);
                command.args(options).arg(own).env(SLOWED, "1");
                command
            }
        };
        let Self { peer, in_flight, calls, payload } = self;
        command.arg(Self::FLAG).arg(peer).args([in_flight, calls, payload].map(|number| number.to_string()));
        Ok(command)
    }

    /// Runs the cell if this process is a child that was started for one; whether it was.
    ///
    /// # Errors
    /// Whatever the cell's calls give.
    pub fn run_if_child() -> Result<bool> {
        let args: Vec<String> = env::args().skip(1).collect();
        let [flag, peer, in_flight, calls, payload] = &args[..] else { return Ok(false) };
        if flag != Self::FLAG {
            return Ok(false);
        }
        let cell = Self {
            peer: peer.clone(),
            in_flight: in_flight.parse()?,
            calls: calls.parse()?,
            payload: payload.parse()?,
        };
        cell.run()?;
        Ok(true)
    }

    /// Runs it in this process, on this thread.
    ///
    /// # Errors
    /// Whatever its calls give.
    pub fn run(&self) -> Result<()> {
        with_peer(&self.peer, self)?
    }
}

impl Visit for &Fixed {
    type Output = Result<()>;

    fn visit<P: Peer>(self) -> Result<()> {
        let payload = Bytes::from(vec![b'x'; self.payload]);
        runtime(1)?.block_on(async {
            let client = echo::connect::<P>(P::serve().await?).await?;
            load::fixed(&client, &payload, self.in_flight, self.calls).await?;
            // Behind oneway calls this waits until the server has seen them.
            client.call(&payload).await.map(drop)
        })
    }
}

/// How client and server share the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Both in one thread.
    OneThread,
    /// Each in a process with one thread, pinned to a core of its own.
    TwoProcesses,
    /// Both in one process with two worker threads.
    TwoWorkers,
}

impl Shape {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneThread => "one-thread",
            Self::TwoProcesses => "two-processes",
            Self::TwoWorkers => "two-workers",
        }
    }

    /// Its name for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::OneThread => "client and server in one thread",
            Self::TwoProcesses => "two processes, a core each",
            Self::TwoWorkers => "one process, two worker threads",
        }
    }
}

/// Calls for some time, on one connection.
#[derive(Clone, Debug)]
pub struct Timed {
    /// Who.
    pub peer: String,
    /// How client and server share the machine.
    pub shape: Shape,
    /// Bytes of payload.
    pub payload: usize,
    /// Calls at a time.
    pub in_flight: usize,
}

const WARM: Duration = Duration::from_millis(300);
const MEASURE: Duration = Duration::from_millis(1_000);

impl Timed {
    /// Runs it in a child, or in two.
    ///
    /// # Errors
    /// If a child cannot be started, or fails.
    pub fn run_in_child(&self) -> Result<Measured> {
        let Self { peer, shape, payload, in_flight } = self;
        let numbers = [payload, in_flight].map(|number| number.to_string());
        let own = env::current_exe()?;
        let pinned = |core: &str| {
            let mut command = Command::new("taskset");
            command.args(["-c", core]).arg(&own);
            command
        };
        let mut command = match shape {
            Shape::TwoWorkers => Command::new(&own),
            Shape::OneThread | Shape::TwoProcesses => pinned("0"),
        };
        command.args(["--timed", peer, shape.name()]).args(numbers).stdout(Stdio::piped());
        let output = if *shape == Shape::TwoProcesses {
            let mut server = pinned("1").args(["--serve", peer]).stdout(Stdio::piped()).spawn()?;
            let mut address = String::new();
            BufReader::new(server.stdout.as_mut().ok_or("a server without an output")?)
                .read_line(&mut address)?;
            let output = command.arg(address.trim()).output();
            server.kill()?;
            server.wait()?;
            output?
        } else {
            command.output()?
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let figures: Vec<f64> = text.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
        let [rate, p50, p99, p999] = figures[..] else {
            return Err(format!("{self:?} gave {text:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        };
        Ok(Measured { rate, p50, p99, p999 })
    }

    /// Does what the command line says, if this process is such a child; whether it was.
    ///
    /// # Errors
    /// Whatever the cell's calls give.
    pub fn run_if_child() -> Result<bool> {
        let args: Vec<String> = env::args().skip(1).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args[..] {
            ["--serve", peer] => with_peer(peer, Serve)??,
            ["--idle", peer, server, connections] => {
                with_peer(peer, Idle { server: server.parse()?, connections: connections.parse()? })??;
            }
            ["--timed", peer, shape, payload, in_flight, ref server @ ..] => {
                let payload = Bytes::from(vec![b'x'; payload.parse()?]);
                let workers = if shape == Shape::TwoWorkers.name() { 2 } else { 1 };
                let server = server.first().map(|server| server.parse()).transpose()?;
                with_peer(peer, Calls { payload, in_flight: in_flight.parse()?, workers, server })??;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn runtime(workers: usize) -> Result<Runtime> {
    Ok(match workers {
        1 => Builder::new_current_thread().enable_all().build()?,
        _ => Builder::new_multi_thread().worker_threads(workers).enable_all().build()?,
    })
}

/// Serves until it is killed.
struct Serve;

impl Visit for Serve {
    type Output = Result<()>;

    fn visit<P: Peer>(self) -> Result<()> {
        runtime(1)?.block_on(async {
            println!("{}", P::serve().await?);
            std::future::pending().await
        })
    }
}

/// Makes connections, a call on each, and keeps them until it is killed.
struct Idle {
    server: SocketAddr,
    connections: usize,
}

impl Visit for Idle {
    type Output = Result<()>;

    fn visit<P: Peer>(self) -> Result<()> {
        runtime(1)?.block_on(async {
            let mut clients = Vec::new();
            for _ in 0..self.connections {
                clients.push(echo::connect::<P>(self.server).await?);
            }
            println!("connected");
            std::future::pending().await
        })
    }
}

/// Calls for some time, and prints what that gave.
struct Calls {
    payload: Bytes,
    in_flight: usize,
    workers: usize,
    server: Option<SocketAddr>,
}

impl Visit for Calls {
    type Output = Result<()>;

    fn visit<P: Peer>(self) -> Result<()> {
        runtime(self.workers)?.block_on(async {
            let server = match self.server {
                Some(server) => server,
                None => P::serve().await?,
            };
            let client = echo::connect::<P>(server).await?;
            // In a task, so that all of it runs on the workers.
            let calls = tokio::spawn(async move {
                load::timed(&[client], &self.payload, self.in_flight, WARM, MEASURE).await
            });
            let Measured { rate, p50, p99, p999 } = calls.await??;
            println!("{rate} {p50} {p99} {p999}");
            Ok(())
        })
    }
}
