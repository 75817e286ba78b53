//! What happens to the shop while it is open: an instance more, a rolling restart, two that are killed, one that is
//! stopped and goes on.
//!
//! Whatever is awaited is awaited by what the instances say, not by the clock: the run takes as long as the machine needs.

use std::time::Duration;

use tokio::time::sleep;

use crate::fleet::{Done, Fleet, Instance};
use crate::load::Figures;
use crate::options::Options;
use crate::page::Page;

/// So many calls show that an instance gets its share.
const SHARE: u64 = 20;

/// How long starting and draining take, about.
const RESTARTS: Duration = Duration::from_secs(4);

/// How long an instance hangs at least: longer than channels have patience.
const HANG: Duration = Duration::from_secs(2);

/// The services behind the gateways, of which there are several instances each.
const BEHIND: [&str; 3] = ["users", "stock", "orders"];

/// The instances that run.
pub(crate) struct Shop {
    gateways: Vec<Instance>,
    users: Vec<Instance>,
    stock: Vec<Instance>,
    orders: Vec<Instance>,
}

impl Shop {
    /// Starts everything; who starts first does not matter.
    pub(crate) async fn open(fleet: &Fleet, instances: u32) -> Done<Self> {
        let several = async |service, count| {
            let mut all = Vec::new();
            for _ in 0..count {
                all.push(fleet.add(service).await?);
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(all)
        };
        let [users, stock, orders] = BEHIND.map(|service| several(service, instances));
        let (gateways, users, stock, orders) = tokio::try_join!(several("gateway", 2), users, stock, orders)?;
        Ok(Self { gateways, users, stock, orders })
    }

    /// Nothing happens, for the whole time.
    pub(crate) async fn calm(&self, options: &Options) {
        sleep(options.time).await;
    }

    /// Everything happens. The instances that are left keep running.
    pub(crate) async fn trouble(
        &mut self,
        options: &Options,
        fleet: &Fleet,
        figures: &Figures,
        page: &Page,
    ) -> Done {
        // The restarts take their time; what is left is divided.
        let pause = (options.time.saturating_sub(RESTARTS) / 8).max(Duration::from_millis(300));
        figures.phase("start");
        sleep(pause).await;

        figures.phase("add");
        let added = fleet.add("stock").await?;
        page.event(&format!("{} is added", added.seat.name()));
        added.seat.served(SHARE).await?;
        self.stock.push(added);
        sleep(pause).await;

        figures.phase("drain");
        page.event("rolling restart: a new one for each of orders, and for gateway 1; the old one drains");
        let first = self.gateways.remove(0);
        for old in self.orders.drain(..).chain([first]).collect::<Vec<_>>() {
            let new = fleet.add(old.seat.service).await?;
            let (went, came) = (old.seat.name(), new.seat.name());
            let report = old.drain().await?;
            page.remark(&format!("{went}: {report}; {came} takes over"));
            new.seat.served(SHARE).await?;
            if new.seat.service == "orders" { self.orders.push(new) } else { self.gateways.push(new) }
        }
        sleep(pause).await;

        figures.phase("kill");
        for service in [&mut self.users, &mut self.orders] {
            let killed = service.remove(0);
            let name = killed.seat.name();
            killed.kill().await?;
            let new = fleet.add(service[0].seat.service).await?;
            page.event(&format!("kill -9 {name}; {} is started", new.seat.name()));
            new.seat.served(SHARE).await?;
            service.push(new);
            sleep(pause).await;
        }

        figures.phase("stop");
        let stopped = &self.stock[0];
        page.event(&format!("kill -STOP {}", stopped.seat.name()));
        stopped.stop_for(HANG.max(pause * 2)).await?;
        page.event(&format!("kill -CONT {}", stopped.seat.name()));
        stopped.seat.served(SHARE).await?;
        sleep(pause / 2).await;
        Ok(())
    }

    /// Drains all that are left: those first that call the others.
    pub(crate) async fn close(self) -> Done {
        for service in [self.gateways, self.orders, self.stock, self.users] {
            let mut drains = tokio::task::JoinSet::new();
            for instance in service {
                drains.spawn(instance.drain());
            }
            while let Some(drained) = drains.join_next().await {
                drained??;
            }
        }
        Ok(())
    }
}
