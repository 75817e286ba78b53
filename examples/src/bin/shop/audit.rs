//! The end of the day: what the customers saw is compared with what the shop wrote down.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use crate::fleet::Done;
use crate::follow::Followed;
use crate::load::{CUSTOMERS, Total, is_excused};
use crate::page::Page;
use crate::stock::ITEMS;

/// Checks everything, and says so. Whether all holds.
pub(crate) async fn audit(page: &Page, folder: &Path, total: &Total, followed: &Followed) -> Done<bool> {
    let (placed, repeated) =
        crate::orders::log(folder)?.look(|book| (book.placed.clone(), book.repeated)).await?;
    let (left, reserved) = crate::stock::log(folder)?
        .look(|warehouse| (warehouse.left.clone(), warehouse.told.values().filter(|told| **told).count()))
        .await?;
    let users = crate::users::log(folder)?.look(|directory| directory.count()).await?;

    let mut all = true;
    let mut claim = |holds: bool, text: String| {
        page.claim(holds, &text);
        all &= holds;
    };

    let (excused, failed): (Vec<_>, Vec<_>) = total.failures.iter().partition(|failure| is_excused(failure));
    for failure in failed.iter().take(5) {
        page.remark(&format!("{} failed at {:?}: {}", failure.method, failure.phase, failure.status));
    }
    claim(
        failed.is_empty(),
        format!(
            "of {} calls {} failed without an excuse: drains and idempotent calls lose none",
            total.calls,
            failed.len()
        ),
    );
    claim(
        excused.len() <= 2 * CUSTOMERS,
        format!("{} failed with one: a sign-up was under way at an instance that was killed", excused.len()),
    );

    let mut sold = BTreeMap::new();
    for order in &placed {
        *sold.entry(order.item.as_str()).or_insert(0) += order.quantity;
    }
    let orders = placed.len() as u64;
    claim(
        orders == total.orders && reserved as u64 == orders,
        format!(
            "{orders} orders, as many as customers have a number of, each placed once ({repeated} came twice)"
        ),
    );
    for (item, first) in ITEMS {
        let (sold, left) = (sold.get(item).copied().unwrap_or(0), left.get(item).copied().unwrap_or(0));
        claim(sold + left == first, format!("{item}: {sold} sold + {left} left = {first}"));
    }
    let excused = excused.len() as u64;
    claim(
        (total.users..=total.users + excused).contains(&users),
        format!("{users} users, {} of them know it", total.users),
    );
    let (seen, wrong) = (followed.orders.load(Relaxed), followed.wrong.load(Relaxed));
    claim(
        seen == orders && wrong == 0,
        format!(
            "{seen} orders were followed, each once and in order, over {} streams of which {} broke off",
            followed.streams.load(Relaxed),
            followed.broken.load(Relaxed)
        ),
    );
    Ok(all)
}
