//! Locks: one holder, the next one soon after the last, and a loss that the holder hears of first.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rpc_core::Code;
use rpc_core::lock::{Fence, Lock, Options};

use crate::support::*;

fn options(owner: &str) -> Options {
    Options::new().owner(owner).ttl(TTL)
}

async fn locks(etcd: &Etcd) -> usize {
    let text = etcd.ctl(&["get", "--prefix", "--keys-only", "/courier/locks/"]).await;
    text.lines().filter(|line| !line.is_empty()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_holds_it_and_the_next_one_follows_with_a_greater_token() {
    let etcd = Etcd::start().await;
    let (one, two) = (registry(&etcd).await, registry(&etcd).await);
    let first = soon("the lock", one.acquire("a/b", options("one"))).await.unwrap();
    let error = soon("trying", two.acquire("a/b", options("two").wait(ms(0)))).await.unwrap_err();
    assert_eq!(error.code(), Code::Aborted);
    assert!(error.message().contains("held by one"), "{error}");
    let began = Instant::now();
    let error = soon("waiting", two.acquire("a/b", options("two").wait(ms(300)))).await.unwrap_err();
    assert_eq!(error.code(), Code::Aborted, "{error}");
    assert!(began.elapsed() >= ms(300), "{:?}", began.elapsed());
    assert!(soon("another lock", two.acquire("b", options("two"))).await.is_ok());

    let waiting = tokio::spawn(two.acquire("a/b", options("two")));
    // It is renewed: it outlives its lease several times.
    tokio::time::sleep(TTL * 2).await;
    assert!(first.is_held() && !waiting.is_finished());
    let token = first.token();
    let began = Instant::now();
    first.release().await.unwrap();
    let second = soon("the lock", waiting).await.unwrap().unwrap();
    assert!(began.elapsed() < secs(1), "it was woken: {:?}", began.elapsed());
    assert!(second.token() > token);
    drop(second);
    until("nothing is left", async || locks(&etcd).await + etcd.leases().await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn giving_up_leaves_no_place_in_the_queue() {
    let etcd = Etcd::start().await;
    let one = registry(&etcd).await;
    let guard = soon("the lock", one.acquire("a", options("one"))).await.unwrap();
    let waiting = one.acquire("a", options("two"));
    until("two in the queue", async || locks(&etcd).await == 2).await;
    drop(waiting);
    until("one in the queue", async || locks(&etcd).await == 1).await;
    assert!(guard.is_held());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_whose_key_or_lease_is_taken_away_hears_of_it() {
    let etcd = Etcd::start().await;
    let one = registry(&etcd).await;
    let guard = soon("the lock", one.acquire("a", options("one"))).await.unwrap();
    etcd.ctl(&["del", "--prefix", "/courier/locks/a/"]).await;
    let why = soon("the loss", guard.lost()).await;
    assert!(why.message().contains("key"), "{why}");
    let guard = soon("the lock", one.acquire("a", options("one"))).await.unwrap();
    let leases = etcd.ctl(&["lease", "list"]).await;
    for lease in leases.lines().skip(1).filter(|line| !line.is_empty()) {
        etcd.ctl(&["lease", "revoke", lease]).await;
    }
    let why = soon("the loss", guard.lost()).await;
    assert!(why.message().contains("revoked"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_is_cut_off_hears_of_its_loss_before_another_one_has_it() {
    let etcd = Etcd::start().await;
    let proxy = Proxy::to(&etcd.endpoint()).await;
    let far = quick([proxy.address()]).connect().await.unwrap();
    let near = registry(&etcd).await;
    let fence = Arc::new(Fence::new());
    let guard = soon("the lock", far.acquire("a", options("far"))).await.unwrap();
    fence.admit(guard.token()).unwrap();
    proxy.freeze();
    let lost = async {
        guard.lost().await;
        Instant::now()
    };
    let next = async {
        let guard = near.acquire("a", options("near")).await.unwrap();
        (Instant::now(), guard)
    };
    let (lost, (had, next)) = soon("both", async { tokio::join!(lost, next) }).await;
    assert!(lost < had, "it was had {:?} before the loss was told", lost - had);
    assert!(next.token() > guard.token());
    fence.admit(next.token()).unwrap();
    assert!(fence.admit(guard.token()).is_err(), "what it still writes is refused");
    assert_eq!(guard.release().await.unwrap_err().code(), Code::Aborted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_survives_an_outage_that_is_shorter_than_its_lease() {
    let mut etcd = Etcd::start().await;
    let one = registry(&etcd).await;
    let long = Options::new().owner("one").ttl(secs(6));
    let guard = soon("the lock", one.acquire("a", long)).await.unwrap();
    etcd.kill();
    let asked = one.acquire("b", options("one").wait(ms(500)));
    assert_eq!(soon("an error", asked).await.unwrap_err().code(), Code::Unavailable);
    etcd.run().await;
    tokio::time::sleep(secs(6)).await;
    assert!(guard.is_held());
    guard.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_want_it_have_it_one_at_a_time() {
    let etcd = Etcd::start().await;
    let one = registry(&etcd).await;
    let (inside, shared) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for at in 0..30 {
        let (one, inside, shared) = (one.clone(), inside.clone(), shared.clone());
        tasks.spawn(async move {
            let guard = one.acquire("a", Options::new().owner(at.to_string())).await.unwrap();
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
            let before = shared.load(Ordering::SeqCst);
            tokio::time::sleep(ms(3)).await;
            shared.store(before + 1, Ordering::SeqCst);
            inside.fetch_sub(1, Ordering::SeqCst);
            let token = guard.token();
            guard.release().await.unwrap();
            token
        });
    }
    let mut tokens = soon("all of them", tasks.join_all()).await;
    tokens.sort();
    tokens.dedup();
    assert_eq!((tokens.len(), shared.load(Ordering::SeqCst)), (30, 30));
    until("nothing is left", async || locks(&etcd).await == 0).await;
}
