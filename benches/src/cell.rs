//! A cell of a table: a load for some time, in a process of its own, or in two.
//!
//! The benchmark starts itself again, with the cell as arguments. So no cell sees the heap, the threads or the sockets of
//! another, and each can be pinned to a core.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::{Builder, Runtime};

use crate::Result;
use crate::echo::{self, Client, Peer};
use crate::load::streams::{self, Direction};
use crate::load::window::{Times, Window};
use crate::load::{beside, closed, oneway, open};
use crate::peer::{Visit, with_peer};

/// How client and server share the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Both in one thread.
    OneThread,
    /// Each in a process with one thread, pinned to a core of its own.
    TwoProcesses,
    /// Both in one process with two worker threads.
    TwoWorkers,
    /// Two processes, and two worker threads at the server: they share the cores as the system likes.
    TwoServerWorkers,
}

impl Shape {
    const ALL: [Self; 4] = [Self::OneThread, Self::TwoProcesses, Self::TwoWorkers, Self::TwoServerWorkers];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::OneThread => "one-thread",
            Self::TwoProcesses => "two-processes",
            Self::TwoWorkers => "two-workers",
            Self::TwoServerWorkers => "two-server-workers",
        }
    }

    /// Its name for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::OneThread => "client and server in one thread",
            Self::TwoProcesses => "two processes, a core each",
            Self::TwoWorkers => "one process, two worker threads",
            Self::TwoServerWorkers => "two processes, the server with two worker threads",
        }
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Work {
    /// Closed loops.
    Closed,
    /// An open loop, at so many calls a second.
    Open(f64),
    /// Messages without an answer, from one sender.
    Oneway,
    /// Items of streams of this direction, from one sender.
    Items(Direction),
    /// Closed loops, while so many streams are read on the same connection as fast as they come.
    Streams(usize),
    /// Closed loops, while so many streams are read on the same connection, less than a thousand items a second each.
    SlowStreams(usize),
    /// Closed loops, while bodies of so many bytes cross the same connection.
    Bulk(usize),
    /// Closed loops, while another client of the server asks for 64 KiB sixteen at a time, and reads so many bytes a
    /// second.
    SlowReader(usize),
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed:0"),
            Self::Open(rate) => write!(f, "open:{rate}"),
            Self::Oneway => f.write_str("oneway:0"),
            Self::Items(Direction::Up) => f.write_str("items-up:0"),
            Self::Items(Direction::Down) => f.write_str("items-down:0"),
            Self::Streams(count) => write!(f, "streams:{count}"),
            Self::SlowStreams(count) => write!(f, "slow-streams:{count}"),
            Self::Bulk(bytes) => write!(f, "bulk:{bytes}"),
            Self::SlowReader(rate) => write!(f, "slow-reader:{rate}"),
        }
    }
}

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Who.
    pub peer: String,
    /// How client and server share the machine.
    pub shape: Shape,
    /// What is done.
    pub work: Work,
    /// Bytes of payload.
    pub payload: usize,
    /// Calls at a time, over all connections.
    pub in_flight: usize,
    /// Connections.
    pub connections: usize,
    /// How long it is measured, in milliseconds.
    pub millis: u64,
}

/// What a cell gave, by name.
pub type Figures = BTreeMap<String, f64>;

impl Cell {
    /// Unary calls of 64 bytes on one connection.
    pub fn new(peer: &str, shape: Shape) -> Self {
        Self {
            peer: peer.to_owned(),
            shape,
            work: Work::Closed,
            payload: 64,
            in_flight: 128,
            connections: 1,
            millis: 700,
        }
    }

    fn to_args(&self) -> [String; 7] {
        let Self { peer, shape, work, payload, in_flight, connections, millis } = self;
        [
            peer.clone(),
            shape.name().to_owned(),
            work.to_string(),
            payload.to_string(),
            in_flight.to_string(),
            connections.to_string(),
            millis.to_string(),
        ]
    }

    fn from_args(args: &[String]) -> Result<Self> {
        let [peer, shape, work, payload, in_flight, connections, millis] = args else {
            return Err(format!("a cell of {} words", args.len()).into());
        };
        let shape = Shape::ALL.into_iter().find(|one| one.name() == shape).ok_or("no such shape")?;
        let (work, number) = work.split_once(':').ok_or("work without a number")?;
        let work = match work {
            "closed" => Work::Closed,
            "open" => Work::Open(number.parse()?),
            "oneway" => Work::Oneway,
            "items-up" => Work::Items(Direction::Up),
            "items-down" => Work::Items(Direction::Down),
            "streams" => Work::Streams(number.parse()?),
            "slow-streams" => Work::SlowStreams(number.parse()?),
            "bulk" => Work::Bulk(number.parse()?),
            "slow-reader" => Work::SlowReader(number.parse()?),
            _ => return Err(format!("nobody knows the work {work:?}").into()),
        };
        let number = usize::from_str;
        let (payload, in_flight) = (number(payload)?, number(in_flight)?);
        let (connections, millis) = (number(connections)?, millis.parse()?);
        Ok(Self { peer: peer.clone(), shape, work, payload, in_flight, connections, millis })
    }

