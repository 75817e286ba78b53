//! When it is measured: a time to warm up, then the window; and the processor time that processes take in it.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Result;

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Caches fill, buffers grow: nothing counts yet.
    Warm,
    /// What ends now counts.
    Measure,
    /// Everybody stops.
    Stop,
}

/// How long to warm up and to measure, and whose processor time to count.
#[derive(Clone, Debug)]
pub struct Times {
    /// Before the window.
    pub warm: Duration,
    /// The window.
    pub measure: Duration,
    /// Processes.
    pub processes: Vec<u32>,
}

/// The phases of a run. A thread of its own keeps them, so that a busy runtime cannot be late with them.
#[derive(Debug)]
pub struct Window {
    phase: PhaseRef,
    keeper: JoinHandle<Kept>,
}

/// Tells the phase; cheap to clone and to ask.
#[derive(Clone, Debug)]
pub struct PhaseRef(Arc<AtomicU8>);

/// What the keeper has seen.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// When the window opened.
    pub began: Instant,
    /// How long it was.
    pub elapsed: Duration,
    /// Processor time of the processes in it, user and system.
    pub cpu: Duration,
}

impl PhaseRef {
    /// The phase now.
    #[inline]
    pub fn get(&self) -> Phase {
        match self.0.load(Ordering::Relaxed) {
            0 => Phase::Warm,
            1 => Phase::Measure,
            _ => Phase::Stop,
        }
    }
}

impl Window {
    /// Begins to warm up.
    pub fn open(times: &Times) -> Self {
        let phase = Arc::new(AtomicU8::new(0));
        let (kept, times) = (phase.clone(), times.clone());
        let keeper = std::thread::spawn(move || {
            std::thread::sleep(times.warm);
            let before = cpu(&times.processes);
            let began = Instant::now();
            kept.store(1, Ordering::Relaxed);
            std::thread::sleep(times.measure);
            kept.store(2, Ordering::Relaxed);
            let elapsed = began.elapsed();
            Kept { began, elapsed, cpu: cpu(&times.processes).saturating_sub(before) }
        });
        Self { phase: PhaseRef(phase), keeper }
    }

    /// For those who make the load.
    pub fn phase(&self) -> PhaseRef {
        self.phase.clone()
    }

    /// What the keeper has seen, after the end. Blocks until then.
    ///
    /// # Errors
    /// If the keeper's thread panicked.
    pub fn close(self) -> Result<Kept> {
        Ok(self.keeper.join().map_err(|_| "the thread that keeps the phases panicked")?)
    }
}

/// The processor time that processes have taken so far: the first number in `/proc/…/task/…/schedstat`, in nanoseconds.
/// Zero where there is no such thing.
fn cpu(processes: &[u32]) -> Duration {
    let thread = |path: std::path::PathBuf| -> u64 {
        let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
    };
    let process = |process: &u32| -> u64 {
        let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
        threads.flatten().map(|entry| thread(entry.path())).sum()
    };
    Duration::from_nanos(processes.iter().map(process).sum())
}
