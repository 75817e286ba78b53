//! A small shop: four services, several instances of each, and what happens to its customers when instances come, go,
//! die and hang.
//!
//! ```text
//! cargo run --bin shop
//! cargo run --bin shop -- --seconds 60 --instances 5
//! cargo run --bin shop --features etcd -- --etcd 127.0.0.1:2379
//! ```
//!
//! Each instance is a process of its own. They find each other in files, or in etcd; nobody knows an address. At the end
//! what the customers saw is compared with what the shop wrote down, and the exit code is 0 only if all that is claimed
//! holds.
//!
//! In reading order: `contract` (the services), `gateway`, `orders`, `stock`, `users` (what they do), `log` (what they keep),
//! `place` (registry and channels), `instance` (a process); then the other side, `options`, `fleet` (the processes),
//! `load`, `follow`, `page`, `scenario`, `audit`.

mod audit;
mod contract;
mod fleet;
mod follow;
mod gateway;
mod instance;
mod load;
mod log;
mod options;
mod orders;
mod page;
mod place;
mod scenario;
mod stock;
mod users;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use contract::GatewayClient;
use fleet::{Done, Fleet};
use follow::Followed;
use load::Figures;
use options::Options;
use page::Page;
use place::Place;
use scenario::Shop;

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    if args.next_if(|arg| arg == instance::ARGUMENT).is_some() {
        return instance::run(args.collect()).await;
    }
    if args.next_if(|arg| arg == "--help").is_some() {
        println!("{}", options::USAGE);
        return ExitCode::SUCCESS;
    }
    let options = match Options::read(args) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("{error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };

    let folder = std::env::temp_dir().join(format!("courier-shop-{}", std::process::id()));
    let shown = tokio::select! {
        shown = run(&options, &folder) => shown,
        // What is dropped here takes the processes with it.
        _ = tokio::signal::ctrl_c() => Err("it was interrupted".into()),
    };
    // Nothing there is no reason to complain.
    let _ = std::fs::remove_dir_all(&folder);
    match shown {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("The shop breaks off: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all that is claimed holds.
async fn run(options: &Options, folder: &Path) -> Done<bool> {
    std::fs::create_dir_all(folder)?;
    let page = Page::new();
    let place = Place::open(folder, options.etcd.as_deref()).await?;
    let fleet = Arc::new(Fleet::new(folder.to_owned(), options.etcd.clone()));
    let mut shop = Shop::open(&fleet, options.instances).await?;
    page.event(&format!("{} instances of four services are open", fleet.seats().len()));

    let gateway = GatewayClient::new(place.channel(contract::gateway::DESCRIPTOR.name)?);
    let (figures, followed) = (Arc::new(Figures::default()), Arc::new(Followed::default()));
    let customers = load::begin(&gateway, &figures);
    // Both end with this function, however it ends.
    let mut beside = tokio::task::JoinSet::new();
    beside.spawn(follow::follow(gateway, followed.clone()));
    beside.spawn(page.rows(fleet.clone(), figures.clone()));

    if options.calm {
        shop.calm(options).await;
    } else {
        shop.trouble(options, &fleet, &figures, &page).await?;
    }

    figures.phase("end");
    figures.stop();
    customers.join_all().await;
    let total = figures.total();
    catch_up(&followed, total.orders).await;
    beside.shutdown().await;
    shop.close().await?;
    page.event("the shop is closed; what was seen, and what was written down:");
    let holds = audit::audit(&page, folder, &total, &followed).await?;
    page.end(holds, if holds { "All as claimed." } else { "Not all is as claimed." });
    Ok(holds)
}

/// Waits until the follower has seen so many orders; not for ever, since that it does is what is checked afterwards.
async fn catch_up(followed: &Followed, orders: u64) {
    let patience = Duration::from_secs(10);
    let _ = tokio::time::timeout(patience, async {
        while followed.orders.load(Relaxed) < orders {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
