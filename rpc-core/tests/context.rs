//! What a user sees of a context: limits that never widen, cancellation that goes down, values that are looked up,
//! futures and tasks that end with it.

use std::future::{Future, pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::{Duration, Instant};

use rpc_core::context::{CancelHandle, Cancelled, Group, TraceContext};
use rpc_core::{Code, Context, Status};
use tokio::sync::oneshot;
use tokio::task::yield_now;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn with(value: u32) -> Context {
    Context::background().with_value(value)
}

fn current() -> Option<u32> {
    Context::current().value::<u32>().map(|value| *value)
}

/// Never ready; `dropped` tells when it is dropped.
fn endless<T>(dropped: &Flag) -> impl Future<Output = T> + Send + 'static {
    struct SetOnDrop(Flag);

    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.set();
        }
    }

    let held = SetOnDrop(dropped.clone());
    async move {
        let _held = held;
        pending().await
    }
}

#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn contexts_go_where_tasks_go() {
    fn check<T: Send + Sync>() {}
    check::<Context>();
    check::<CancelHandle>();
    check::<Cancelled>();
    check::<Group<u8>>();
}

#[test]
fn a_deadline_never_widens() {
    let start = Instant::now();
    let at = |millis| start + ms(millis);
    let root = Context::background();
    assert_eq!((root.deadline(), root.remaining()), (None, None));

    let parent = root.with_deadline(at(50));
    assert_eq!(parent.with_deadline(at(70)).deadline(), Some(at(50)));
    assert_eq!(parent.with_deadline(at(20)).deadline(), Some(at(20)));
    assert_eq!(parent.with_deadline(at(20)).with_value(1).with_deadline(at(30)).deadline(), Some(at(20)));
    assert_eq!(parent.with_cancel().0.deadline(), Some(at(50)));
    assert_eq!(parent.deadline(), Some(at(50)), "a child changes nothing for its parent");
}

