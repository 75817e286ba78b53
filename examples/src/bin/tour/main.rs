//! The tour: everything that Courier does today, in one run of a few seconds.
//!
//! ```text
//! cargo run --bin tour
//! ```
//!
//! It starts its services in processes of their own (by running itself with a hidden argument), calls them in every way
//! there is, and shows what came of it. Whatever it says it has checked: it ends with exit code 0 only if everything
//! was as claimed.
//!
//! In reading order: `contract` (the services, as traits), `child` (what the processes do), `process` (how they are
//! started, heard and ended), `page` (what a person sees), then the sections of the tour: `calls`, `codecs`, `errors`,
//! `hops` (deadlines and cancellation over three processes), `restart`, `drain`, `speed`.

mod calls;
mod child;
mod codecs;
mod contract;
mod drain;
mod errors;
mod hops;
mod page;
mod process;
mod restart;
mod speed;

use std::process::ExitCode;

use page::{Page, Shown};
use process::Process;

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        None => {}
        Some(child::ARGUMENT) => return child::run(args.collect()).await,
        Some(other) => {
            eprintln!("unexpected argument {other:?}; usage: tour");
            return ExitCode::from(2);
        }
    }

    let mut page = Page::new();
    let shown = tokio::select! {
        shown = tour(&mut page) => shown,
        // What is dropped here takes the processes with it.
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match shown {
        Ok(()) => {
            page.end();
            ExitCode::SUCCESS
        }
        Err(error) => {
            page.failed(&*error);
            ExitCode::FAILURE
        }
    }
}

async fn tour(page: &mut Page) -> Shown {
    page.title("Four services", "each in a process of its own");
    let mut post = Process::start(&["post", "127.0.0.1:0"]).await?;
    let mut truck = Process::start(&["truck"]).await?;
    let mut depot = Process::start(&["depot", truck.address()]).await?;
    let mut desk = Process::start(&["desk", depot.address()]).await?;
    for process in [&post, &desk, &depot, &truck] {
        page.row(process.name(), &format!("process {} at {}", process.id(), process.address()));
    }

    calls::show(page, &mut post).await?;
    codecs::show(page, &post).await?;
    errors::show(page, &post).await?;
    hops::deadline(page, &desk).await?;
    hops::cancel(page, [&mut desk, &mut depot, &mut truck]).await?;
    let post = restart::show(page, post).await?;
    speed::show(page, &post).await?;
    drain::show(page, post).await
}