    /// Runs it in a child, or in two.
    ///
    /// # Errors
    /// If a child cannot be started, or fails.
    pub fn run(&self) -> Result<Figures> {
        let (core, server) = match self.shape {
            Shape::OneThread => (Some("0"), None),
            Shape::TwoWorkers => (None, None),
            Shape::TwoProcesses => (Some("0"), Some(Server::start(&self.peer, 1, Some("1"))?)),
            Shape::TwoServerWorkers => (None, Some(Server::start(&self.peer, 2, None)?)),
        };
        let mut command = child(core)?;
        command.arg("--cell").args(self.to_args());
        if let Some(server) = &server {
            command.args([server.address.to_string(), server.process().to_string()]);
        }
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let figures: Figures = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(name, figure)| Some((name.to_owned(), figure.parse().ok()?)))
            .collect();
        if figures.is_empty() || !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{self:?} ended with {}: {text}{why}", output.status).into());
        }
        Ok(figures)
    }
}

/// Does what the command line says, if this process is a child that was started for a cell; whether it was.
///
/// # Errors
/// Whatever the cell's calls give.
pub fn run_if_child() -> Result<bool> {
    let args: Vec<String> = env::args().skip(1).collect();
    match args.split_first().map(|(flag, rest)| (flag.as_str(), rest)) {
        Some(("--serve", [peer, workers])) => with_peer(peer, Serve { workers: workers.parse()? })??,
        Some(("--idle", [peer, server, connections])) => {
            let idle = Idle { server: server.parse()?, connections: connections.parse()? };
            with_peer(peer, idle)??;
        }
        Some(("--cell", [cell @ .., server, process])) if cell.len() == 7 => {
            let cell = Cell::from_args(cell)?;
            let server = Some((server.parse()?, process.parse()?));
            with_peer(&cell.peer, Run { cell: &cell, server })??;
        }
        Some(("--cell", cell)) => {
            let cell = Cell::from_args(cell)?;
            with_peer(&cell.peer, Run { cell: &cell, server: None })??;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// This program again, pinned to a core if one is given, with as many open files as the system allows.
fn child(core: Option<&str>) -> Result<Command> {
    let mut command = Command::new("sh");
    // Not every soft limit is enough for ten thousand connections, and it can be raised without any privilege.
    let script = "ulimit -n \"$(ulimit -Hn)\" 2>/dev/null; exec \"$@\"";
    command.args(["-c", script, "sh"]);
    if let Some(core) = core {
        command.args(["taskset", "-c", core]);
    }
    command.arg(env::current_exe()?).stdout(Stdio::piped());
    Ok(command)
}

/// A server in a process of its own; ends with this value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it serves.
    pub address: SocketAddr,
}

impl Server {
    /// Starts one, with so many worker threads, pinned to a core if one is given.
    ///
    /// # Errors
    /// If it cannot be started, or ends at once.
    pub fn start(peer: &str, workers: usize, core: Option<&str>) -> Result<Self> {
        let mut child = child(core)?.args(["--serve", peer, &workers.to_string()]).spawn()?;
        let address = line(&mut child)?.parse()?;
        Ok(Self { child, address })
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// Connections of a process of its own, on which nothing happens; end with this value.
#[derive(Debug)]
pub struct Connections(Child);

impl Connections {
    /// Makes so many, with one call on each.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn make(peer: &str, server: SocketAddr, count: usize) -> Result<Self> {
        let mut child = child(None)?;
        let mut child = child.args(["--idle", peer, &server.to_string(), &count.to_string()]).spawn()?;
        line(&mut child)?;
        Ok(Self(child))
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

fn end(child: &mut Child) {
    // One that has ended already is what is wanted.
    let _ = child.kill();
    let _ = child.wait();
}

/// The first line that a child writes.
fn line(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.as_mut().ok_or("a child without an output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.is_empty() { Err("a child ended without a word".into()) } else { Ok(line.trim().to_owned()) }
}

fn runtime(workers: usize) -> Result<Runtime> {
    Ok(match workers {
        1 => Builder::new_current_thread().enable_all().build()?,
        _ => Builder::new_multi_thread().worker_threads(workers).enable_all().build()?,
    })
}

/// Serves until it is killed.
struct Serve {
    workers: usize,
}

impl Visit for Serve {
    type Output = Result<()>;

    fn visit<P: Peer>(self) -> Result<()> {
        runtime(self.workers)?.block_on(async {
            let address = tokio::spawn(P::serve()).await??;
            println!("{address}");
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
            let clients = echo::connect_all::<P>(self.server, self.connections).await?;
            println!("{}", clients.len());
            std::future::pending().await
        })
    }
}

/// Runs a cell, and prints what it gave.
struct Run<'a> {
    cell: &'a Cell,
    /// Where the server is, and its process, if it has one of its own.
    server: Option<(SocketAddr, u32)>,
}

impl Visit for Run<'_> {
    type Output = Result<()>;

    fn visit<P: Peer>(self) -> Result<()> {
        let Self { cell, server } = self;
        let workers = if cell.shape == Shape::TwoWorkers { 2 } else { 1 };
        let (cell, own) = (cell.clone(), std::process::id());
        let figures = runtime(workers)?.block_on(async move {
            let address = match server {
                Some((address, _)) => address,
                None => tokio::spawn(P::serve()).await??,
            };
            let clients = echo::connect_all::<P>(address, cell.connections).await?;
            let times = Times {
                warm: Duration::from_millis(300),
                measure: Duration::from_millis(cell.millis),
                processes: server.map(|(_, process)| process).into_iter().chain([own]).collect(),
            };
            // In a task, so that all of it runs on the workers.
            tokio::spawn(async move { measure::<P>(&cell, address, &clients, &times).await }).await?
        })?;
        for (name, figure) in figures {
            println!("{name} {figure}");
        }
        Ok(())
    }
}

async fn measure<P: Peer>(
    cell: &Cell,
    server: SocketAddr,
    clients: &[P::Client],
    times: &Times,
) -> Result<Figures> {
    let payload = Bytes::from(vec![b'x'; cell.payload]);
    let first = clients.first().ok_or("a cell without a connection")?;
    let window = Window::open(times);
    let phase = window.phase();
    let mut figures = Figures::new();
    let latencies = match cell.work {
        Work::Closed => closed::start(clients, &payload, cell.in_flight, &phase).end().await?,
        Work::Open(rate) => {
            let opened = open::calls(clients, &payload, rate, &phase).await?;
            let share = opened.answered as f64 / opened.latencies.count().max(1) as f64;
            figures.insert("answered".to_owned(), share);
            opened.latencies
        }
        Work::Oneway => {
            let rate = oneway::messages(first, &payload, &phase).await?;
            return Ok(Figures::from([("rate".to_owned(), rate)]));
        }
        Work::Items(direction) => {
            let rate = streams::items(first, &payload, direction, &phase).await?;
            return Ok(Figures::from([("rate".to_owned(), rate)]));
        }
        Work::Streams(count) | Work::SlowStreams(count) => {
            let slow = matches!(cell.work, Work::SlowStreams(_));
            let pause = if slow { Duration::from_millis(1) } else { Duration::ZERO };
            let readers = streams::read(first, &payload, count, pause);
            let small = closed::start(clients, &payload, cell.in_flight, &phase).end().await?;
            readers.end()?;
            small
        }
        Work::Bulk(bytes) => {
            let bulk = beside::bulk(first, Bytes::from(vec![b'y'; bytes]), &phase);
            let small = closed::start(clients, &payload, cell.in_flight, &phase).end().await?;
            figures.insert("bulk".to_owned(), bulk.await??);
            small
        }
        Work::SlowReader(rate) => {
            let slow = P::connect(beside::slow_way(server, rate).await?).await?;
            let large = Bytes::from(vec![b'y'; 64 * 1024]);
            // It never ends in time, and ends with the process.
            let _slow: Vec<_> = (0..16)
                .map(|_| {
                    let (slow, large) = (slow.clone(), large.clone());
                    tokio::spawn(async move { while slow.call(&large).await.is_ok() {} })
                })
                .collect();
            closed::start(clients, &payload, cell.in_flight, &phase).end().await?
        }
    };
    let kept = window.close()?;
    let count = latencies.count();
    let found = latencies.percentiles();
    for (name, figure) in [
        ("rate", count as f64 / kept.elapsed.as_secs_f64()),
        ("cpu", kept.cpu.as_secs_f64() * 1e6 / count.max(1) as f64),
        ("p50", found.p50),
        ("p99", found.p99),
        ("p999", found.p999),
    ] {
        figures.insert(name.to_owned(), figure);
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_survives_the_command_line() {
        let mut cell = Cell::new("courier", Shape::TwoProcesses);
        for work in [
            Work::Closed,
            Work::Open(12_345.5),
            Work::Oneway,
            Work::Items(Direction::Up),
            Work::Items(Direction::Down),
            Work::Streams(100),
            Work::SlowStreams(1),
            Work::Bulk(1 << 26),
            Work::SlowReader(1 << 20),
        ] {
            cell.work = work;
            assert_eq!(Cell::from_args(&cell.to_args()).unwrap(), cell);
        }
        assert!(Cell::from_args(&cell.to_args()[1..]).is_err());
    }
}
