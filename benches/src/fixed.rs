//! A number of calls in a process of its own, client and server in one thread: what callgrind and strace look at.
//!
//! The benchmark starts itself again, with the cell as arguments.

use std::env;
use std::process::Command;

use bytes::Bytes;

use crate::Result;
use crate::echo::{self, Peer};
use crate::load::fixed;
use crate::peer::{Visit, with_peer};

/// Set for a child that runs many times slower than it would by itself.
const SLOWED: &str = "COURIER_BENCH_SLOWED";

/// Whether this process runs under callgrind.
pub fn is_slowed() -> bool {
    env::var_os(SLOWED).is_some()
}

/// The number of calls in flight that stands for messages without an answer: of those one is sent after the other.
pub const ONEWAY: usize = 0;

/// A number of calls.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// Who.
    pub peer: String,
    /// Calls at a time; [`ONEWAY`] for messages without an answer.
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
        match crate::cost::with_variant(&cell.peer, &cell) {
            Some(result) => result?,
            None => with_peer(&cell.peer, &cell)??,
        }
        Ok(true)
    }
}

impl Visit for &Fixed {
    type Output = Result<()>;

    fn visit<P: Peer>(self) -> Result<()> {
        let payload = Bytes::from(vec![b'x'; self.payload]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = echo::connect::<P>(P::serve().await?).await?;
            match self.in_flight {
                ONEWAY => fixed::messages(&client, &payload, self.calls).await,
                in_flight => fixed::calls(&client, &payload, in_flight, self.calls).await,
            }
        })
    }
}
