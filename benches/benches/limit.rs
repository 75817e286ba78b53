//! Calls a second, latency, processor time and system calls, beside the limit in the same run.
//!
//! ```text
//! cargo bench -p benches --bench limit                         a few minutes: what matters most
//! cargo bench -p benches --bench limit -- --list               the names of the tables
//! cargo bench -p benches --bench limit -- --only oneway        some of them
//! cargo bench -p benches --bench limit -- --full               every payload and every number of calls in flight
//! cargo bench -p benches --bench limit -- --peers courier,raw-spawn --rounds 1
//! ```
//!
//! Each cell runs in a process of its own. Rounds are interleaved (A B C A B C), so that a noisy minute hits everybody;
//! what is shown is the median of the rounds, with least and most.

use benches::Result;
use benches::cell::{self, Cell, Shape, Work};
use benches::fixed::{Fixed, Load};
use benches::load::streams::Direction;
use benches::options::Options;
use benches::rounds::{self, Rounds};
use benches::table::{Goal, Table, judge, thousands};

/// Payload, calls in flight, connections.
type Point = (usize, usize, usize);

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// What matters most, for each shape.
const SOME: &[Point] =
    &[(64, 1, 1), (64, 16, 1), (64, 128, 1), (64, 128, 4), (KIB, 128, 1), (64 * KIB, 16, 1), (MIB, 4, 1)];

const ALL: &[Point] = &[
    (64, 1, 1),
    (64, 16, 1),
    (64, 128, 1),
    (64, 1024, 1),
    (64, 128, 4),
    (64, 1024, 4),
    (KIB, 1, 1),
    (KIB, 16, 1),
    (KIB, 128, 1),
    (KIB, 1024, 1),
    (KIB, 128, 4),
    (64 * KIB, 1, 1),
    (64 * KIB, 16, 1),
    (64 * KIB, 128, 1),
    (64 * KIB, 16, 4),
    (MIB, 1, 1),
    (MIB, 4, 1),
    (MIB, 16, 1),
    (MIB, 16, 4),
];

fn main() -> Result<()> {
    if Fixed::run_if_child()? || cell::run_if_child()? {
        return Ok(());
    }
    let options = Options::from_args()?;
    for shape in [Shape::OneThread, Shape::TwoProcesses, Shape::TwoWorkers] {
        if options.wants(&format!("unary, {}", shape.name())) {
            println!("unary, {}\n\n{}", shape.words(), unary(shape, &options)?);
        }
    }
    if options.wants("oneway and streaming") {
        println!("messages without an answer, and items of streams, one sender\n\n{}", messages(&options)?);
    }
    if options.wants("syscalls") {
        println!("system calls per call, client and server together\n\n{}", system_calls(&options)?);
    }
    Ok(())
}

/// What ours is to be, as a share of somebody else's in the same run: of whom, of which figure.
fn goal(
    shape: Shape,
    (payload, in_flight, connections): Point,
) -> Option<(&'static str, &'static str, Goal)> {
    Some(match (shape, payload, in_flight, connections) {
        (Shape::OneThread, 64, 128, 1) => ("raw-spawn", "rate", Goal::AtLeast(0.5)),
        (Shape::TwoProcesses, 64, 128, 1) => ("raw-spawn", "rate", Goal::AtLeast(0.65)),
        (Shape::OneThread, 64, 1, 1) => ("raw", "p50", Goal::AtMost(1.15)),
        (Shape::TwoWorkers, 64, 1, 1) => ("raw", "p50", Goal::AtMost(1.25)),
        // 45 k calls a second beside raw's 26 k.
        (Shape::OneThread, 65_536, 16, 1) => ("raw", "rate", Goal::AtLeast(1.73)),
        (Shape::OneThread | Shape::TwoProcesses, 1_048_576, ..) => ("raw", "rate", Goal::AtLeast(0.8)),
        _ => return None,
    })
}

