//! Calls a second, latency, memory and system calls, beside the limit in the same run.
//!
//! ```text
//! cargo bench -p benches --bench limit               a few minutes: what matters most
//! cargo bench -p benches --bench limit -- --full     every payload and every number of calls in flight
//! cargo bench -p benches --bench limit -- --only two-processes     (one-thread, two-workers, memory, syscalls)
//! cargo bench -p benches --bench limit -- --peers courier,raw-spawn
//! ```
//!
//! Each cell runs in a process of its own. Rounds are interleaved (A B C A B C), so that a noisy minute hits everybody;
//! what is shown is the median of the rounds, with least and most.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use benches::Result;
use benches::child::{Fixed, Shape, Timed};
use benches::load::Measured;
use benches::table::{Table, thousands};

fn main() -> Result<()> {
    if Fixed::run_if_child()? || Timed::run_if_child()? {
        return Ok(());
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let after = |flag: &str| args.iter().position(|arg| arg == flag).and_then(|place| args.get(place + 1));
    let full = args.iter().any(|arg| arg == "--full");
    let only = after("--only").map(String::as_str);
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    let peers: Vec<&str> = after("--peers")
        .map_or_else(|| vec!["courier", "raw", "raw-spawn"], |list| list.split(',').collect());
    let rounds = after("--rounds").and_then(|rounds| rounds.parse().ok()).unwrap_or(if full { 5 } else { 3 });

    let loads: &[(usize, usize)] = if full {
        &[
            (64, 1),
            (64, 16),
            (64, 128),
            (64, 1024),
            (1024, 1),
            (1024, 16),
            (1024, 128),
            (1024, 1024),
            (64 * 1024, 1),
            (64 * 1024, 16),
            (64 * 1024, 128),
            (1024 * 1024, 1),
            (1024 * 1024, 16),
        ]
    } else {
        &[(64, 1), (64, 128), (1024, 128), (64 * 1024, 16)]
    };
    for shape in [Shape::OneThread, Shape::TwoProcesses, Shape::TwoWorkers] {
        if wanted(shape.name()) {
            println!("{}\n{}", shape.words(), throughput(shape, &peers, loads, rounds)?);
        }
    }
    if wanted("syscalls") {
        println!("system calls per call, client and server together\n{}", system_calls(&peers)?);
    }
    if wanted("memory") {
        println!("resident memory of an idle connection at the server, in bytes\n{}", memory(&peers, full)?);
    }
    Ok(())
}

fn throughput(shape: Shape, peers: &[&str], loads: &[(usize, usize)], rounds: usize) -> Result<Table> {
    let mut table = Table::new([
        "payload, in flight",
        "who",
        "calls/s",
        "least",
        "most",
        "p50 µs",
        "p99 µs",
        "of raw-spawn",
    ]);
    for &(payload, in_flight) in loads {
        let mut results: Vec<Vec<Measured>> = vec![Vec::new(); peers.len()];
        for _ in 0..rounds {
            for (peer, results) in peers.iter().zip(&mut results) {
                let cell = Timed { peer: (*peer).to_owned(), shape, payload, in_flight };
                results.push(cell.run_in_child()?);
            }
        }
        let rates: Vec<f64> = results.iter().map(|results| median(results, |result| result.rate)).collect();
        let base = peers.iter().position(|peer| *peer == "raw-spawn").map(|place| rates[place]);
        for ((peer, results), rate) in peers.iter().zip(&results).zip(rates) {
            let least = results.iter().map(|result| result.rate).fold(f64::INFINITY, f64::min);
            let most = results.iter().map(|result| result.rate).fold(0.0, f64::max);
            table.row([
                format!("{} B, {in_flight}", thousands(payload as f64)),
                (*peer).to_owned(),
                thousands(rate.round()),
                thousands(least.round()),
                thousands(most.round()),
                format!("{:.1}", median(results, |result| result.p50)),
                format!("{:.1}", median(results, |result| result.p99)),
                base.map_or_else(String::new, |base| format!("{:.2}", rate / base)),
            ]);
        }
    }
    Ok(table)
}

fn median(results: &[Measured], of: impl Fn(&Measured) -> f64) -> f64 {
    let mut values: Vec<f64> = results.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// System calls per call: the difference of two runs under strace.
fn system_calls(peers: &[&str]) -> Result<Table> {
    let mut table = Table::new(["payload, in flight", "who", "system calls per call"]);
    for (payload, in_flight) in [(64, 1), (64, 64), (1024, 64)] {
        for peer in peers {
            let count = |calls: usize| {
                let cell = Fixed { peer: (*peer).to_owned(), in_flight, calls, payload };
                let output = cell.command(&["strace", "-f", "-c", "-q"])?.output().map_err(|error| {
                    format!("strace could not be started ({error}); install it: apt-get install strace")
                })?;
                let text = String::from_utf8_lossy(&output.stderr);
                let total = text.lines().rev().find(|line| line.trim_end().ends_with("total"));
                let columns: Vec<&str> = total.ok_or("strace gave no total")?.split_whitespace().collect();
                Ok::<f64, Box<dyn std::error::Error + Send + Sync>>(
                    columns.get(3).ok_or("no count")?.parse()?,
                )
            };
            let (few, many) = (64 * 20, 64 * 100);
            let per_call = (count(many)? - count(few)?) / (many - few) as f64;
            let load = format!("{} B, {in_flight}", thousands(payload as f64));
            table.row([load, (*peer).to_owned(), format!("{per_call:.2}")]);
        }
    }
    Ok(table)
}

/// Memory of a server with many connections that have made one call each and then were idle for a while.
fn memory(peers: &[&str], full: bool) -> Result<Table> {
    let mut table = Table::new(["connections", "who", "bytes each"]);
    for connections in if full { vec![1_000, 10_000] } else { vec![1_000] } {
        for peer in peers {
            let (mut server, address) = serve(peer)?;
            let before = resident(server.id())?;
            let mut client = child(&["--idle", peer, &address, &connections.to_string()])?;
            line(&mut client)?;
            // Buffers go after a second without traffic.
            std::thread::sleep(Duration::from_millis(2_500));
            let after = resident(server.id())?;
            for process in [&mut client, &mut server] {
                process.kill()?;
                process.wait()?;
            }
            let each = after.saturating_sub(before) as f64 / connections as f64;
            table.row([thousands(connections as f64), (*peer).to_owned(), thousands(each.round())]);
        }
    }
    Ok(table)
}

fn serve(peer: &str) -> Result<(Child, String)> {
    let mut server = child(&["--serve", peer])?;
    let address = line(&mut server)?;
    Ok((server, address))
}

fn child(args: &[&str]) -> Result<Child> {
    Ok(Command::new(std::env::current_exe()?).args(args).stdout(Stdio::piped()).spawn()?)
}

/// The first line that a child writes.
fn line(child: &mut Child) -> Result<String> {
    let stdout = child.stdout.as_mut().ok_or("a child without an output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.is_empty() { Err("a child ended without a word".into()) } else { Ok(line.trim().to_owned()) }
}

/// The resident memory of a process, in bytes.
fn resident(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
