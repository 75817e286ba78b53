//! A number of calls in a process of its own, client and server in one thread: what callgrind and strace look at.
//!
//! The benchmark starts itself again, with the cell as arguments.

use std::env;
use std::fmt;
use std::process::Command;
use std::str::FromStr;

use bytes::Bytes;

use crate::Result;
use crate::echo::{self, Client, Peer};
use crate::load::fixed;
use crate::load::streams::{self, Direction};
use crate::peer::{Visit, with_peer};

/// Set for a child that runs many times slower than it would by itself.
const SLOWED: &str = "COURIER_BENCH_SLOWED";

/// Whether this process runs under callgrind.
pub fn is_slowed() -> bool {
    env::var_os(SLOWED).is_some()
}

/// How the calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// So many at a time.
    Calls(usize),
    /// Messages without an answer, one after the other.
    Oneway,
    /// Items of one stream.
    Stream(Direction),
}

impl Load {
    /// Makes so many calls.
    ///
    /// # Errors
    /// Whatever a call gives.
    pub async fn make<C: Client>(self, client: &C, payload: &Bytes, calls: usize) -> Result<()> {
        match self {
            Self::Calls(in_flight) => fixed::calls(client, payload, in_flight, calls).await,
            Self::Oneway => fixed::messages(client, payload, calls).await,
            Self::Stream(direction) => streams::stream(client, payload, direction, calls as u64).await,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Calls(in_flight) => write!(f, "{in_flight} in flight"),
            Self::Oneway => f.write_str("oneway"),
            Self::Stream(Direction::Up) => f.write_str("stream up"),
            Self::Stream(Direction::Down) => f.write_str("stream down"),
        }
    }
}

impl FromStr for Load {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim_end_matches(" in flight").parse();
        match (text, number) {
            ("oneway", _) => Ok(Self::Oneway),
            ("stream up", _) => Ok(Self::Stream(Direction::Up)),
            ("stream down", _) => Ok(Self::Stream(Direction::Down)),
            (_, Ok(in_flight)) => Ok(Self::Calls(in_flight)),
            _ => Err(format!(
                "{text:?} is no load: a number of calls in flight, oneway, stream up, or stream down"
            )),
        }
    }
}

/// A number of calls.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// Who.
    pub peer: String,
    /// How.
    pub load: Load,
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
        let Self { peer, load, calls, payload } = self;
        command.args([Self::FLAG, peer, &load.to_string(), &calls.to_string(), &payload.to_string()]);
        Ok(command)
    }

    /// Runs the cell if this process is a child that was started for one; whether it was.
    ///
    /// # Errors
    /// Whatever the cell's calls give.
    pub fn run_if_child() -> Result<bool> {
        let args: Vec<String> = env::args().skip(1).collect();
        let [flag, peer, load, calls, payload] = &args[..] else { return Ok(false) };
        if flag != Self::FLAG {
            return Ok(false);
        }
        let cell = Self {
            peer: peer.clone(),
            load: load.parse()?,
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
            self.load.make(&client, &payload, self.calls).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_read_as_it_is_shown_and_as_a_bare_number() {
        for load in
            [Load::Calls(64), Load::Oneway, Load::Stream(Direction::Up), Load::Stream(Direction::Down)]
        {
            assert_eq!(load.to_string().parse(), Ok(load));
        }
        assert_eq!("1".parse(), Ok(Load::Calls(1)));
        assert!("much".parse::<Load>().unwrap_err().contains("no load"));
    }
}
