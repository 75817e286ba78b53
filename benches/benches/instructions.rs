//! User-space instructions per call, client and server together, by callgrind.
//!
//! ```text
//! cargo bench -p benches --bench instructions                        the table
//! cargo bench -p benches --bench instructions -- --check             fails if a figure is above its record
//! cargo bench -p benches --bench instructions -- --record            lowers the records
//! cargo bench -p benches --bench instructions -- --breakdown courier 64    where they go
//! ```
//!
//! A word that is no option picks the rows whose names have it: `-- json`.

use benches::Result;
use benches::callgrind::{breakdown, per_call};
use benches::child::Fixed;
use benches::ratchet::{self, Mode};
use benches::table::{Table, goal, thousands};

/// Bytes of payload.
const PAYLOAD: usize = 64;

/// Who, how many calls in flight, the goal.
const CELLS: &[(&str, usize, Option<f64>)] = &[
    ("raw", 64, None),
    ("raw-spawn", 64, None),
    ("courier", 64, Some(4_000.0)),
    ("courier-json", 64, None),
    ("courier-oneway", 64, None),
    ("raw", 1, None),
    ("raw-spawn", 1, None),
    ("courier", 1, None),
    ("courier-json", 1, None),
];

fn main() -> Result<()> {
    if Fixed::run_if_child()? {
        return Ok(());
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(place) = args.iter().position(|arg| arg == "--breakdown") {
        let peer = args.get(place + 1).map_or("courier", String::as_str);
        let in_flight = args.get(place + 2).and_then(|arg| arg.parse().ok()).unwrap_or(64);
        let lines = args.get(place + 3).and_then(|arg| arg.parse().ok()).unwrap_or(60);
        return show_breakdown(peer, in_flight, lines);
    }
    let wanted = args.iter().find(|arg| !arg.starts_with("--"));

    let mut table = Table::new(["instructions per call, 64 B", "in flight", "instructions", "goal"]);
    let mut figures = Vec::new();
    for &(peer, in_flight, limit) in CELLS {
        if wanted.is_some_and(|wanted| !peer.contains(&**wanted)) {
            continue;
        }
        let cell = Fixed { peer: peer.to_owned(), in_flight, calls: 0, payload: PAYLOAD };
        let figure = per_call(&cell, if in_flight == 1 { 5_000 } else { 64 * 250 })?;
        let limit = limit.map_or_else(String::new, |limit| goal(figure, limit));
        table.row([peer.to_owned(), in_flight.to_string(), thousands(figure), limit]);
        figures.push((format!("{peer}, {in_flight} in flight"), figure));
    }
    println!("{table}");
    ratchet::hold("instructions", &figures, Mode::from_args())
}

fn show_breakdown(peer: &str, in_flight: usize, lines: usize) -> Result<()> {
    let cell = Fixed { peer: peer.to_owned(), in_flight, calls: 64 * 250, payload: PAYLOAD };
    println!("instructions per call, {peer}, {in_flight} in flight; starting and ending included\n");
    println!("in the function itself:\n{}", breakdown(&cell, false, lines)?);
    println!("with what it calls:\n{}", breakdown(&cell, true, lines)?);
    Ok(())
}