fn unary(shape: Shape, options: &Options) -> Result<Table> {
    let mut table = Table::new([
        "payload, in flight, connections",
        "who",
        "calls/s",
        "least",
        "most",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "CPU µs",
        "of raw-spawn",
        "goal",
    ]);
    for &load in if options.full { ALL } else { SOME } {
        let (payload, in_flight, connections) = load;
        let peers = options.peers(match (shape, payload) {
            // What each limit does best is shown too, where it is better than the plain one.
            (_, 65_536..) => &["courier", "raw", "raw-spawn", "raw-large"],
            (Shape::OneThread, _) if in_flight == 1 => &["courier", "raw", "raw-spawn", "raw-timer"],
            (Shape::TwoWorkers, _) => &["courier", "raw", "raw-spawn", "raw-yield"],
            _ => &["courier", "raw", "raw-spawn"],
        });
        let cells: Vec<Cell> = peers
            .iter()
            .map(|peer| Cell {
                payload,
                in_flight,
                connections,
                millis: options.millis(),
                ..Cell::new(peer, shape)
            })
            .collect();
        let results = rounds::run(&cells, options.rounds())?;
        let of =
            |name: &str| peers.iter().position(|peer| *peer == name).and_then(|place| results.get(place));
        for (peer, result) in peers.iter().zip(&results) {
            let rate = result.median("rate");
            let share = |whole: &Rounds, figure| result.median(figure) / whole.median(figure);
            let judged =
                goal(shape, load).filter(|_| *peer == "courier").and_then(|(whole, figure, goal)| {
                    let share = share(of(whole)?, figure);
                    let words = if figure == "rate" { "" } else { "p50 " };
                    Some(format!("{words}{share:.2} of {whole}, {}", goal.judge(share)))
                });
            table.row([
                format!("{} B, {in_flight}, {connections}", thousands(payload as f64)),
                (*peer).to_owned(),
                thousands(rate.round()),
                thousands(result.least("rate").round()),
                thousands(result.most("rate").round()),
                format!("{:.1}", result.median("p50")),
                format!("{:.1}", result.median("p99")),
                format!("{:.1}", result.median("p999")),
                format!("{:.2}", result.median("cpu")),
                of("raw-spawn").map_or_else(String::new, |whole| format!("{:.2}", share(whole, "rate"))),
                judged.unwrap_or_default(),
            ]);
        }
    }
    Ok(table)
}

/// Messages without an answer, and items of streams: all beside raw's messages without an answer.
fn messages(options: &Options) -> Result<Table> {
    let mut table = Table::new(["64 B", "who", "a second", "least", "most", "of raw's messages", "goal"]);
    let rows = [
        ("messages", "raw", Work::Oneway),
        ("messages", "courier", Work::Oneway),
        ("items to the server", "courier", Work::Items(Direction::Up)),
        ("items to the client", "courier", Work::Items(Direction::Down)),
    ];
    for shape in [Shape::OneThread, Shape::TwoProcesses] {
        let cells =
            rows.map(|(_, peer, work)| Cell { work, millis: options.millis(), ..Cell::new(peer, shape) });
        let results = rounds::run(&cells, options.rounds())?;
        let limit = results.first().map_or(0.0, |raw| raw.median("rate"));
        for ((what, peer, _), result) in rows.into_iter().zip(&results) {
            let share = result.median("rate") / limit;
            let goal = (peer == "courier").then_some(Goal::AtLeast(0.2));
            table.row([
                format!("{what}, {}", shape.words()),
                peer.to_owned(),
                thousands(result.median("rate").round()),
                thousands(result.least("rate").round()),
                thousands(result.most("rate").round()),
                format!("{share:.2}"),
                judge(goal, share),
            ]);
        }
    }
    Ok(table)
}

/// System calls per call: the difference of two runs under strace.
fn system_calls(options: &Options) -> Result<Table> {
    let mut table = Table::new(["payload, in flight", "who", "system calls per call", "goal"]);
    for (payload, in_flight, most) in [(64, 1, 7.0), (64, 64, 0.3), (KIB, 64, 0.3)] {
        for peer in options.peers(&["courier", "raw", "raw-spawn"]) {
            let count = |calls: usize| {
                let cell = Fixed { peer: peer.to_owned(), load: Load::Calls(in_flight), calls, payload };
                let output = cell.command(&["strace", "-f", "-c", "-q"])?.output().map_err(|error| {
                    format!("strace could not be started ({error}); install it: apt-get install strace")
                })?;
                let text = String::from_utf8_lossy(&output.stderr);
                let total = text.lines().rev().find(|line| line.trim_end().ends_with("total"));
                let columns: Vec<&str> = total.ok_or("strace gave no total")?.split_whitespace().collect();
                Result::<f64>::Ok(columns.get(3).ok_or("no count")?.parse()?)
            };
            let (few, many) = (64 * 20, 64 * 100);
            let per_call = (count(many)? - count(few)?) / (many - few) as f64;
            let per_call = (per_call * 100.0).round() / 100.0;
            let goal = (peer == "courier").then_some(Goal::AtMost(most));
            table.row([
                format!("{} B, {in_flight}", thousands(payload as f64)),
                peer.to_owned(),
                format!("{per_call:.2}"),
                judge(goal, per_call),
            ]);
        }
    }
    Ok(table)
}
