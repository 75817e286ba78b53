//! A cell of a table, run in a process of its own: the benchmark starts itself again, with the cell as arguments.
//!
//! So no cell sees the heap, the threads or the sockets of another, and each can be run under callgrind or strace, or
//! pinned to a core.

use std::env;
use std::process::Command;

use bytes::Bytes;

use crate::Result;
use crate::courier::{Courier, Oneway, Unary, UnaryJson};
use crate::echo::{self, Client, Peer};
use crate::load;
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
    #[cfg(feature = "peers")]
    use crate::peers::{Tarpc, Tonic};

    Ok(match name {
        "courier" => visit.visit::<Courier<Unary>>(),
        "courier-json" => visit.visit::<Courier<UnaryJson>>(),
        "courier-oneway" => visit.visit::<Courier<Oneway>>(),
        "raw" => visit.visit::<Raw>(),
        "raw-spawn" => visit.visit::<RawSpawn>(),
        "raw-yield" => visit.visit::<RawYield>(),
        #[cfg(feature = "peers")]
        "tonic" => visit.visit::<Tonic>(),
        #[cfg(feature = "peers")]
        "tarpc" => visit.visit::<Tarpc>(),
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = echo::connect::<P>(P::serve().await?).await?;
            load::fixed(&client, &payload, self.in_flight, self.calls).await?;
            // Behind oneway calls this waits until the server has seen them.
            client.call(&payload).await.map(drop)
        })
    }
}