#[test]
fn a_timeout_that_no_clock_can_express_limits_nothing() {
    let endless = Context::background().with_timeout(Duration::MAX);
    assert_eq!(endless.deadline(), None);
    assert!(!endless.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn what_remains_goes_down_to_zero() {
    let ctx = Context::current().with_timeout(ms(50));
    tokio::time::advance(ms(20)).await;
    assert_eq!(ctx.remaining(), Some(ms(30)));
    assert!(!ctx.is_cancelled() && ctx.status().is_none());
    tokio::time::advance(ms(40)).await;
    assert_eq!(ctx.remaining(), Some(Duration::ZERO));
    assert!(ctx.is_cancelled());
    assert_eq!(ctx.status().unwrap().code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_end_ends_at_the_deadline() {
    let start = tokio::time::Instant::now();
    let ctx = Context::current().with_timeout(ms(50));
    let (child, _handle) = ctx.with_cancel();
    assert_eq!(child.cancelled().await.code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed(), ms(50));
}

#[tokio::test]
async fn cancelling_reaches_grandchildren_and_neither_parents_nor_siblings() {
    let (parent, _parent_handle) = Context::background().with_cancel();
    let (child, handle) = parent.with_cancel();
    let (sibling, _sibling_handle) = parent.with_cancel();
    let (grandchild, _grandchild_handle) = child.with_value(1).with_timeout(ms(10_000)).with_cancel();

    assert!(handle.cancel("first"));
    assert!(!handle.cancel("second"));
    for ctx in [&child, &grandchild] {
        assert!(ctx.is_cancelled());
        assert_eq!(ctx.cancelled().await.to_string(), "CANCELLED: first");
    }
    for ctx in [&parent, &sibling] {
        assert!(!ctx.is_cancelled() && ctx.status().is_none());
    }
}

#[tokio::test]
async fn everybody_who_waits_is_woken() {
    let (parent, handle) = Context::background().with_cancel();
    let (child, _handle) = parent.with_cancel();
    let waits: Vec<_> = (0..10).map(|_| tokio::spawn(child.cancelled())).collect();
    yield_now().await;
    assert!(waits.iter().all(|task| !task.is_finished()));
    handle.cancel("enough");
    for task in waits {
        assert_eq!(task.await.unwrap().message(), "enough");
    }
}

#[test]
fn dropping_the_handle_cancels_unless_it_was_detached() {
    let (ctx, handle) = Context::background().with_cancel();
    drop(handle);
    assert_eq!(ctx.status().unwrap().code(), Code::Cancelled);

    let (ctx, handle) = Context::background().with_cancel();
    handle.detach();
    assert!(!ctx.is_cancelled());
}

#[test]
fn values_are_looked_up_from_child_to_parent_by_type() {
    #[derive(Debug, PartialEq)]
    struct User(&'static str);

    let parent = Context::background().with_value(User("ada")).with_value(1_u32);
    let child = parent.with_value(User("bob"));
    assert_eq!(child.value::<User>().as_deref(), Some(&User("bob")));
    assert_eq!(child.value::<u32>().as_deref(), Some(&1));
    assert_eq!(child.value::<u64>(), None);
    assert_eq!(parent.value::<User>().as_deref(), Some(&User("ada")), "a parent does not see its children's");
}

#[tokio::test]
async fn a_parent_reads_what_its_children_put_into_its_slot() {
    type Slot = Mutex<Vec<&'static str>>;

    async fn note(text: &'static str) {
        let ctx = Context::current().with_value(7);
        ctx.value::<Slot>().unwrap().lock().unwrap().push(text);
    }

    let ctx = Context::background().with_value(Slot::default());
    ctx.scope(async { tokio::join!(note("one"), note("two")) }).await;
    assert_eq!(*ctx.value::<Slot>().unwrap().lock().unwrap(), ["one", "two"]);
}

#[test]
fn a_very_long_chain_is_dropped_without_recursion() {
    let mut ctx = Context::background();
    for n in 0..200_000 {
        ctx = ctx.with_value(n);
    }
    drop(ctx);
}

#[tokio::test]
async fn scopes_nest_and_are_left_again() {
    assert_eq!(current(), None);
    with(1)
        .scope(async {
            assert_eq!(current(), Some(1));
            with(2).scope(async { assert_eq!(current(), Some(2)) }).await;
            assert_eq!(with(3).sync_scope(current), Some(3));
            yield_now().await;
            assert_eq!(current(), Some(1));
            Context::background().scope(async { assert_eq!(current(), None) }).await;
            assert_eq!(current(), Some(1));
        })
        .await;
    assert_eq!(current(), None);
}

#[tokio::test]
async fn futures_that_share_a_task_keep_their_own_context() {
    async fn check(expected: Option<u32>) {
        for _ in 0..5 {
            assert_eq!(current(), expected);
            yield_now().await;
        }
    }
    tokio::join!(with(1).scope(check(Some(1))), with(2).scope(check(Some(2))), check(None));
}

#[tokio::test]
async fn a_panic_leaves_the_scope() {
    with(1)
        .scope(async {
            let panicked = catch_unwind(AssertUnwindSafe(|| with(2).sync_scope(|| panic!("on purpose"))));
            assert!(panicked.is_err());
            assert_eq!(current(), Some(1));
        })
        .await;
    let panicked = tokio::spawn(with(3).scope(async { panic!("on purpose") })).await;
    assert!(panicked.is_err());
    assert_eq!(current(), None);
}

#[tokio::test]
async fn what_a_future_holds_is_dropped_in_its_scope() {
    struct Look(Arc<Mutex<Vec<Option<u32>>>>);

    impl Drop for Look {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(current());
        }
    }

    let seen = Arc::new(Mutex::new(Vec::new()));
    let hold = || {
        let look = Look(seen.clone());
        async move {
            let _look = look;
            pending::<()>().await;
        }
    };
    drop(with(1).scope(hold()));
    drop(with(2).run(hold()));
    let (ctx, handle) = with(3).with_cancel();
    tokio::join!(ctx.run(hold()), async { handle.cancel("enough") }).0.unwrap_err();
    assert_eq!(*seen.lock().unwrap(), [Some(1), Some(2), Some(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_future_runs_until_its_context_ends() {
    let start = tokio::time::Instant::now();
    let dropped = Flag::default();
    let mut run = Box::pin(Context::current().with_timeout(ms(50)).run(endless::<()>(&dropped)));
    assert_eq!((&mut run).await.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(start.elapsed(), ms(50));
    assert!(dropped.is_set(), "at once, and not only with the future that ran it");
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_complete_in_time_is_left_alone() {
    let slow = async {
        tokio::time::sleep(ms(49)).await;
        7
    };
    assert_eq!(Context::current().with_timeout(ms(50)).run(slow).await.unwrap(), 7);

    // Complete in the very poll in which the context ends: the result counts.
    let (ctx, handle) = Context::current().with_cancel();
    assert!(ctx.run(async { handle.cancel("enough") }).await.unwrap());
}

#[tokio::test]
async fn in_a_context_that_has_ended_nothing_is_started() {
    let (ctx, handle) = Context::current().with_cancel();
    handle.cancel("before");
    let ran = Flag::default();
    assert_eq!(ctx.run(async { ran.set() }).await.unwrap_err().message(), "before");
    assert!(!ran.is_set());
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_always_busy_is_ended_too() {
    // It uses up what tokio allows a task in one poll, so that no timer polled after it is ever ready.
    async fn busy() {
        loop {
            tokio::task::consume_budget().await;
        }
    }
    let ctx = Context::current().with_timeout(ms(50));
    let (ended, ()) = tokio::join!(ctx.run(busy()), tokio::time::advance(ms(60)));
    assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_spawned_task_inherits_everything() {
    let trace = TraceContext::new_root();
    let ctx = with(7).with_trace(trace).with_timeout(ms(50));
    let task = ctx.sync_scope(|| {
        rpc_core::spawn(async {
            yield_now().await;
            (current(), Context::current().trace(), Context::current().remaining())
        })
    });
    assert_eq!(task.await.unwrap().unwrap(), (Some(7), Some(trace), Some(ms(50))));

    let plain = ctx.sync_scope(|| tokio::spawn(async { current() }));
    assert_eq!(plain.await.unwrap(), None, "tokio's own spawn leaves the context");
}

#[tokio::test(start_paused = true)]
async fn a_spawned_task_ends_with_its_context() {
    let (ctx, handle) = Context::current().with_cancel();
    let dropped = Flag::default();
    let task = ctx.sync_scope(|| rpc_core::spawn(endless::<()>(&dropped)));
    yield_now().await;
    assert!(!dropped.is_set());
    handle.cancel("enough");
    assert_eq!(task.await.unwrap().unwrap_err().to_string(), "CANCELLED: enough");
    assert!(dropped.is_set());

    let ctx = Context::current().with_timeout(ms(5));
    let dropped = Flag::default();
    let task = ctx.sync_scope(|| rpc_core::spawn(endless::<()>(&dropped)));
    assert_eq!(task.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    assert!(dropped.is_set());
}

#[tokio::test]
async fn a_spawned_task_outlives_the_scope_that_it_was_started_in() {
    let (go, gone) = oneshot::channel();
    let (ctx, _handle) = Context::current().with_cancel();
    let task = ctx.sync_scope(|| rpc_core::spawn(gone));
    go.send(7).unwrap();
    assert_eq!(task.await.unwrap().unwrap(), Ok(7));
}

#[tokio::test]
async fn a_group_gives_results_in_the_order_of_its_tasks() {
    let mut group = Group::new();
    for n in 0..5_u32 {
        group.spawn(async move {
            for _ in n..5 {
                yield_now().await;
            }
            Ok::<_, Status>(n)
        });
    }
    assert_eq!(group.join().await.unwrap(), [0, 1, 2, 3, 4]);
    assert!(Group::<u8>::new().join().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_first_error_of_a_group_cancels_the_rest() {
    let dropped = Flag::default();
    let mut group = Group::<()>::new();
    group.spawn(endless(&dropped));
    group.spawn(async { Err(Status::not_found("no user 7")) });
    // Nobody needs to join for that.
    let ended = group.context().cancelled().await;
    assert_eq!(ended.to_string(), "CANCELLED: another task of the group failed");
    assert_eq!(group.join().await.unwrap_err().to_string(), "NOT_FOUND: no user 7");
    assert!(dropped.is_set());
}

#[tokio::test]
async fn a_panic_in_a_group_is_an_error_and_cancels_the_rest() {
    let dropped = Flag::default();
    let mut group = Group::<()>::new();
    group.spawn(endless(&dropped));
    group.spawn(async { panic!("on purpose") });
    assert_eq!(group.join().await.unwrap_err().code(), Code::Internal);
    assert!(dropped.is_set());
}

#[tokio::test(start_paused = true)]
async fn a_group_inherits_and_ends_with_its_parent() {
    let mut group = Group::<Option<u32>>::within(&with(7));
    group.spawn(async { Ok(current()) });
    assert_eq!(group.join().await.unwrap(), [Some(7)]);

    let mut group = Group::<Option<u32>>::within(&with(7).with_timeout(ms(5)));
    group.spawn(async { Ok(current()) });
    group.spawn(pending());
    assert_eq!(group.join().await.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn dropping_a_group_aborts_its_tasks() {
    let dropped = Flag::default();
    let mut group = Group::<()>::new();
    group.spawn(endless(&dropped));
    yield_now().await;
    drop(group);
    yield_now().await;
    assert!(dropped.is_set());

    // The same for a join that is given up.
    let dropped = Flag::default();
    let mut group = Group::<()>::new();
    group.spawn(endless(&dropped));
    let mut join = Box::pin(group.join());
    assert!(join.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())).is_pending());
    yield_now().await;
    assert!(!dropped.is_set());
    drop(join);
    yield_now().await;
    assert!(dropped.is_set());
}

#[tokio::test]
async fn a_group_takes_errors_of_ones_own() {
    #[derive(Debug, PartialEq)]
    enum Failure {
        Mine,
        Framework(Code),
    }

    impl From<Status> for Failure {
        fn from(status: Status) -> Self {
            Self::Framework(status.code())
        }
    }

    let mut group = Group::<(), Failure>::new();
    group.spawn(ready(Err(Failure::Mine)));
    assert_eq!(group.join().await, Err(Failure::Mine));

    let (parent, handle) = Context::background().with_cancel();
    handle.cancel("before");
    let mut group = Group::<(), Failure>::within(&parent);
    group.spawn(ready(Err(Failure::Mine)));
    assert_eq!(group.join().await, Err(Failure::Framework(Code::Cancelled)));
}
