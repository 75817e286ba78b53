//! [`Dns`]: `dns://host:port`, every address that a name has.
//!
//! DNS pushes nothing, so the name is looked up again and again, and once more when connections fail. Of an instance it
//! knows no more than where it is. A lookup that fails, or finds no address, changes nothing.
//!
//! ```
//! use rpc_core::discovery::{Dns, resolver::Builder};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A lookup of one's own: for a resolver library, or for tests.
//! let dns = Dns::default().lookup(|_host, port| async move { Ok(vec![([10, 0, 0, 1], port).into()]) });
//! let list = dns.build(&"dns://orders.internal:7000".parse()?)?.changed().await?;
//! assert_eq!(list.instances()[0].id, "10.0.0.1:7000");
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::call::BoxFuture;
use crate::call::race::{Either, race};
use crate::context::{now, sleep_until};
use crate::discovery::feed::{Feed, Feeds, Turn};
use crate::discovery::instance::Instance;
use crate::discovery::resolver::{Builder, Name};
use crate::discovery::view;
use crate::discovery::watch::Watch;
use crate::status::Status;

/// After the first lookup that failed the next one comes in this time, then in twice, up to the interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// A lookup that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Resolves `dns://host:port` to every address that the host has.
#[derive(Clone)]
pub struct Dns {
    lookup: Arc<Lookup>,
    interval: Duration,
    least: Duration,
    feeds: Feeds,
}

type Lookup = dyn Fn(String, u16) -> BoxFuture<io::Result<Vec<SocketAddr>>> + Send + Sync;

impl Default for Dns {
    fn default() -> Self {
        Self {
            lookup: Arc::new(|host, port| {
                Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
            }),
            interval: Duration::from_secs(30),
            least: Duration::from_secs(1),
            // A name server has no leases that it could lose.
            feeds: Feeds::new(view::Config { suspect_for: Duration::ZERO, ..view::Config::default() }),
        }
    }
}

impl Dns {
    /// Looks names up in another way: given host and port, all addresses. Default: as the operating system does.
    #[must_use]
    pub fn lookup<F, Fut>(mut self, lookup: F) -> Self
    where
        F: Fn(String, u16) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        self.lookup = Arc::new(move |host, port| Box::pin(lookup(host, port)));
        self
    }

    /// Looks each name up this often, give or take a tenth, so that not all clients ask together. Default 30 s.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval.clamp(Duration::from_millis(1), Duration::from_secs(86_400 * 365));
        self
    }

    /// Looks a name up no more often than this, whatever fails. Default 1 s.
    #[must_use]
    pub fn least_interval(mut self, least: Duration) -> Self {
        self.least = least.min(Duration::from_secs(86_400 * 365));
        self
    }
}

impl Builder for Dns {
    fn scheme(&self) -> &str {
        "dns"
    }

    fn build(&self, name: &Name) -> Result<Watch, Status> {
        let wrong = |why: &str| Status::invalid_argument(format!("{name}: {why}; write dns://host:port"));
        if !name.path.is_empty() {
            return Err(wrong("there is something after the port"));
        }
        let (host, port) = name.authority.rsplit_once(':').ok_or_else(|| wrong("the port is missing"))?;
        let port: u16 = port.parse().map_err(|_| wrong("the port is no number up to 65535"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong("the host is missing"));
        }
        Ok(self.feeds.watch(&name.authority, |feed| {
            tokio::spawn(follow(feed, self.clone(), host, port));
        }))
    }
}

/// When to look up next.
#[derive(Debug)]
struct Schedule {
    interval: Duration,
    least: Duration,
    last: Instant,
    failures: u32,
    next: Instant,
}

impl Schedule {
    fn new(interval: Duration, least: Duration, now: Instant) -> Self {
        Self { interval, least, last: now, failures: 0, next: now }
    }

    /// A lookup was made. `random` is between 0 and 1.
    fn looked_up(&mut self, now: Instant, succeeded: bool, random: f64) {
        self.failures = if succeeded { 0 } else { self.failures.saturating_add(1) };
        let wait = match self.failures {
            0 => self.interval,
            failures => (FIRST_RETRY * 2u32.pow((failures - 1).min(16))).min(self.interval),
        };
        self.last = now;
        self.next = now + wait.mul_f64(0.9 + 0.2 * random).max(self.least);
    }

    /// Somebody thinks that the list is old.
    fn hinted(&mut self, now: Instant) {
        self.next = self.next.min((self.last + self.least).max(now));
    }
}

async fn follow(mut feed: Feed, dns: Dns, host: String, port: u16) {
    let mut schedule = Schedule::new(dns.interval, dns.least, now());
    loop {
        // The name may take long to be looked up; whoever is not interested any more need not wait for that.
        let lookup = tokio::time::timeout(PATIENCE, (dns.lookup)(host.clone(), port));
        let Some(found) = while_watched(&mut feed, &mut schedule, lookup).await else { return };
        let found = match found {
            Err(_) => Err(io::Error::other(format!("no answer within {PATIENCE:?}"))),
            Ok(Ok(addresses)) if addresses.is_empty() => Err(io::Error::other("it has no address")),
            Ok(found) => found,
        };
        schedule.looked_up(now(), found.is_ok(), fastrand::f64());
        match found {
            Ok(addresses) => feed.listed(addresses.into_iter().map(|address| Instance::new(address.into()))),
            Err(error) => {
                let status = Status::unavailable(format!("{host} could not be looked up: {error}"));
                feed.failed(status.with_source(error)).await;
            }
        }
        loop {
            let next = schedule.next;
            match race(sleep_until(next), feed.turn()).await {
                Either::First(()) => break,
                Either::Second(Turn::Hinted) => schedule.hinted(now()),
                Either::Second(Turn::Abandoned) => return,
            }
        }
    }
}

