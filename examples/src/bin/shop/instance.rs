//! What one process of the shop does: serves one service, announced under its name, until it is told to drain or its
//! standard input ends, which it does when the program that started it is gone.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use rpc_core::Server;
use rpc_core::middleware::{Next, from_fn};
use rpc_core::server::Serve;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::interval;

use crate::contract::{
    GatewayServer, OrdersClient, OrdersServer, StockClient, StockServer, UsersClient, UsersServer, gateway,
    orders, stock, users,
};
use crate::gateway::FrontDoor;
use crate::orders::OrdersInFile;
use crate::place::Place;
use crate::stock::StockInFile;
use crate::users::UsersInFile;

/// The argument by which the program knows that it is one of these processes. After it come the service, the folder, and
/// etcd's address if it is used.
pub(crate) const ARGUMENT: &str = "--serve-for-the-shop";

/// How long clients may take to hear that an instance drains. They look into the registry's files ten times a second.
const PROPAGATION: Duration = Duration::from_millis(300);

/// How long calls that are under way at a drain may take.
const DRAIN: Duration = Duration::from_secs(10);

pub(crate) async fn run(args: Vec<String>) -> ExitCode {
    match serve(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shop: {}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}

async fn serve(args: &[String]) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (service, folder, etcd) = match args {
        [service, folder] => (service, folder, None),
        [service, folder, etcd] => (service, folder, Some(etcd.as_str())),
        _ => return Err("takes a service, a folder, and perhaps etcd's address".into()),
    };
    let place = Place::open(Path::new(folder), etcd).await?;
    let folder = place.folder();
    let users = || place.channel(users::DESCRIPTOR.name).map(UsersClient::new);
    let stock = || place.channel(stock::DESCRIPTOR.name).map(StockClient::new);
    let orders = || place.channel(orders::DESCRIPTOR.name).map(OrdersClient::new);
    match service.as_str() {
        "users" => announce(&place, UsersServer::new(UsersInFile::open(folder)?)).await,
        "stock" => announce(&place, StockServer::new(StockInFile::open(folder)?)).await,
        "orders" => {
            let log = crate::orders::log(folder)?;
            let orders = OrdersInFile { log, users: users()?, stock: stock()? };
            announce(&place, OrdersServer::new(orders)).await
        }
        "gateway" => {
            let door = FrontDoor { users: users()?, stock: stock()?, orders: orders()? };
            announce(&place, GatewayServer::new(door)).await
        }
        _ => Err(format!("there is no service {service:?} in {}", gateway::DESCRIPTOR.name).into()),
    }
}

async fn announce(place: &Place, service: impl Serve) -> Result<(), Box<dyn Error + Send + Sync>> {
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    let server = Server::builder()
        .service(service)
        .layer(from_fn(move |request, next: Next| {
            counted.fetch_add(1, Relaxed);
            async move { next.run(request).await }
        }))
        .announce(place.registry())
        .announce_required(Duration::from_secs(10))
        .propagation(PROPAGATION)
        .bind("127.0.0.1:0")
        .await?;
    say(&format!("at {}", server.local_addr()))?;

    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    let mut tick = interval(Duration::from_millis(100));
    loop {
        tokio::select! {
            command = commands.next_line() => match command?.as_deref() {
                Some("drain") => break,
                Some(other) => return Err(format!("it was told {other:?}").into()),
                None => return Ok(()),
            },
            _ = tick.tick() => say(&format!("calls {}", calls.load(Relaxed)))?,
        }
    }
    let report = server.drain(DRAIN).await;
    say(&format!("calls {}", calls.load(Relaxed)))?;
    say(&report.to_string())?;
    Ok(())
}

/// To whom started it. An error if that one is gone.
fn say(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}
