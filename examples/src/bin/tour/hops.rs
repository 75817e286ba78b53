//! Three hops: a deadline that all of them share, and a cancellation that reaches all of them.

use std::time::{Duration, Instant};

use rpc_core::{Code, Hop};

use crate::contract::*;
use crate::page::{Page, Shown};
use crate::process::Process;

/// What the whole delivery may take.
const BUDGET: Duration = Duration::from_millis(250);

/// A deadline crosses the desk, the depot and the truck, and the error says where its time went.
pub(crate) async fn deadline(page: &mut Page, desk: &Process) -> Shown {
    page.title("A deadline over three hops", "desk, depot and truck share it, with nothing passed along");
    let client = DeskClient::connect(desk.address()).await?;
    let began = Instant::now();
    let error = client.deliver(1).timeout(BUDGET).await.err().ok_or("a truck in traffic arrived")?;
    let took = began.elapsed();
    page.row("error", &format!("{} after {took:.0?}", error.code()));
    page.remark(error.message());
    page.check(error.code() == Code::DeadlineExceeded, "a call that is too slow is DEADLINE_EXCEEDED")?;
    page.check(took < BUDGET + Duration::from_millis(100), format!("a deadline is kept, but took {took:?}"))?;

    // What one hop had, less what the next one had, it spent itself: waiting, working, and on the way.
    let hops = error.hops();
    let methods: Vec<_> = hops.iter().map(|hop| hop.method.as_str()).collect();
    page.check(
        methods == ["tour.v1.Desk/Deliver", "tour.v1.Depot/Load", "tour.v1.Truck/Drive"],
        format!("the error tells of every hop, but told of {methods:?}"),
    )?;
    let whole = ms(BUDGET);
    page.row("hop", &format!("{:<42} {:>9}  {:>9}", "where the 250 ms went", "had", "spent"));
    for (index, hop) in hops.iter().enumerate() {
        let next = hops.get(index + 1).map_or(Duration::ZERO, |next| next.budget);
        let spent = ms(hop.budget.saturating_sub(next));
        let bar = page.bar(whole - ms(hop.budget), spent, whole);
        page.row(short(hop), &format!("{bar}   {:>6.1} ms  {spent:>6.1} ms", ms(hop.budget)));
    }
    if let Some(first) = hops.first()
        && let (Some(queue), Some(network)) = (first.queue, first.network())
    {
        page.remark(&format!(
            "of it {queue:.0?} in the desk's queue, {network:.1?} on the way there and back"
        ));
    }
    page.check(
        hops.is_sorted_by(|one, next| one.budget > next.budget),
        "no hop has more time than the one before",
    )?;
    page.check(
        hops[0].budget <= BUDGET && whole - ms(hops[0].budget) < 5.0,
        "the first hop has the whole budget",
    )?;
    page.check(ms(hops[0].budget - hops[1].budget) >= 25.0, "the desk's 25 ms are in the report")?;
    page.check(ms(hops[1].budget - hops[2].budget) >= 50.0, "the depot's 50 ms are in the report")
}

/// Dropping a call at the client drops three handlers in three processes.
pub(crate) async fn cancel(page: &mut Page, processes: [&mut Process; 3]) -> Shown {
    page.title(
        "Cancellation over three hops",
        "the client drops its call; every handler is dropped at its next await",
    );
    let client = DeskClient::connect(processes[0].address()).await?;
    let call = client.deliver(2).start();
    let [desk, depot, truck] = processes;
    truck.hear("begun: parcel 2").await?;
    let began = Instant::now();
    drop(call);
    for process in [desk, depot, truck] {
        let heard = process.hear("dropped: parcel 2").await?;
        page.row(process.name(), &heard);
        page.check(heard.contains("cancelled the call"), format!("the handler knows why: {heard}"))?;
    }
    let took = began.elapsed();
    page.row("all three", &format!("{took:.1?} after the drop"));
    page.check(took < Duration::from_secs(1), "a cancellation reaches the last hop at once")
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The method without its package: there is little room.
fn short(hop: &Hop) -> &str {
    hop.method.rsplit('.').next().unwrap_or(&hop.method)
}
