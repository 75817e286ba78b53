//! [`Group`]: tasks that stand or fall together.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::context::cancelled::CancelHandle;
use crate::context::context::Context;
use crate::status::Status;

/// Tasks under one child context: the first error cancels the rest.
///
/// The tasks inherit the deadline, cancellation and values of the context that the group was made in, and end with it.
/// Dropping the group, or the future of [`join`](Self::join), aborts them all: no task outlives its group.
///
/// ```
/// use rpc_core::Status;
/// use rpc_core::context::Group;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let mut group = Group::new();
/// for n in [1, 2, 3] {
///     group.spawn(async move { Ok::<_, Status>(n * n) });
/// }
/// assert_eq!(group.join().await.unwrap(), [1, 4, 9]);
///
/// let mut group = Group::new();
/// group.spawn(std::future::pending::<Result<(), Status>>());
/// group.spawn(async { Err(Status::not_found("no user 7")) });
/// assert_eq!(group.join().await.unwrap_err().message(), "no user 7");
/// # }
/// ```
#[derive(Debug)]
pub struct Group<T, E = Status> {
    context: Context,
    stop: Arc<Stop<E>>,
    // The number is the task's, in order of `spawn`. No result: it is in `stop`.
    tasks: JoinSet<Option<(usize, T)>>,
    spawned: usize,
}

/// What the first task to fail leaves.
#[derive(Debug)]
struct Stop<E> {
    handle: CancelHandle,
    error: Mutex<Option<E>>,
}

impl<E> Stop<E> {
    fn fail(&self, error: E) {
        // The error before the cancellation: tasks that see the latter report it as their own error, too late.
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            *first = Some(error);
        }
        drop(first);
        self.handle.cancel("another task of the group failed");
    }
}

impl<T, E> Default for Group<T, E>
where
    T: Send + 'static,
    E: From<Status> + Send + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<T, E> Group<T, E>
where
    T: Send + 'static,
    E: From<Status> + Send + 'static,
{
    /// An empty group, in a child of the [current](Context::current) context.
    pub fn new() -> Self {
        Self::within(&Context::current())
    }

    /// An empty group, in a child of this context.
    pub fn within(parent: &Context) -> Self {
        let (context, handle) = parent.with_cancel();
        let stop = Arc::new(Stop { handle, error: Mutex::new(None) });
        Self { context, stop, tasks: JoinSet::new(), spawned: 0 }
    }

    /// The context that the tasks run in. It ends as the first of them fails, and as the group is joined or dropped.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Starts a task of the group.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn spawn<F>(&mut self, future: F)
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let number = self.spawned;
        self.spawned += 1;
        let task = self.context.run(future);
        // A task that panics fails like any other: its siblings should not wait for `join` to find out.
        let mut fails = FailsOnDrop(Some(self.stop.clone()));
        self.tasks.spawn(async move {
            let result = task.await;
            let stop = fails.0.take();
            match (result.unwrap_or_else(|status| Err(status.into())), stop) {
                (Ok(value), _) => Some((number, value)),
                (Err(error), stop) => {
                    if let Some(stop) = stop {
                        stop.fail(error);
                    }
                    None
                }
            }
        });
    }

    /// Waits until every task has ended, and gives their results in the order in which they were started.
    ///
    /// Not cancel safe: dropping the future aborts the tasks.
    ///
    /// # Errors
    /// The first error, once the tasks that it cancelled have ended too. The end of the context counts as an error of
    /// each task that it ends; a panic is [`Code::Internal`](crate::Code::Internal).
    pub async fn join(mut self) -> Result<Vec<T>, E> {
        let mut values = Vec::with_capacity(self.spawned);
        while let Some(ended) = self.tasks.join_next().await {
            // A task without a value, or that panicked, has left its error behind.
            values.extend(ended.ok().flatten());
        }
        if let Some(error) = self.stop.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        values.sort_unstable_by_key(|(number, _)| *number);
        Ok(values.into_iter().map(|(_, value)| value).collect())
    }
}

/// Fails the group if a task is dropped before it has given its result: by a panic, or by an abort.
struct FailsOnDrop<E: From<Status>>(Option<Arc<Stop<E>>>);

impl<E: From<Status>> Drop for FailsOnDrop<E> {
    fn drop(&mut self) {
        if let Some(stop) = self.0.take() {
            stop.fail(Status::internal("a task of the group panicked").into());
        }
    }
}
