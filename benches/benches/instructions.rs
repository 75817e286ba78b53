//! User-space instructions per call, client and server together, by callgrind.
//!
//! ```text
//! cargo bench -p benches --bench instructions                        the tables
//! cargo bench -p benches --bench instructions -- --check             fails if a figure is above its record
//! cargo bench -p benches --bench instructions -- --record            lowers the records
//! cargo bench -p benches --bench instructions -- --breakdown courier 64    where they go (or: oneway, 'stream up')
//! ```
//!
//! A word that is no option picks the rows whose names have it: `-- json`, `-- retry`.

use benches::Result;
use benches::callgrind::{breakdown, per_call};
use benches::cost::VARIANTS;
use benches::fixed::{Fixed, Load};
use benches::load::streams::Direction;
use benches::ratchet::{self, Mode};
use benches::table::{Goal, Table, judge, thousands};

/// Bytes of payload.
const PAYLOAD: usize = 64;

/// Who, how, the goal.
const CELLS: &[(&str, Load, Option<Goal>)] = &[
    ("raw", Load::Calls(64), None),
    ("raw-spawn", Load::Calls(64), None),
    ("courier", Load::Calls(64), Some(Goal::AtMost(4_000.0))),
    ("courier-json", Load::Calls(64), None),
    ("raw", Load::Calls(1), None),
    ("raw-spawn", Load::Calls(1), None),
    ("courier", Load::Calls(1), None),
    ("courier-json", Load::Calls(1), None),
    ("raw", Load::Oneway, None),
    ("courier", Load::Oneway, None),
    ("courier", Load::Stream(Direction::Up), None),
    ("courier", Load::Stream(Direction::Down), None),
];

/// What a built-in layer that has nothing to do may add.
const LAYER: Goal = Goal::AtMost(150.0);

fn main() -> Result<()> {
    if Fixed::run_if_child()? {
        return Ok(());
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(place) = args.iter().position(|arg| arg == "--breakdown") {
        let peer = args.get(place + 1).map_or("courier", String::as_str);
        let load = args.get(place + 2).map_or(Ok(Load::Calls(64)), |arg| arg.parse())?;
        let lines = args.get(place + 3).and_then(|arg| arg.parse().ok()).unwrap_or(60);
        return show_breakdown(peer, load, lines);
    }
    let wanted: Vec<&String> = args.iter().filter(|arg| !arg.starts_with("--")).collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str()));

    let mut figures = Vec::new();
    let mut table = Table::new(["instructions per call or item, 64 B", "load", "instructions", "goal"]);
    for &(peer, load, limit) in CELLS {
        let name = format!("{peer}, {load}");
        if wants(&name) {
            let figure = count(peer, load)?;
            table.row([peer.to_owned(), load.to_string(), thousands(figure), judge(limit, figure)]);
            figures.push((name, figure));
        }
    }
    println!("{table}");

    let mut table =
        Table::new(["what a call pays for, 64 B, 64 in flight", "instructions", "more than", "by", "goal"]);
    let mut bases = vec![];
    for variant in VARIANTS.iter().filter(|variant| wants(variant.name)) {
        for name in [variant.base, variant.name] {
            if !bases.iter().any(|(base, _)| *base == name) {
                bases.push((name, count(name, Load::Calls(64))?));
            }
        }
        let of = |name: &str| bases.iter().find(|(base, _)| *base == name).map_or(0.0, |(_, figure)| *figure);
        let (figure, more) = (of(variant.name), of(variant.name) - of(variant.base));
        let judged = judge(variant.layer.then_some(LAYER), more);
        let cells = [variant.name, &thousands(figure), variant.base, &format!("{more:+.0}"), &judged];
        table.row(cells.map(str::to_owned));
        figures.push((variant.name.to_owned(), figure));
    }
    println!("{table}");
    ratchet::hold("instructions", &figures, Mode::from_args())
}

fn count(peer: &str, load: Load) -> Result<f64> {
    let cell = Fixed { peer: peer.to_owned(), load, calls: 0, payload: PAYLOAD };
    per_call(&cell, if load == Load::Calls(1) { 5_000 } else { 64 * 250 })
}

fn show_breakdown(peer: &str, load: Load, lines: usize) -> Result<()> {
    let cell = Fixed { peer: peer.to_owned(), load, calls: 64 * 250, payload: PAYLOAD };
    println!("instructions per call, {peer}, {load}; starting and ending included\n");
    println!("in the function itself:\n{}", breakdown(&cell, false, lines)?);
    println!("with what it calls:\n{}", breakdown(&cell, true, lines)?);
    Ok(())
}
