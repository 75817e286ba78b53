//! What becomes of it when there is much of something: calls, connections, bytes, or patience needed.
//!
//! ```text
//! cargo bench -p benches --bench scale                      all tables, some minutes
//! cargo bench -p benches --bench scale -- --list            their names
//! cargo bench -p benches --bench scale -- --only memory     some of them
//! ```
//!
//! Method and options are those of the benchmark `limit`.

use benches::Result;
use benches::cell::{self, Cell, Shape, Work};
use benches::memory;
use benches::options::Options;
use benches::rounds::{self, Rounds};
use benches::table::{Goal, Table, judge, thousands};

const MIB: usize = 1024 * 1024;

fn main() -> Result<()> {
    if cell::run_if_child()? {
        return Ok(());
    }
    let options = Options::from_args()?;
    type Make = fn(&Options) -> Result<Table>;
    let tables: [(&str, &str, Make); 7] = [
        ("in flight", "calls in flight on one connection, 64 B, two processes, a core each", in_flight),
        (
            "connections",
            "connections, 64 B, 128 calls in flight over all of them, two processes, a core each",
            connections,
        ),
        (
            "workers",
            "worker threads of the server, 64 B, 128 calls in flight, 4 connections, two processes that share two cores",
            workers,
        ),
        ("memory", "resident memory of an idle connection at the server", memory),
        (
            "large beside small",
            "64 B calls (16 in flight) while 64 MiB bodies are echoed on the same connection, two processes, a core each",
            large_beside_small,
        ),
        (
            "streams beside small",
            "64 B calls (16 in flight) while streams of 64 B items are read on the same connection, two processes, a core each",
            beside_streams,
        ),
        (
            "slow reader",
            "64 B calls (16 in flight) while another client asks for 64 KiB sixteen at a time and reads 1 MiB a second, two processes, a core each",
            slow_reader,
        ),
    ];
    for (name, words, make) in tables {
        if options.wants(name) {
            println!("{words}\n\n{}", make(&options)?);
        }
    }
    Ok(())
}

/// The columns of every closed loop.
fn columns(result: &Rounds) -> [String; 6] {
    [
        thousands(result.median("rate").round()),
        thousands(result.least("rate").round()),
        thousands(result.most("rate").round()),
        format!("{:.1}", result.median("p50")),
        format!("{:.1}", result.median("p99")),
        format!("{:.2}", result.median("cpu")),
    ]
}

fn row(table: &mut Table, first: [String; 2], result: &Rounds, last: Vec<String>) {
    let mut cells = first.to_vec();
    cells.extend(columns(result));
    cells.extend(last);
    table.cells(cells);
}

fn in_flight(options: &Options) -> Result<Table> {
    let loads = [1, 4, 16, 64, 256, 1_024, 4_096, 10_000];
    let mut table = Table::new([
        "in flight",
        "who",
        "calls/s",
        "least",
        "most",
        "p50 µs",
        "p99 µs",
        "CPU µs",
        "of the peak",
        "goal",
    ]);
    for peer in options.peers(&["courier", "raw-spawn"]) {
        let cells = loads.map(|in_flight| Cell {
            in_flight,
            millis: options.millis(),
            ..Cell::new(peer, Shape::TwoProcesses)
        });
        let results = rounds::run(&cells, options.rounds())?;
        let mut peak: f64 = 0.0;
        for (in_flight, result) in loads.into_iter().zip(&results) {
            peak = peak.max(result.median("rate"));
            let share = result.median("rate") / peak;
            let goal = (peer == "courier").then_some(Goal::AtLeast(0.8));
            let last = vec![format!("{share:.2}"), judge(goal, share)];
            row(&mut table, [thousands(in_flight as f64), peer.to_owned()], result, last);
        }
    }
    Ok(table)
}

fn connections(options: &Options) -> Result<Table> {
    let mut table = Table::new([
        "connections",
        "who",
        "calls/s",
        "least",
        "most",
        "p50 µs",
        "p99 µs",
        "CPU µs",
        "of one",
    ]);
    let counts = [1, 2, 4];
    for peer in options.peers(&["courier", "raw-spawn"]) {
        let cells = counts.map(|connections| Cell {
            connections,
            millis: options.millis(),
            ..Cell::new(peer, Shape::TwoProcesses)
        });
        let results = rounds::run(&cells, options.rounds())?;
        let one = results.first().map_or(0.0, |result| result.median("rate"));
        for (count, result) in counts.into_iter().zip(&results) {
            let share = format!("{:.2}", result.median("rate") / one);
            row(&mut table, [count.to_string(), peer.to_owned()], result, vec![share]);
        }
    }
    Ok(table)
}

