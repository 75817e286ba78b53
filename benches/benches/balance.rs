//! Balancing policies compared, on paper: a fleet without sockets, on a virtual clock.
//!
//! ```text
//! cargo bench -p benches --bench balance                                   the tables
//! cargo bench -p benches --bench balance -- --plot docs/balancing.svg      and the picture
//! cargo bench -p benches --bench balance -- --picks                        instructions of a pick, by callgrind
//! cargo bench -p benches --bench balance -- --picks --check                fails if one is above its record
//! ```
//!
//! `docs/BALANCING.md` has the figures, and what to read in them.

use std::path::Path;
use std::time::Duration;

use benches::Result;
use benches::fleet::picks;
use benches::fleet::plot::{Axis, Curve, Panel, svg};
use benches::fleet::report::Report;
use benches::fleet::run::{Size, run};
use benches::fleet::scenario::{Policy, Scenario};
use benches::ratchet::{self, Mode};
use benches::table::{Goal, Table, judge, thousands};

/// Who picks among how many, and the goal.
const PICKS: &[(&str, usize, Option<Goal>)] = &[
    ("random", 1_000, None),
    ("weighted_random", 1_000, None),
    ("round_robin", 1_000, None),
    ("weighted_round_robin", 1_000, None),
    ("least_load", 1_000, Some(Goal::AtMost(300.0))),
    ("least_load, failing", 1_000, None),
    ("p2c", 10, None),
    ("p2c", 1_000, Some(Goal::AtMost(300.0))),
    ("p2c, failing", 1_000, None),
    ("consistent_hash", 1_000, None),
];

fn main() -> Result<()> {
    if picks::run_if_child()? {
        return Ok(());
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    if args.iter().any(|arg| arg == "--picks") {
        return show_picks();
    }
    let mut runs = Vec::new();
    for scenario in Scenario::ALL {
        let reports: Vec<(Policy, Report)> = scenario
            .policies()
            .into_iter()
            .map(|policy| {
                let report = run(&policy, scenario, Size::default());
                (policy, report)
            })
            .collect();
        println!("{}\n\n{}", scenario.title(), table(scenario, &reports));
        runs.push((scenario, reports));
    }
    subsets();
    if let Some(place) = args.iter().position(|arg| arg == "--plot") {
        let path = args.get(place + 1).ok_or("--plot takes a path")?;
        // Cargo runs a benchmark in its package's folder; the path is meant from where cargo was called.
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
        std::fs::write(&path, svg(&panels(&runs)))?;
        println!("{} is written", path.display());
    }
    Ok(())
}

fn table(scenario: Scenario, reports: &[(Policy, Report)]) -> Table {
    let special = match scenario {
        Scenario::Slow => "to slow ones",
        Scenario::Failing => "to failing ones",
        Scenario::Zones => "to other zones",
        _ => "key moved",
    };
    let mut table =
        Table::new(["policy", "max/mean", "stdev/mean", "p50 ms", "p99 ms", "p99.9 ms", "failed", special]);
    for (policy, report) in reports {
        let part = match scenario {
            Scenario::Slow | Scenario::Failing => report.to_bad(),
            Scenario::Zones => report.crossed(),
            _ => report.moved(),
        };
        table.cells(row(&policy.to_string(), report, part));
    }
    table
}

fn row(name: &str, report: &Report, part: f64) -> Vec<String> {
    let spread = report.spread();
    let ms = |part| format!("{:.1}", millis(report.quantile(part)));
    vec![
        name.to_owned(),
        format!("{:.2}", spread.most),
        format!("{:.3}", spread.deviation),
        ms(0.5),
        ms(0.99),
        ms(0.999),
        format!("{:.3} %", report.failed() * 100.0),
        format!("{:.2} %", part * 100.0),
    ]
}

/// Ten thousand clients, of which each knows twenty of a thousand servers.
fn subsets() {
    let size = Size { clients: 10_000, calls: 1_000_000, ..Size::default() };
    let mut table = Table::new([
        "policy",
        "max/mean",
        "stdev/mean",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "failed",
        "key moved",
    ]);
    for name in ["random, subset", "least_load, subset", "p2c, subset"] {
        let report = run(&Policy::of(name), Scenario::Steady, size);
        table.cells(row(name, &report, report.moved()));
    }
    println!("10,000 clients with subsets of 20, all servers alike\n\n{table}");
}

fn panels(runs: &[(Scenario, Vec<(Policy, Report)>)]) -> Vec<Panel> {
    let of =
        |wanted: Scenario| runs.iter().find(|(scenario, _)| *scenario == wanted).map(|(_, reports)| reports);
    let mut panels = Vec::new();
    for scenario in [Scenario::Steady, Scenario::Slow, Scenario::Restart] {
        let curves = of(scenario).into_iter().flatten();
        let curves = curves.map(|(policy, report)| Curve { name: policy.to_string(), points: tail(report) });
        panels.push(Panel {
            title: scenario.title().to_owned(),
            x: nines(),
            y: latency(),
            curves: curves.collect(),
        });
    }
    let curves = of(Scenario::Steady).into_iter().flatten().map(|(policy, report)| {
        let loads = report.loads();
        let part = |index: usize| index as f64 / loads.len().max(1) as f64 * 100.0;
        let points = loads.iter().enumerate().step_by(5).map(|(index, load)| (part(index), *load));
        Curve { name: policy.to_string(), points: points.collect() }
    });
    panels.push(Panel {
        title: "load of each server, all alike".to_owned(),
        x: Axis {
            title: "servers, the fullest first (%)".to_owned(),
            range: (0.0, 100.0),
            ticks: [0.0, 25.0, 50.0, 75.0, 100.0].map(|at| (at, format!("{at:.0}"))).to_vec(),
        },
        y: Axis {
            title: "calls, by the mean".to_owned(),
            range: (0.5, 1.75),
            ticks: [0.5, 0.75, 1.0, 1.25, 1.5, 1.75].map(|at| (at, format!("{at}"))).to_vec(),
        },
        curves: curves.collect(),
    });
    panels
}

/// The slowest half of the calls, by how many nines of them are faster: 1 is 90 %, 3 is 99.9 %.
fn tail(report: &Report) -> Vec<(f64, f64)> {
    (3..=40)
        .map(|step| f64::from(step) / 10.0)
        .map(|nines| (nines, millis(report.quantile(1.0 - 10f64.powf(-nines))).log10()))
        .collect()
}

fn nines() -> Axis {
    let ticks = [(0.301, "50"), (1.0, "90"), (2.0, "99"), (3.0, "99.9"), (4.0, "99.99")];
    Axis {
        title: "percentile of the calls".to_owned(),
        range: (0.301, 4.0),
        ticks: ticks.map(|(at, label)| (at, label.to_owned())).to_vec(),
    }
}

fn latency() -> Axis {
    Axis {
        title: "latency (ms)".to_owned(),
        range: (1.0, 3.0),
        ticks: [10.0f64, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]
            .map(|at| (at.log10(), format!("{at:.0}")))
            .to_vec(),
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn show_picks() -> Result<()> {
    let mut table = Table::new(["instructions per pick", "endpoints", "instructions", "goal"]);
    let mut figures = Vec::new();
    for &(policy, endpoints, limit) in PICKS {
        let figure = picks::instructions(policy, endpoints)?;
        table.row([policy.to_owned(), endpoints.to_string(), thousands(figure), judge(limit, figure)]);
        figures.push((format!("{policy}, {endpoints} endpoints"), figure));
    }
    println!("{table}");
    ratchet::hold("picks", &figures, Mode::from_args())
}
