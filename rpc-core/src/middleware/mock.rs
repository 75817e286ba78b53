//! A service by script, for the tests of layers: it answers what it was told to, and remembers what it was asked.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::Instant;

use tower::Service;

use crate::call::{MethodDescriptor, Request, Response};
use crate::context::TraceContext;
use crate::status::Status;

pub(crate) static ONCE: MethodDescriptor = MethodDescriptor::new("Mock", "Once", "Mock/Once", 0);
pub(crate) static IDEMPOTENT: MethodDescriptor =
    MethodDescriptor::new("Mock", "Idempotent", "Mock/Idempotent", 1).with_idempotent();

pub(crate) fn request(method: &'static MethodDescriptor) -> Request {
    Request::new(method, 0, "")
}

/// Answers in order; when there is nothing more to answer it hangs.
#[derive(Clone)]
pub(crate) struct Script(Arc<Mutex<Played>>);

/// What is still to be answered, and what was asked.
type Played = (VecDeque<Result<Response, Status>>, Vec<Request>);

impl Script {
    pub(crate) fn new(answers: Vec<Result<Response, Status>>) -> Self {
        Self(Arc::new(Mutex::new((answers.into(), Vec::new()))))
    }

    pub(crate) fn hangs() -> Self {
        Self::new(Vec::new())
    }

    fn seen<T>(&self, look: impl Fn(&Request) -> T) -> Vec<T> {
        self.0.lock().unwrap().1.iter().map(look).collect()
    }

    /// The number of each attempt, and whether it had the retry bit.
    pub(crate) fn attempts(&self) -> Vec<(u32, bool)> {
        self.seen(|request| (request.attempt(), request.is_retry()))
    }

    pub(crate) fn deadlines(&self) -> Vec<Option<Instant>> {
        self.seen(Request::deadline)
    }

    pub(crate) fn traces(&self) -> Vec<Option<TraceContext>> {
        self.seen(Request::trace)
    }

    pub(crate) fn contexts(&self) -> Vec<Option<TraceContext>> {
        self.seen(|request| request.context().trace())
    }
}

impl Service<Request> for Script {
    type Response = Response;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (answers, seen) = &mut *self.0.lock().unwrap();
        seen.push(request);
        match answers.pop_front() {
            Some(answer) => Box::pin(std::future::ready(answer)),
            None => Box::pin(std::future::pending()),
        }
    }
}