/// Waits for something while the feed goes on; nothing, if nobody watches any more.
async fn while_watched<F: Future>(feed: &mut Feed, schedule: &mut Schedule, work: F) -> Option<F::Output> {
    let mut work = std::pin::pin!(work);
    loop {
        match race(work.as_mut(), feed.turn()).await {
            Either::First(output) => return Some(output),
            // What is under way is the answer.
            Either::Second(Turn::Hinted) => schedule.hinted(now()),
            Either::Second(Turn::Abandoned) => return None,
        }
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns")
            .field("interval", &self.interval)
            .field("least_interval", &self.least)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    type Answer = Result<Vec<&'static str>, &'static str>;

    /// A name server that counts.
    #[derive(Clone)]
    struct Server {
        answer: Arc<Mutex<Answer>>,
        asked: Arc<AtomicUsize>,
    }

    impl Server {
        fn new(answer: Answer) -> (Self, Dns) {
            let server = Self { answer: Arc::new(Mutex::new(answer)), asked: Arc::default() };
            let copy = server.clone();
            let dns = Dns::default().lookup(move |_, _| {
                copy.asked.fetch_add(1, Ordering::SeqCst);
                let answer = copy.answer.lock().unwrap().clone();
                async move {
                    let parse = |texts: Vec<&str>| texts.iter().map(|text| text.parse().unwrap()).collect();
                    answer.map(parse).map_err(io::Error::other)
                }
            });
            (server, dns)
        }

        fn set(&self, answer: Answer) {
            *self.answer.lock().unwrap() = answer;
        }

        fn asked(&self) -> usize {
            self.asked.swap(0, Ordering::SeqCst)
        }
    }

    async fn pass(secs: u64) {
        tokio::time::sleep(Duration::from_secs(secs)).await;
    }

    fn name() -> Name {
        "dns://orders:7000".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_is_looked_up_now_and_then_and_its_changes_are_told() {
        let (server, dns) = Server::new(Ok(vec!["10.0.0.1:7000", "10.0.0.2:7000"]));
        let mut watch = dns.build(&name()).unwrap();
        assert_eq!(watch.changed().await.unwrap().instances().len(), 2);
        server.set(Ok(vec!["10.0.0.3:7000"]));
        assert_eq!(watch.changed().await.unwrap().instances()[0].id, "10.0.0.3:7000");
        server.asked();
        pass(300).await;
        assert!((9..=11).contains(&server.asked()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_known_last_stays_while_lookups_fail() {
        let (server, dns) = Server::new(Err("no such host"));
        let mut watch = dns.build(&name()).unwrap();
        let error = watch.changed().await.unwrap_err();
        assert!(error.message().contains("no such host"), "{error}");
        server.set(Ok(vec!["10.0.0.1:7000"]));
        watch.changed().await.unwrap();
        server.set(Err("the name server is down"));
        server.asked();
        pass(3600).await;
        assert_eq!(watch.current().unwrap().instances().len(), 1);
        assert!(watch.error().unwrap().message().contains("the name server is down"));
        let asked = server.asked();
        assert!((100..150).contains(&asked), "{asked}");
    }

    #[tokio::test(start_paused = true)]
    async fn hints_bring_a_lookup_at_once_but_not_each_of_them() {
        let (server, dns) = Server::new(Ok(vec!["10.0.0.1:7000"]));
        let mut watch = dns.build(&name()).unwrap();
        watch.changed().await.unwrap();
        pass(5).await;
        server.set(Ok(vec!["10.0.0.2:7000"]));
        server.asked();
        let hinted = tokio::time::Instant::now();
        watch.hint();
        watch.changed().await.unwrap();
        assert!(hinted.elapsed() < Duration::from_millis(100), "{:?}", hinted.elapsed());
        for _ in 0..100 {
            watch.hint();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let asked = server.asked();
        assert!((4..=7).contains(&asked), "{asked} lookups in 5 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lookup_that_hangs_has_failed_and_ends_with_its_watch() {
        let dns = Dns::default().lookup(|_, _| std::future::pending());
        let mut watch = dns.build(&name()).unwrap();
        assert!(watch.changed().await.unwrap_err().message().contains("no answer"));
        let mut again = dns.build(&name()).unwrap();
        drop(watch);
        assert!(again.changed().await.is_err());
        drop(again);
        while !dns.feeds.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_operating_system_knows_localhost() {
        let mut watch = Dns::default().build(&"dns://localhost:7".parse().unwrap()).unwrap();
        assert!(watch.changed().await.unwrap().instances().iter().all(|one| one.id.ends_with(":7")));
    }

    #[test]
    fn a_wrong_name_says_what_is_wrong() {
        for (text, part) in [
            ("dns://orders", "port is missing"),
            ("dns://orders:x", "no number"),
            ("dns://:7", "host is missing"),
            ("dns://orders:7/x", "after the port"),
        ] {
            let error = Dns::default().build(&text.parse().unwrap()).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
