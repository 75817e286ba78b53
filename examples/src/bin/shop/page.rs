//! What a person sees: a row each second, and between the rows what happens.

use std::collections::HashMap;
use std::io::{IsTerminal, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fleet::{Fleet, State};
use crate::load::{Figures, percentile};

/// The page that the shop writes.
#[derive(Clone, Copy)]
pub(crate) struct Page {
    colour: bool,
    began: Instant,
}

impl Page {
    pub(crate) fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour, began: Instant::now() }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// What happens now.
    pub(crate) fn event(&self, text: &str) {
        line(&self.paint("1;36", &format!("-- {text}")));
    }

    /// Something to know beside.
    pub(crate) fn remark(&self, text: &str) {
        line(&self.paint("2", &format!("   {text}")));
    }

    /// Something that was checked.
    pub(crate) fn claim(&self, holds: bool, text: &str) {
        let mark = if holds { self.paint("32", "ok  ") } else { self.paint("1;31", "NOT ") };
        line(&format!("   {mark} {text}"));
    }

    /// The last line.
    pub(crate) fn end(&self, holds: bool, text: &str) {
        line(&self.paint(if holds { "1;32" } else { "1;31" }, &format!("\n{text}")));
    }

    /// Writes a row each second, until it is aborted.
    pub(crate) async fn rows(self, fleet: Arc<Fleet>, figures: Arc<Figures>) {
        line(&self.paint(
            "2",
            "   time   calls/s  p50, p99 in ms  errors  which instance got how much of a hundred",
        ));
        let (mut before, mut last) = (HashMap::new(), Instant::now());
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.tick().await;
        loop {
            tick.tick().await;
            let mut second = figures.take_second();
            second.latencies.sort_unstable();
            let took = last.elapsed().as_secs_f64();
            last = Instant::now();
            let errors: Vec<_> =
                second.errors.iter().map(|(code, count)| format!("{count} {code}")).collect();
            line(&format!(
                " {:>4} s {:>9.0} {:>7.1} {:>7.1}  {:>6}  {}",
                self.began.elapsed().as_secs(),
                second.latencies.len() as f64 / took,
                ms(percentile(&second.latencies, 50)),
                ms(percentile(&second.latencies, 99)),
                if errors.is_empty() { "-".to_owned() } else { errors.join(", ") },
                self.shares(&fleet, &mut before),
            ));
        }
    }

    /// Who of each service got how much of its calls since the last time.
    fn shares(&self, fleet: &Fleet, before: &mut HashMap<String, u64>) -> String {
        let mut text = String::new();
        let seats = fleet.seats();
        for service in ["gateway", "orders", "stock", "users"] {
            let new: Vec<_> = seats
                .iter()
                .filter(|seat| seat.service == service)
                .map(|seat| {
                    let calls = seat.calls();
                    let old = before.insert(seat.name(), calls).unwrap_or(0);
                    (seat.state(), calls.saturating_sub(old))
                })
                .collect();
            let sum = new.iter().map(|(_, calls)| calls).sum::<u64>().max(1);
            text += &self.paint("2", service);
            for (state, calls) in new {
                let share = calls * 100 / sum;
                text += &match state {
                    State::Gone if calls == 0 => continue,
                    State::Runs | State::Drains | State::Gone => format!(" {share:>2}"),
                    State::Stopped => self.paint("33", &format!(" {share}z")),
                    State::Killed => self.paint("31", " ✗"),
                };
            }
            text += "  ";
        }
        text.trim_end().to_owned()
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn line(text: &str) {
    // Nobody reads any more (`shop | head`): that is no reason to break off.
    let _ = writeln!(std::io::stdout(), "{text}");
}
