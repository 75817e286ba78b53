//! The same calls as the benchmark `limit`, beside tonic, tarpc and volo-thrift: closed loops, and open loops at the same
//! number of calls a second for all.
//!
//! ```text
//! cargo bench -p benches --features peers --bench peers
//! cargo bench -p benches --features peers --bench peers -- --only open --peers courier,tonic
//! ```

use benches::Result;
use benches::cell::{self, Cell, Shape, Work};
use benches::memory;
use benches::options::Options;
use benches::rounds;
use benches::table::{Goal, Table, thousands};

const PEERS: &[&str] = &["courier", "tarpc", "tonic", "volo-thrift"];

fn main() -> Result<()> {
    if cell::run_if_child()? {
        return Ok(());
    }
    let options = Options::from_args()?;
    for shape in [Shape::OneThread, Shape::TwoProcesses, Shape::TwoWorkers] {
        if options.wants(&format!("closed, {}", shape.name())) {
            println!("{}\n\n{}", shape.words(), closed(shape, &options)?);
        }
    }
    if options.wants("oneway") {
        println!(
            "messages without an answer, 64 B, one sender, two processes, a core each\n\n{}",
            oneway(&options)?
        );
    }
    if options.wants("open") {
        println!(
            "open loop, 64 B, two processes, a core each; latency from the time that a call was due\n\n{}",
            open(&options)?
        );
    }
    if options.wants("memory") {
        println!(
            "resident memory of one of 1,000 idle connections at the server\n\n{}",
            memory::table(&options.peers(PEERS), &[1_000])?
        );
    }
    Ok(())
}

/// How many times as fast as a peer ours is to be.
fn goal(shape: Shape, load: (usize, usize), peer: &str) -> Option<Goal> {
    let times = match (shape, load, peer) {
        (Shape::OneThread, (64, 128), "tarpc") => 2.5,
        (Shape::OneThread, (64, 128), "tonic") => 10.0,
        (Shape::OneThread, (64, 128), "volo-thrift") => 15.0,
        (Shape::TwoProcesses, (64, 128), "tarpc") => 2.0,
        (Shape::TwoProcesses, (64, 128), "volo-thrift") => 6.0,
        (Shape::TwoProcesses, (64, 128), "tonic") => 8.0,
        (Shape::TwoWorkers, (64, 128), "tarpc") => 2.0,
        (Shape::TwoWorkers, (64, 128), "tonic") => 9.0,
        (Shape::OneThread, (65_536, 16), "tarpc") => 1.5,
        _ => return None,
    };
    Some(Goal::AtLeast(times))
}

fn closed(shape: Shape, options: &Options) -> Result<Table> {
    let peers = options.peers(PEERS);
    let mut table = Table::new([
        "payload, in flight",
        "who",
        "calls/s",
        "least",
        "most",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "CPU µs",
        "ours is so many times that",
    ]);
    let some: &[(usize, usize)] = &[(64, 1), (64, 128), (64 * 1024, 16)];
    let all: &[(usize, usize)] =
        &[(64, 1), (64, 16), (64, 128), (64, 1024), (1024, 128), (64 * 1024, 16), (1024 * 1024, 4)];
    for &(payload, in_flight) in if options.full { all } else { some } {
        let cells: Vec<Cell> = peers
            .iter()
            .map(|peer| Cell { payload, in_flight, millis: options.millis(), ..Cell::new(peer, shape) })
            .collect();
        let results = rounds::run(&cells, options.rounds())?;
        let ours = peers.iter().position(|peer| *peer == "courier").and_then(|place| results.get(place));
        for (peer, result) in peers.iter().zip(&results) {
            let rate = result.median("rate");
            let times = ours.filter(|_| *peer != "courier").map(|ours| {
                let times = ours.median("rate") / rate;
                match goal(shape, (payload, in_flight), peer) {
                    Some(goal) => format!("{times:.1}, {}", goal.judge(times)),
                    None => format!("{times:.1}"),
                }
            });
            table.row([
                format!("{} B, {in_flight}", thousands(payload as f64)),
                (*peer).to_owned(),
                thousands(rate.round()),
                thousands(result.least("rate").round()),
                thousands(result.most("rate").round()),
                format!("{:.1}", result.median("p50")),
                format!("{:.1}", result.median("p99")),
                format!("{:.1}", result.median("p999")),
                format!("{:.2}", result.median("cpu")),
                times.unwrap_or_default(),
            ]);
        }
    }
    Ok(table)
}

fn oneway(options: &Options) -> Result<Table> {
    let mut table = Table::new(["who", "messages/s", "least", "most", "ours is so many times that"]);
    let peers = options.peers(&["courier", "volo-thrift"]);
    let cells: Vec<Cell> = peers
        .iter()
        .map(|peer| Cell {
            work: Work::Oneway,
            millis: options.millis(),
            ..Cell::new(peer, Shape::TwoProcesses)
        })
        .collect();
    let results = rounds::run(&cells, options.rounds())?;
    let ours = peers.iter().position(|peer| *peer == "courier").and_then(|place| results.get(place));
    for (peer, result) in peers.iter().zip(&results) {
        let times = ours.filter(|_| *peer != "courier").map(|ours| {
            let times = ours.median("rate") / result.median("rate");
            format!("{times:.1}, {}", Goal::AtLeast(10.0).judge(times))
        });
        table.row([
            (*peer).to_owned(),
            thousands(result.median("rate").round()),
            thousands(result.least("rate").round()),
            thousands(result.most("rate").round()),
            times.unwrap_or_default(),
        ]);
    }
    Ok(table)
}

/// At half and at four fifths of the peak of each who has one, all of them at the same absolute load.
fn open(options: &Options) -> Result<Table> {
    let peers = options.peers(&["courier", "tarpc", "tonic"]);
    let shape = Shape::TwoProcesses;
    let cells: Vec<Cell> =
        peers.iter().map(|peer| Cell { millis: options.millis(), ..Cell::new(peer, shape) }).collect();
    let peaks = rounds::run(&cells, options.rounds())?;
    let mut table = Table::new(["load", "calls/s", "who", "p50 µs", "p99 µs", "p99.9 µs", "answered"]);
    let mut whose: Vec<(&str, f64)> =
        peers.iter().zip(&peaks).map(|(peer, result)| (*peer, result.median("rate"))).collect();
    whose.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    for (peak, rate) in whose {
        for share in [0.5, 0.8] {
            let rate = (rate * share).round();
            let cells: Vec<Cell> = peers
                .iter()
                .map(|peer| Cell {
                    work: Work::Open(rate),
                    millis: options.millis(),
                    ..Cell::new(peer, shape)
                })
                .collect();
            let results = rounds::run(&cells, options.rounds())?;
            for (peer, result) in peers.iter().zip(&results) {
                table.row([
                    format!("{:.0} % of the peak of {peak}", share * 100.0),
                    thousands(rate),
                    (*peer).to_owned(),
                    thousands(result.median("p50")),
                    thousands(result.median("p99")),
                    thousands(result.median("p999")),
                    format!("{:.0} %", result.median("answered") * 100.0),
                ]);
            }
        }
    }
    Ok(table)
}