fn workers(options: &Options) -> Result<Table> {
    let mut table =
        Table::new(["workers", "who", "calls/s", "least", "most", "p50 µs", "p99 µs", "CPU µs", "of one"]);
    for peer in options.peers(&["courier", "raw-spawn"]) {
        let cells = [Shape::TwoProcesses, Shape::TwoServerWorkers].map(|shape| Cell {
            connections: 4,
            millis: options.millis(),
            ..Cell::new(peer, shape)
        });
        let results = rounds::run(&cells, options.rounds())?;
        let one = results.first().map_or(0.0, |result| result.median("rate"));
        for (workers, result) in ["1", "2"].into_iter().zip(&results) {
            let share = format!("{:.2}", result.median("rate") / one);
            row(&mut table, [workers.to_owned(), peer.to_owned()], result, vec![share]);
        }
    }
    Ok(table)
}

fn memory(options: &Options) -> Result<Table> {
    memory::table(&options.peers(&["courier", "raw", "raw-spawn"]), &[1_000, 10_000])
}

fn large_beside_small(options: &Options) -> Result<Table> {
    let mut table = Table::new([
        "",
        "who",
        "64 B calls/s",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "MiB/s of 64 MiB bodies",
        "goal",
    ]);
    for peer in options.peers(&["courier", "raw"]) {
        let cell = |in_flight, work| Cell {
            in_flight,
            work,
            millis: options.millis().max(1_000),
            ..Cell::new(peer, Shape::TwoProcesses)
        };
        let cells = [cell(16, Work::Closed), cell(0, Work::Bulk(64 * MIB)), cell(16, Work::Bulk(64 * MIB))];
        let results = rounds::run(&cells, options.rounds())?;
        let [small, bulk, both] = &results[..] else { return Err("a cell is missing".into()) };
        let more = both.median("p99") - small.median("p99");
        let share = both.median("bulk") / bulk.median("bulk");
        let judged = format!(
            "p99 {more:+.0} µs, {}; {share:.2} of the bulk alone, {}",
            Goal::AtMost(500.0).judge(more),
            Goal::AtLeast(0.5).judge(share)
        );
        for (name, result, judged) in
            [("small alone", small, None), ("large alone", bulk, None), ("both", both, Some(judged))]
        {
            let figure = |name: &str, show: fn(f64) -> String| match result.median(name) {
                0.0 => String::new(),
                figure => show(figure),
            };
            let micros = |figure: f64| format!("{figure:.1}");
            table.row([
                name.to_owned(),
                peer.to_owned(),
                figure("rate", |rate| thousands(rate.round())),
                figure("p50", micros),
                figure("p99", micros),
                figure("p999", micros),
                figure("bulk", |bytes| thousands((bytes / MIB as f64).round())),
                judged.filter(|_| peer == "courier").unwrap_or_default(),
            ]);
        }
    }
    Ok(table)
}

/// Closed loops of small calls alone, and beside streams on the same connection.
fn beside_streams(options: &Options) -> Result<Table> {
    let mut table =
        Table::new(["", "who", "64 B calls/s", "least", "most", "p50 µs", "p99 µs", "CPU µs", "goal"]);
    let works = [
        ("alone", Work::Closed),
        ("beside 100 streams", Work::Streams(100)),
        ("beside a slow stream", Work::SlowStreams(1)),
    ];
    for peer in options.peers(&["courier"]) {
        let cells = works.map(|(_, work)| Cell {
            in_flight: 16,
            work,
            millis: options.millis(),
            ..Cell::new(peer, Shape::TwoProcesses)
        });
        let results = rounds::run(&cells, options.rounds())?;
        let alone = results.first().map_or(0.0, |result| result.median("p99"));
        for ((name, work), result) in works.into_iter().zip(&results) {
            let more = result.median("p99") - alone;
            let judged = format!("p99 {more:+.0} µs, {}", Goal::AtMost(500.0).judge(more));
            let last = if work == Work::Closed { String::new() } else { judged };
            row(&mut table, [name.to_owned(), peer.to_owned()], result, vec![last]);
        }
    }
    Ok(table)
}

fn slow_reader(options: &Options) -> Result<Table> {
    let mut table =
        Table::new(["", "who", "64 B calls/s", "least", "most", "p50 µs", "p99 µs", "CPU µs", "of alone"]);
    for peer in options.peers(&["courier", "raw"]) {
        let cells = [Work::Closed, Work::SlowReader(MIB)].map(|work| Cell {
            in_flight: 16,
            work,
            millis: options.millis(),
            ..Cell::new(peer, Shape::TwoProcesses)
        });
        let results = rounds::run(&cells, options.rounds())?;
        let alone = results.first().map_or(0.0, |result| result.median("rate"));
        for (name, result) in ["alone", "beside a slow reader"].into_iter().zip(&results) {
            let share = format!("{:.2}", result.median("rate") / alone);
            row(&mut table, [name.to_owned(), peer.to_owned()], result, vec![share]);
        }
    }
    Ok(table)
}
