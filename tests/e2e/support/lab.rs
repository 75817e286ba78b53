//! A service that does what the test says, and writes down what it did.

use std::collections::HashMap;
use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use rpc_core::{Context, Status, service};
use tokio::sync::Semaphore;

use super::wait::until;

/// Does what the test says.
#[service(name = "test.Lab", codecs(Protobuf, Json))]
pub(crate) trait Lab {
    /// Gives back what it was given.
    #[rpc(idempotent)]
    async fn echo(&self, text: String) -> Result<String, Status>;

    /// Gives back these bytes.
    async fn blob(&self, data: Bytes) -> Result<Bytes, Status>;

    /// Gives this many bytes.
    async fn grow(&self, size: u32) -> Result<Bytes, Status>;

    /// Runs the test's handler.
    async fn run(&self, input: String) -> Result<String, Status>;

    /// Runs the test's handler, and tells nobody.
    #[rpc(oneway)]
    async fn note(&self, input: String) -> Result<(), Status>;
}

type Answer = Pin<Box<dyn Future<Output = Result<String, Status>> + Send>>;

/// The lab whose `run` and `note` are a closure of the test.
#[derive(Clone)]
pub(crate) struct Bed {
    handler: Arc<dyn Fn(String) -> Answer + Send + Sync>,
    log: Log,
}

impl Bed {
    /// Runs this closure.
    pub(crate) fn new<F, Fut>(handler: F) -> Self
    where
        F: Fn(String) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, Status>> + Send + 'static,
    {
        Self { handler: Arc::new(move |input| Box::pin(handler(input))), log: Log::default() }
    }

    /// Gives back what it is given.
    pub(crate) fn echoing() -> Self {
        Self::new(async |input| Ok(input))
    }

    /// The same, and notes what the handler's call had left of its time.
    pub(crate) fn timed() -> (Self, Arc<Mutex<Option<Duration>>>) {
        let left = Arc::new(Mutex::new(None));
        let note = left.clone();
        let bed = Self::new(move |input| {
            *note.lock().unwrap() = Context::current().remaining();
            async move { Ok(input) }
        });
        (bed, left)
    }

    /// Never answers.
    pub(crate) fn stuck() -> Self {
        Self::new(|_| pending())
    }

    /// Answers once the gate lets it; and the gate.
    pub(crate) fn gated() -> (Self, Gate) {
        let gate = Gate::default();
        let inside = gate.clone();
        let bed = Self::new(move |input| {
            let gate = inside.clone();
            async move {
                gate.pass().await;
                Ok(input)
            }
        });
        (bed, gate)
    }

    pub(crate) fn log(&self) -> Log {
        self.log.clone()
    }

    async fn handle(&self, input: String) -> Result<String, Status> {
        let mut visit = self.log.visit(&input);
        let result = (self.handler)(input).await;
        visit.finished = true;
        result
    }
}

impl Lab for Bed {
    async fn echo(&self, text: String) -> Result<String, Status> {
        self.log.visit(&text).finished = true;
        Ok(text)
    }

    async fn blob(&self, data: Bytes) -> Result<Bytes, Status> {
        self.log.visit("blob").finished = true;
        Ok(data)
    }

    async fn grow(&self, size: u32) -> Result<Bytes, Status> {
        self.log.visit("grow").finished = true;
        Ok(vec![b'x'; size as usize].into())
    }

    async fn run(&self, input: String) -> Result<String, Status> {
        self.handle(input).await
    }

    async fn note(&self, input: String) -> Result<(), Status> {
        self.handle(input).await.map(drop)
    }
}

impl fmt::Debug for Bed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bed").field("log", &self.log).finish_non_exhaustive()
    }
}

/// What handlers wait at until the test lets them go on.
#[derive(Clone, Debug)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Default for Gate {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Gate {
    /// Waits for a place, and takes it.
    pub(crate) async fn pass(&self) {
        self.0.acquire().await.unwrap().forget();
    }

    /// Lets one pass.
    pub(crate) fn pass_one(&self) {
        self.0.add_permits(1);
    }

    /// Lets everybody pass from now on.
    pub(crate) fn open(&self) {
        self.0.add_permits(1_000_000);
    }
}

/// What the handlers of a server did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    started: usize,
    finished: usize,
    dropped: usize,
    inputs: HashMap<String, usize>,
}

/// One run of a handler; its drop is written down.
#[derive(Debug)]
struct Visit {
    log: Log,
    finished: bool,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut counts = self.log.lock();
        if self.finished {
            counts.finished += 1;
        } else {
            counts.dropped += 1;
        }
    }
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap()
    }

    fn visit(&self, input: &str) -> Visit {
        let mut counts = self.lock();
        counts.started += 1;
        *counts.inputs.entry(input.to_owned()).or_default() += 1;
        Visit { log: self.clone(), finished: false }
    }

    /// Handlers that were begun.
    pub(crate) fn started(&self) -> usize {
        self.lock().started
    }

    /// Handlers that gave a result.
    pub(crate) fn finished(&self) -> usize {
        self.lock().finished
    }

    /// Handlers that were dropped, or panicked, before they gave one.
    pub(crate) fn dropped(&self) -> usize {
        self.lock().dropped
    }

    /// Handlers that run now.
    pub(crate) fn running(&self) -> usize {
        let counts = self.lock();
        counts.started - counts.finished - counts.dropped
    }

    /// How often a handler was begun with this input.
    pub(crate) fn runs(&self, input: &str) -> usize {
        self.lock().inputs.get(input).copied().unwrap_or(0)
    }

    /// Waits until this many handlers run.
    #[track_caller]
    pub(crate) fn until_running(&self, count: usize) -> impl Future<Output = ()> {
        until("that many handlers run", move || self.running() == count)
    }
}
