//! The service `Orders`: asks users and stock, and writes the order down.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use rpc_core::{Code, Status, Streaming};
use tokio::time::{Instant, sleep};

use crate::contract::{
    GetUserRequest, Order, Orders, Placed, ReserveRequest, ShopError, StockClient, UsersClient,
};
use crate::log::{Log, State, word};

/// How long a watch lives. Short, so that a server that drains need not wait for it, and that watches go where new
/// instances are.
const WATCH: Duration = Duration::from_millis(500);

/// How often a watch looks for new orders.
const LOOK: Duration = Duration::from_millis(50);

/// How many orders a watch reads at once.
const PAGE: usize = 256;

/// All orders, in order. Line: key, user, item, quantity.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) placed: Vec<Order>,
    /// Where the order with a key is. The first line with it counts.
    numbers: HashMap<String, u64>,
    /// How many lines came with a key that was there already.
    pub(crate) repeated: u64,
}

impl State for Book {
    fn apply(&mut self, words: &[&str]) {
        if let [key, user, item, quantity] = *words
            && let (Ok(user), Ok(quantity)) = (user.parse(), quantity.parse())
        {
            if self.numbers.contains_key(key) {
                self.repeated += 1;
                return;
            }
            self.numbers.insert(key.to_owned(), self.placed.len() as u64);
            self.placed.push(Order { key: key.to_owned(), user, item: item.to_owned(), quantity });
        }
    }
}

impl Book {
    fn page(&self, from: u64) -> Vec<Placed> {
        let at = usize::try_from(from).unwrap_or(usize::MAX);
        let orders = self.placed.iter().skip(at).take(PAGE).cloned();
        (from..).zip(orders).map(|(number, order)| Placed { number, order }).collect()
    }
}

pub(crate) struct OrdersInFile {
    pub(crate) log: Log<Book>,
    pub(crate) users: UsersClient,
    pub(crate) stock: StockClient,
}

pub(crate) fn log(folder: &Path) -> std::io::Result<Log<Book>> {
    Log::open(folder, "orders.log")
}

impl Orders for OrdersInFile {
    /// May be broken off anywhere and run again, by any instance: each step does nothing the second time.
    async fn place(&self, order: Order) -> Result<u64, ShopError> {
        word("a key", &order.key)?;
        // Deadline and cancellation of our caller hold for these calls too, with nothing to pass along.
        let user = GetUserRequest { id: order.user };
        self.users.get_user(user).await.map_err(|status| match status.code() {
            Code::NotFound => ShopError::NoSuchUser(order.user),
            _ => status.into(),
        })?;
        let Order { key, item, quantity, .. } = order.clone();
        let reply = self.stock.reserve(ReserveRequest { key, item, quantity }).await?;
        if !reply.reserved {
            return Err(ShopError::SoldOut { item: order.item, left: reply.left });
        }
        let Order { key, user, item, quantity } = order;
        let line = format!("{key} {user} {item} {quantity}");
        let number = self.log.append(line, move |book| book.numbers.get(&key).copied()).await?;
        Ok(number.ok_or_else(|| Status::data_loss("the line that was written is not there"))?)
    }

    async fn watch(&self, from: u64) -> Result<Streaming<Placed>, ShopError> {
        let (sender, stream) = Streaming::channel(PAGE);
        let (log, end) = (self.log.clone(), Instant::now() + WATCH);
        // Ends with the call: there is nobody to send to then.
        rpc_core::spawn(async move {
            let mut next = from;
            while Instant::now() < end {
                let page = match log.look(move |book| book.page(next)).await {
                    Ok(page) => page,
                    Err(status) => {
                        let _ = sender.fail(status).await;
                        return;
                    }
                };
                for placed in page {
                    next = placed.number + 1;
                    if sender.send(placed).await.is_err() {
                        return;
                    }
                }
                sleep(LOOK).await;
            }
        });
        Ok(stream)
    }
}
