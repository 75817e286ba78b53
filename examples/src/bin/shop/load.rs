//! The load: customers who look, buy, and now and then sign up, and what they see of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rpc_core::{Code, Status};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::contract::{GatewayClient, Order, ShopError};
use crate::stock::ITEMS;

/// How many customers there are. Each has one call under way at a time.
pub(crate) const CUSTOMERS: usize = 24;

/// How long a customer thinks before the next call.
const THOUGHT: Duration = Duration::from_millis(20);

/// What was seen, and what goes on meanwhile.
#[derive(Default)]
pub(crate) struct Figures {
    seen: Mutex<Seen>,
    stop: AtomicBool,
}

#[derive(Default)]
struct Seen {
    phase: &'static str,
    second: Second,
    total: Total,
}

/// What was seen since the last look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Second {
    pub(crate) latencies: Vec<Duration>,
    pub(crate) errors: BTreeMap<&'static str, u64>,
}

/// What was seen from the start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Total {
    pub(crate) calls: u64,
    pub(crate) users: u64,
    pub(crate) orders: u64,
    pub(crate) sold_out: u64,
    pub(crate) failures: Vec<Failure>,
}

/// A call that failed, and not because of what was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) method: &'static str,
    /// What was going on when it failed.
    pub(crate) phase: &'static str,
    pub(crate) status: Status,
}

impl Figures {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something else goes on from now on.
    pub(crate) fn phase(&self, phase: &'static str) {
        self.seen().phase = phase;
    }

    pub(crate) fn take_second(&self) -> Second {
        std::mem::take(&mut self.seen().second)
    }

    pub(crate) fn total(&self) -> Total {
        self.seen().total.clone()
    }

    /// Tells the customers to go home.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Relaxed);
    }

    /// Notes how a call went; passes on what it gave.
    fn note(&self, method: &'static str, began: Instant, result: Result<u64, ShopError>) -> Option<u64> {
        let mut seen = self.seen();
        seen.second.latencies.push(began.elapsed());
        seen.total.calls += 1;
        match result {
            Ok(value) => {
                match method {
                    "sign_up" => seen.total.users += 1,
                    "buy" => seen.total.orders += 1,
                    _ => {}
                }
                Some(value)
            }
            // An answer like any other.
            Err(ShopError::SoldOut { .. }) => {
                seen.total.sold_out += 1;
                None
            }
            Err(error) => {
                let (phase, status) = (seen.phase, Status::from(error));
                *seen.second.errors.entry(status.code().name()).or_default() += 1;
                seen.total.failures.push(Failure { method, phase, status });
                None
            }
        }
    }
}

/// Sends the customers in.
pub(crate) fn begin(gateway: &GatewayClient, figures: &Arc<Figures>) -> JoinSet<()> {
    (0..CUSTOMERS).map(|number| customer(number, gateway.clone(), figures.clone())).collect()
}

async fn customer(number: usize, gateway: GatewayClient, figures: Arc<Figures>) {
    let mut user = None;
    for round in 0_usize.. {
        if figures.stop.load(Relaxed) {
            return;
        }
        let (item, _) = ITEMS[if round % 50 == 1 { 2 } else { round % 2 }];
        let began = Instant::now();
        match (user, round % 10) {
            (None, _) | (_, 0) => {
                let name = format!("customer-{number}-{round}");
                user = figures.note("sign_up", began, gateway.sign_up(name).await).or(user);
            }
            (Some(user), 1..=4) => {
                // The key makes it one order, however often it is sent.
                let order = Order {
                    key: format!("{number}-{round}"),
                    user,
                    item: item.to_owned(),
                    quantity: 1 + (round % 3) as u64,
                };
                figures.note("buy", began, gateway.buy(order).await);
            }
            _ => drop(figures.note("look", began, gateway.look(item.to_owned()).await)),
        }
        sleep(THOUGHT).await;
    }
}

/// A share of the latencies is at most this.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
}

/// Whether a failure is what a process that is killed does to calls that may not be repeated.
pub(crate) fn is_excused(failure: &Failure) -> bool {
    failure.method == "sign_up" && failure.phase == "kill" && failure.status.code() == Code::Unavailable
}
