use std::sync::atomic::AtomicBool;
use std::task::{Wake, Waker};

use super::tasks::groom;
use super::*;
use crate::call::Peer;
use crate::transport::DefaultConnector;
use crate::transport::link::connection;
use crate::wire::Role;

/// In the place of a driver: looks whether the endpoint can be asked when it is woken.
struct Probe {
    endpoint: Endpoint,
    woken: AtomicUsize,
    locked_out: AtomicBool,
}

impl Wake for Probe {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        self.locked_out.fetch_or(self.endpoint.0.state.try_lock().is_err(), Ordering::SeqCst);
    }
}

/// An endpoint with this pool, one connection on its shelf, and who stands for that one's driver.
fn probed(pool: pool::Config) -> (Arc<Link>, Arc<Probe>) {
    let mut settings = Settings::default();
    settings.pool = pool;
    let making = Making::new(Arc::new(DefaultConnector), &settings, Router::default());
    let endpoint = Endpoint::new(Address::Memory("nobody".to_owned()), making);
    let link = Link::new(connection(Role::Connector, &Config::default()), Peer::new("there"));
    endpoint.0.lock().shelf.put(link.clone(), &settings.pool, now(), 0.5);
    let probe = Probe { endpoint, woken: AtomicUsize::new(0), locked_out: AtomicBool::new(false) };
    let probe = Arc::new(probe);
    link.lock().sleep(None, &Waker::from(probe.clone()));
    (link, probe)
}

impl Probe {
    fn check(&self) {
        assert!(self.woken.load(Ordering::SeqCst) > 0, "it hears of the end");
        assert!(!self.locked_out.load(Ordering::SeqCst), "it was woken under the lock");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_woken_by_the_end_of_a_lost_connection_may_ask_the_endpoint() {
    let (link, probe) = probed(pool::Config::default());
    link.lock().wire.handle_lost("it was cut");
    probe.endpoint.0.step(now());
    probe.check();
}

#[tokio::test(start_paused = true)]
async fn who_is_woken_by_the_end_of_an_idle_connection_may_ask_the_endpoint() {
    let limit = Duration::from_secs(1);
    let (_, probe) = probed(pool::Config { idle_timeout: Some(limit), ..Default::default() });
    let groom = tokio::spawn(groom(Arc::downgrade(&probe.endpoint.0)));
    tokio::time::sleep(2 * limit).await;
    groom.abort();
    probe.check();
}
