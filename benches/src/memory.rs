//! Memory of a server with many connections that have made one call each and were idle for a while.

use std::time::Duration;

use crate::Result;
use crate::cell::{Connections, Server};
use crate::table::{Goal, Table, judge, thousands};

/// What ours may take, in bytes.
const GOAL: Goal = Goal::AtMost(8_192.0);

/// So many connections for each of these.
///
/// # Errors
/// If a server or its connections cannot be made.
pub fn table(peers: &[&str], counts: &[usize]) -> Result<Table> {
    let mut table = Table::new(["connections", "who", "bytes each", "goal"]);
    for &count in counts {
        for &peer in peers {
            let server = Server::start(peer, 1, None)?;
            let before = resident(server.process())?;
            let connections = Connections::make(peer, server.address, count)?;
            // Buffers go after a second without traffic.
            std::thread::sleep(Duration::from_millis(2_500));
            let after = resident(server.process())?;
            drop(connections);
            let each = (after.saturating_sub(before) as f64 / count as f64).round();
            let goal = (peer == "courier").then_some(GOAL);
            table.row([thousands(count as f64), peer.to_owned(), thousands(each), judge(goal, each)]);
        }
    }
    Ok(table)
}

/// The resident memory of a process, in bytes.
fn resident(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
