//! Allocations per unary call in steady state, client and server together. The handler makes none of its own.
//!
//! ```text
//! cargo bench -p benches --bench allocations [-- --check | --record]
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use benches::Result;
use benches::echo::{self, Peer};
use benches::fixed::Load;
use benches::load::streams::Direction;
use benches::peer::{Visit, with_peer};
use benches::ratchet::{self, Mode};
use benches::table::{Goal, Table, judge, thousands};
use bytes::Bytes;

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

fn count(bytes: usize) {
    ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
}

#[expect(
    unsafe_code,
    reason = "there is no other way to count allocations; each call goes to the system's allocator"
)]
// SAFETY: every method does what the system's does, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Who, how, the goal.
const CELLS: &[(&str, Load, Option<Goal>)] = &[
    ("raw", Load::Calls(64), None),
    ("raw-spawn", Load::Calls(64), None),
    ("courier", Load::Calls(64), Some(Goal::AtMost(3.0))),
    ("courier", Load::Calls(1), Some(Goal::AtMost(3.0))),
    ("courier-json", Load::Calls(64), None),
    ("courier", Load::Oneway, None),
    ("courier", Load::Stream(Direction::Up), None),
    ("courier", Load::Stream(Direction::Down), None),
];

fn main() -> Result<()> {
    let mut table = Table::new(["per call or item, 64 B", "load", "allocations", "bytes", "goal"]);
    let mut figures = Vec::new();
    for &(peer, load, limit) in CELLS {
        let (allocations, bytes) = with_peer(peer, Measure { load })??;
        let judged = judge(limit, (allocations * 10.0).round() / 10.0);
        figures.push((format!("{peer}, {load}"), allocations));
        table.row([
            peer.to_owned(),
            load.to_string(),
            format!("{allocations:.2}"),
            thousands(bytes.round()),
            judged,
        ]);
    }
    println!("{table}");
    ratchet::hold("allocations", &figures, Mode::from_args())
}

struct Measure {
    load: Load,
}

impl Visit for Measure {
    type Output = Result<(f64, f64)>;

    fn visit<P: Peer>(self) -> Self::Output {
        let payload = Bytes::from_static(&[b'x'; 64]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let client = echo::connect::<P>(P::serve().await?).await?;
            let calls = 64 * 200;
            self.load.make(&client, &payload, calls).await?;
            let before = (ALLOCATIONS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
            self.load.make(&client, &payload, calls).await?;
            let after = (ALLOCATIONS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
            let per_call = |before: u64, after: u64| (after - before) as f64 / calls as f64;
            Ok((per_call(before.0, after.0), per_call(before.1, after.1)))
        })
    }
}
