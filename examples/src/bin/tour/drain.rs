//! The orderly end: what runs may finish, what is late is named.

use std::time::{Duration, Instant};

use rpc_core::{Certainty, Code};
use tokio::time::sleep;

use crate::contract::*;
use crate::page::{Page, Shown};
use crate::process::Process;

pub(crate) async fn show(page: &mut Page, mut post: Process) -> Shown {
    page.title("Drain", "no new calls, what runs may finish, at the limit the rest is cut off and named");
    let ms = Duration::from_millis;
    let client = PostClient::connect(post.address()).await?;
    let quick = client.wait(200).start();
    let endless = client.wait(60_000).timeout(Duration::from_secs(100)).start();
    post.hear("begun: wait(60000)").await?;

    let began = Instant::now();
    post.tell_to_drain(ms(400)).await?;
    while client.channel().snapshot().connected && began.elapsed() < Duration::from_secs(2) {
        sleep(ms(1)).await;
    }
    let refused = client.echo(1).await.err().ok_or("a server that drains took a call")?;
    page.row("a new call", &format!("{} ({:?})", refused.code(), refused.certainty()));
    page.check(
        refused.code() == Code::Unavailable && refused.certainty().is_safe_to_retry(),
        format!("a call that comes too late has not run, and says so: {refused}"),
    )?;

    let finished = quick.await?;
    page.row("wait(200)", &format!("finished, {:.0?} into the drain", began.elapsed()));
    page.check(finished == 200, "what runs may finish")?;

    let cut = endless.await.err().ok_or("an endless call ended")?;
    page.row("wait(60000)", &format!("{} ({:?})", cut.message(), cut.certainty()));
    page.check(
        cut.code() == Code::Unavailable && cut.certainty() == Certainty::Executed,
        format!("what is cut off is told, and told that it had begun: {cut}"),
    )?;

    let report = post.report().await?;
    page.row("the report", &report);
    page.check(report.contains("tour.v1.Post/Wait"), "the report names what was late")?;
    page.check(began.elapsed() < Duration::from_secs(1), "a drain ends at its limit")
}
