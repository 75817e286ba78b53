//! Instructions of a cell, counted by callgrind.
//!
//! What a call costs is the difference of two runs with different numbers of calls: what it takes to start, to connect
//! and to end is in both.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::Result;
use crate::fixed::Fixed;

/// Instructions per call.
///
/// # Errors
/// If valgrind is missing, or the cell fails.
pub fn per_call(cell: &Fixed, calls: usize) -> Result<f64> {
    let less = Fixed { calls: calls / 5, ..cell.clone() };
    let more = Fixed { calls, ..cell.clone() };
    let (_, before) = run(&less, "less")?;
    let (_, after) = run(&more, "more")?;
    Ok((after - before) as f64 / (more.calls - less.calls) as f64)
}

/// Where they go: the functions with the most instructions per call; with those that they call, or by themselves.
///
/// # Errors
/// If valgrind is missing, or the cell fails.
pub fn breakdown(cell: &Fixed, inclusive: bool, lines: usize) -> Result<String> {
    let (profile, _) = run(cell, "breakdown")?;
    let output = Command::new("callgrind_annotate")
        .args([
            if inclusive { "--inclusive=yes" } else { "--inclusive=no" },
            "--show-percs=no",
            "--threshold=100",
            "--auto=no",
        ])
        .arg(&profile)
        .output()
        .map_err(missing)?;
    let text = String::from_utf8_lossy(&output.stdout);
    // A function stands there once for each file that something inlined into it is from.
    let mut functions: HashMap<&str, f64> = HashMap::new();
    for line in text.lines() {
        let Some((count, function)) = line.trim_start().split_once(' ') else { continue };
        let Ok(count) = count.replace(',', "").parse::<f64>() else { continue };
        let function = function.split(" [").next().unwrap_or(function).trim();
        let function = function.split_once(':').map_or(function, |(_, name)| name);
        let sum = functions.entry(function).or_default();
        *sum = if inclusive { sum.max(count) } else { *sum + count };
    }
    let mut functions: Vec<_> = functions.into_iter().collect();
    functions.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let calls = cell.calls as f64;
    Ok(functions
        .iter()
        .take(lines)
        .map(|(name, count)| format!("{:>9.1}  {name}\n", count / calls))
        .collect())
}

/// Runs the cell under callgrind; the profile, and the instructions in all.
fn run(cell: &Fixed, name: &str) -> Result<(PathBuf, u64)> {
    let own = std::process::id();
    let profile = std::env::temp_dir().join(format!("courier-callgrind-{own}-{name}"));
    let file = format!("--callgrind-out-file={}", profile.display());
    let output = cell
        .command(&["valgrind", "--tool=callgrind", &file])?
        .stdin(Stdio::null())
        .output()
        .map_err(missing)?;
    if !output.status.success() {
        return Err(
            format!("{cell:?} failed under valgrind:\n{}", String::from_utf8_lossy(&output.stderr)).into()
        );
    }
    Ok((profile.clone(), total(&profile)?))
}

fn total(profile: &Path) -> Result<u64> {
    let text = fs::read_to_string(profile)?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    Ok(total.ok_or("a callgrind profile without a total")?.trim().parse()?)
}

fn missing(error: std::io::Error) -> String {
    format!(
        "valgrind could not be started ({error}); install it: apt-get install valgrind, dnf install valgrind"
    )
}
