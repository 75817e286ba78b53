//! Every way to make a call.

use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::contract::*;
use crate::page::{Page, Shown};
use crate::process::Process;

pub(crate) async fn show(page: &mut Page, process: &mut Process) -> Shown {
    page.title("Calls", "a method gives a call: a future with options");
    let post = PostClient::connect(process.address()).await?;
    let ms = Duration::from_millis;

    let began = Instant::now();
    let echoed = post.echo(42).await?;
    page.row("await", &format!("echo(42) = {echoed} from another process, in {:.1?}", began.elapsed()));
    page.check(echoed == 42, "a call gives what the method returned")?;

    let seen = post.surroundings().timeout(ms(200)).metadata("tenant", "acme").await?;
    page.row("options", &format!("timeout 200 ms, metadata tenant=acme; the server saw: {seen}"));
    page.check(
        seen.starts_with("tenant acme, 1"),
        format!("the server sees tenant and time, but saw {seen:?}"),
    )?;

    let reply = post.wait(20).reply().await?;
    let timings = reply.timings;
    page.row(
        "reply()",
        &format!(
            "queue {:.0?}, handler {:.1?}, network {:.1?}; metadata served-by={}",
            timings.queue,
            timings.handler,
            timings.network,
            reply.metadata.get("served-by").unwrap_or("nobody")
        ),
    );
    page.check(timings.handler >= ms(20), "a handler that sleeps 20 ms is seen to take 20 ms")?;
    page.check(
        reply.metadata.get("served-by") == Some(process.id().to_string().as_str()),
        "the server's layer tells its process by the reply's metadata",
    )?;

    let began = Instant::now();
    let (one, two) = (post.wait(60).start(), post.wait(61).start());
    let both = (one.await?, two.await?);
    let took = began.elapsed();
    page.row("start()", &format!("two calls of 60 ms under way at once took {took:.0?} together"));
    page.check(both == (60, 61) && took < ms(115), "started calls run at the same time")?;

    let (tell, told) = oneshot::channel();
    post.echo(7).on_complete(move |result| drop(tell.send(result)));
    let told = told.await??;
    page.row("on_complete", &format!("the callback got {told}"));
    page.check(told == 7, "a callback gets the result")?;

    const NOTES: u64 = 1_000;
    let began = Instant::now();
    for note in 0..NOTES {
        post.note(format!("note {note}")).await?;
    }
    let handed = began.elapsed();
    while post.notes().await? < NOTES {
        if began.elapsed() > Duration::from_secs(5) {
            return page.check(false, "every oneway call arrives");
        }
        sleep(ms(1)).await;
    }
    page.row(
        "oneway",
        &format!(
            "{NOTES} notes handed over in {handed:.1?}; all had run {:.1?} later",
            began.elapsed() - handed
        ),
    );
    page.check(post.notes().await? == NOTES, "every oneway call runs once")?;

    let call = post.wait(60_000).start();
    process.hear("begun: wait(60000)").await?;
    drop(call);
    let heard = process.hear("dropped: wait(60000)").await?;
    page.row("drop", &format!("the server says \"{heard}\""));
    page.check(heard.contains("the caller cancelled"), format!("a dropped call is cancelled: {heard}"))
}
