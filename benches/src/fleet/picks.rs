//! What a pick costs: instructions, by callgrind, of a process that does nothing else.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rpc_core::balance::{Endpoint, Load, Outcome, Pick};
use rpc_core::discovery::Instance;

use crate::Result;
use crate::fleet::scenario::Policy;

/// The option by which this process is told to pick.
const CHILD: &str = "--pick";

/// After a policy's name: every endpoint has a share of failures to be reckoned with.
pub const FAILING: &str = ", failing";

/// Instructions of one pick among so many endpoints.
///
/// # Errors
/// If valgrind is missing, or the process fails.
pub fn instructions(policy: &str, endpoints: usize) -> Result<f64> {
    const FEW: u64 = 1_000;
    const MANY: u64 = 21_000;
    let (less, more) = (count(policy, endpoints, FEW)?, count(policy, endpoints, MANY)?);
    Ok((more - less) as f64 / (MANY - FEW) as f64)
}

fn count(policy: &str, endpoints: usize, picks: u64) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .args([CHILD, policy, &endpoints.to_string(), &picks.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            format!("valgrind could not be started ({error}); install it: apt-get install valgrind")
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total = said.lines().find_map(|line| line.split_once("Collected : "));
    let (_, total) = total.ok_or_else(|| format!("{policy}: callgrind gave no count:\n{said}"))?;
    Ok(total.trim().parse()?)
}

/// Picks, if that is what this process is for.
///
/// # Errors
/// If its arguments are not what [`instructions`] gives.
pub fn run_if_child() -> Result<bool> {
    let args: Vec<String> = std::env::args().collect();
    let Some(place) = args.iter().position(|arg| arg == CHILD) else { return Ok(false) };
    let [_, policy, endpoints, picks] = args.get(place..).unwrap_or(&[]) else {
        return Err(format!("{CHILD} takes a policy and two numbers").into());
    };
    fastrand::seed(1);
    let start = Instant::now();
    let (policy, fails) = match policy.strip_suffix(FAILING) {
        Some(policy) => (policy, true),
        None => (&**policy, false),
    };
    let endpoints: Vec<Endpoint> = (0..endpoints.parse::<usize>()?)
        .map(|number| {
            let address = format!("10.0.{}.{}:7000", number >> 8, number & 255).parse()?;
            Ok(Endpoint::new(Arc::new(Instance::new(address)), Arc::new(Load::new(start))))
        })
        .collect::<Result<_>>()?;
    for endpoint in &endpoints {
        endpoint.load().begin(start).finish(start + Duration::from_millis(10), Outcome::Success);
        if fails {
            endpoint.load().begin(start).finish(start + Duration::from_millis(20), Outcome::FAILURE);
        }
    }
    let picker = Policy::of(policy).builder(0).build(&endpoints, None, start);
    let mut now = start + Duration::from_secs(1);
    let mut sum = 0;
    for key in 0..picks.parse::<u64>()? {
        now += Duration::from_micros(10);
        sum += picker.pick(&Pick::new(now).with_key(Some(key))).unwrap_or_default();
    }
    std::hint::black_box(sum);
    Ok(true)
}
