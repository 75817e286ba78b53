//! Figures that may only fall: `benches/ratchet.toml` holds what was recorded, `--check` fails when a figure is above it,
//! `--record` lowers it.
//!
//! The file is a table of `name = number` for each benchmark, so that reading it takes no parser.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::Result;

/// How far above its record a figure may be: callgrind's differ by about half a percent from run to run, for hash seeds
/// and the sizes of batches do.
const TOLERANCE: f64 = 0.03;

/// What to do with the figures, by the arguments of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only show them.
    Show,
    /// Fail if one is above its record.
    Check,
    /// Lower the records; with `--record-all`, raise them too.
    Record {
        /// Whether a record may rise: when a promise was added that costs something.
        raise: bool,
    },
}

impl Mode {
    /// The mode that the command line asks for.
    pub fn from_args() -> Self {
        let mut mode = Self::Show;
        for arg in std::env::args() {
            match &*arg {
                "--check" => mode = Self::Check,
                "--record" => mode = Self::Record { raise: false },
                "--record-all" => mode = Self::Record { raise: true },
                _ => {}
            }
        }
        mode
    }
}

type Tables = BTreeMap<String, BTreeMap<String, f64>>;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("ratchet.toml")
}

/// Holds the figures of one benchmark against its records.
///
/// # Errors
/// In the mode `Check`, every figure that is above its record, or has none.
pub fn hold(bench: &str, figures: &[(String, f64)], mode: Mode) -> Result<()> {
    let mut tables = read(&fs::read_to_string(path()).unwrap_or_default());
    let records = tables.entry(bench.to_owned()).or_default();
    let mut above = Vec::new();
    for (name, figure) in figures {
        let record = records.get(name).copied();
        match mode {
            Mode::Show => {}
            // Half a unit, so that a record of zero or one can be kept at all.
            Mode::Check => match record {
                Some(record) if *figure <= record * (1.0 + TOLERANCE) + 0.05 => {}
                Some(record) => above.push(format!("{name} is {figure:.1}, its record is {record:.1}")),
                None => above.push(format!("{name} has no record; make one with --record")),
            },
            Mode::Record { raise } => {
                if raise || record.is_none_or(|record| *figure < record) {
                    records.insert(name.clone(), (figure * 10.0).round() / 10.0);
                }
            }
        }
    }
    if matches!(mode, Mode::Record { .. }) {
        fs::write(path(), write(&tables))?;
        println!("recorded in {}", path().display());
    }
    if above.is_empty() { Ok(()) } else { Err(above.join("\n").into()) }
}

fn read(text: &str) -> Tables {
    let mut tables = Tables::new();
    let mut table = String::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = name.to_owned();
        } else if let Some((name, figure)) = line.split_once('=')
            && let Ok(figure) = figure.trim().parse()
        {
            let name = name.trim().trim_matches('"').to_owned();
            tables.entry(table.clone()).or_default().insert(name, figure);
        }
    }
    tables
}

fn write(tables: &Tables) -> String {
    let mut text = "# Figures that may only fall: see src/ratchet.rs. Written by `--record`.\n".to_owned();
    for (table, figures) in tables {
        text += &format!("\n[{table}]\n");
        for (name, figure) in figures {
            text += &format!("\"{name}\" = {figure:?}\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let figures =
            BTreeMap::from([("courier, 64 in flight".to_owned(), 4_321.5), ("raw".to_owned(), 1.0)]);
        let tables = Tables::from([("instructions".to_owned(), figures)]);
        assert_eq!(read(&write(&tables)), tables);
    }
}
