//! What the tour's processes do: each serves one service, says on its standard output where, and what happens to its
//! handlers. It ends when its standard input ends, which it does when the tour's process is gone.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use rpc_core::call::BoxFuture;
use rpc_core::middleware::{Service, layer_fn};
use rpc_core::server::Serve;
use rpc_core::{Context, Request, Response, Server, Status};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::sleep;

use crate::contract::*;
use crate::page::Shown;

/// The argument by which the program knows that it is one of these processes.
pub(crate) const ARGUMENT: &str = "--serve-for-the-tour";

/// Runs a process of this name and these arguments.
pub(crate) async fn run(args: Vec<String>) -> ExitCode {
    let args: Vec<_> = args.iter().map(String::as_str).collect();
    // A panic is part of the tour: what there is to say of it the caller gets as a status.
    std::panic::set_hook(Box::new(|_| {}));
    let served = match args[..] {
        ["post", at] => serve(PostServer::new(Office::default()), at).await,
        ["truck"] => serve(TruckServer::new(Stuck), "127.0.0.1:0").await,
        ["depot", truck] => match TruckClient::connect(truck).await {
            Ok(truck) => serve(DepotServer::new(Loader(truck)), "127.0.0.1:0").await,
            Err(error) => Err(error.into()),
        },
        ["desk", depot] => match DepotClient::connect(depot).await {
            Ok(depot) => serve(DeskServer::new(Clerk(depot)), "127.0.0.1:0").await,
            Err(error) => Err(error.into()),
        },
        _ => Err(format!("no service {args:?}").into()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}

async fn serve(service: impl Serve, at: &str) -> Shown {
    let server = Server::builder().service(service).layer(layer_fn(ServedBy)).bind(at).await?;
    println!("{}", server.local_addr());
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Some(command) = commands.next_line().await? {
        if let Some(limit) = command.strip_prefix("drain ") {
            let report = server.drain(Duration::from_millis(limit.parse()?)).await;
            println!("{report}");
            return Ok(());
        }
    }
    Ok(())
}

/// Tells with each reply which process it is from.
#[derive(Clone)]
struct ServedBy<S>(S);

impl<S> Service<Request> for ServedBy<S>
where
    S: Service<Request, Response = Response, Error = Status>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Status;
    type Future = BoxFuture<Result<Response, Status>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let called = self.0.call(request);
        Box::pin(async move {
            let mut response = called.await?;
            // A name of these characters is always taken.
            let _ = response.metadata_mut().insert("served-by", std::process::id().to_string());
            Ok(response)
        })
    }
}

/// Says that a handler was dropped before its end, and why.
struct Unfinished {
    what: String,
    began: Instant,
    finished: bool,
}

impl Unfinished {
    fn new(what: String) -> Self {
        println!("begun: {what}");
        Self { what, began: Instant::now(), finished: false }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        let why =
            Context::current().status().map_or_else(String::new, |status| format!(": {}", status.message()));
        println!("dropped: {} after {:.0?}{why}", self.what, self.began.elapsed());
    }
}

#[derive(Default)]
struct Office {
    notes: AtomicU64,
}

impl Post for Office {
    async fn price(&self, parcel: Parcel) -> Result<Quote, CounterError> {
        const LIMIT: u32 = 20_000;
        if parcel.grams > LIMIT {
            return Err(CounterError::TooHeavy { grams: parcel.grams, limit: LIMIT });
        }
        if parcel.to.city == "Atlantis" {
            return Err(CounterError::NoSuchPlace(parcel.to.city));
        }
        let (factor, days) = match parcel.speed {
            Speed::Standard => (1, 3),
            Speed::Express => (2, 1),
        };
        let insurance = match &parcel.contents {
            Contents::Letter { .. } => 0,
            Contents::Goods { cents, .. } => cents / 100,
        };
        Ok(Quote { cents: factor * u64::from(parcel.grams / 2) + insurance, days, parcel })
    }

    async fn surroundings(&self) -> Result<String, Status> {
        let ctx = Context::current();
        let tenant = ctx.metadata().get("tenant").unwrap_or("nobody").to_owned();
        Ok(format!("tenant {tenant}, {} ms left", ctx.remaining().map_or(0, |left| left.as_millis())))
    }

    async fn wait(&self, millis: u64) -> Result<u64, Status> {
        let mut unfinished = Unfinished::new(format!("wait({millis})"));
        sleep(Duration::from_millis(millis)).await;
        unfinished.finished = true;
        Ok(millis)
    }

    async fn note(&self, _text: String) -> Result<(), Status> {
        self.notes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn notes(&self) -> Result<u64, Status> {
        Ok(self.notes.load(Ordering::Relaxed))
    }

    async fn echo(&self, number: u64) -> Result<u64, Status> {
        Ok(number)
    }

    async fn stumble(&self) -> Result<(), Status> {
        panic!("a bug")
    }
}

struct Clerk(DepotClient);

impl Desk for Clerk {
    async fn deliver(&self, parcel: u64) -> Result<String, Status> {
        let _unfinished = Unfinished::new(format!("parcel {parcel} at the desk"));
        // Writes the label.
        sleep(Duration::from_millis(25)).await;
        self.0.load(parcel).await
    }
}

struct Loader(TruckClient);

impl Depot for Loader {
    async fn load(&self, parcel: u64) -> Result<String, Status> {
        let _unfinished = Unfinished::new(format!("parcel {parcel} at the depot"));
        // Finds the parcel.
        sleep(Duration::from_millis(50)).await;
        // More time than there is left is not to be had.
        self.0.drive(parcel).timeout(Duration::from_secs(60)).await
    }
}

struct Stuck;

impl Truck for Stuck {
    async fn drive(&self, parcel: u64) -> Result<String, Status> {
        let _unfinished = Unfinished::new(format!("parcel {parcel} on the truck"));
        sleep(Duration::from_secs(3600)).await;
        Ok(format!("parcel {parcel} is there"))
    }
}
