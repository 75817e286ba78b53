//! The service `Stock`, from `stock.proto`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use rpc_core::Status;

use crate::contract::{LevelReply, LevelRequest, ReserveReply, ReserveRequest, Stock};
use crate::log::{Log, State, word};

/// What is for sale, and how much of it there is at first. The last one runs out.
pub(crate) const ITEMS: [(&str, u64); 3] = [("apples", 1_000_000), ("books", 1_000_000), ("unicorns", 25)];

/// What is left, and whose pieces were taken out. Line: key, item, quantity.
pub(crate) struct Warehouse {
    pub(crate) left: BTreeMap<&'static str, u64>,
    /// What an order was told. The first line with its key counts.
    pub(crate) told: HashMap<String, bool>,
}

impl Default for Warehouse {
    fn default() -> Self {
        Self { left: ITEMS.into(), told: HashMap::new() }
    }
}

impl State for Warehouse {
    fn apply(&mut self, words: &[&str]) {
        if let [key, item, quantity] = *words
            && let Ok(quantity) = quantity.parse::<u64>()
            && let Some(left) = self.left.get_mut(item)
            && !self.told.contains_key(key)
        {
            let rest = left.checked_sub(quantity);
            self.told.insert(key.to_owned(), rest.is_some());
            *left = rest.unwrap_or(*left);
        }
    }
}

impl Warehouse {
    fn level(&self, item: &str) -> u64 {
        self.left.get(item).copied().unwrap_or(0)
    }
}

pub(crate) struct StockInFile(Log<Warehouse>);

impl StockInFile {
    pub(crate) fn open(folder: &Path) -> std::io::Result<Self> {
        log(folder).map(Self)
    }
}

pub(crate) fn log(folder: &Path) -> std::io::Result<Log<Warehouse>> {
    Log::open(folder, "stock.log")
}

fn check(item: &str) -> Result<(), Status> {
    match ITEMS.iter().any(|(name, _)| *name == item) {
        true => Ok(()),
        false => Err(Status::not_found(format!("nobody sells {item:?}"))),
    }
}

impl Stock for StockInFile {
    async fn level(&self, request: LevelRequest) -> Result<LevelReply, Status> {
        check(&request.item)?;
        let left = self.0.look(move |warehouse| warehouse.level(&request.item)).await?;
        Ok(LevelReply { left })
    }

    async fn reserve(&self, request: ReserveRequest) -> Result<ReserveReply, Status> {
        check(&request.item)?;
        word("a key", &request.key)?;
        let ReserveRequest { key, item, quantity } = request;
        let line = format!("{key} {item} {quantity}");
        let look = move |warehouse: &Warehouse| (warehouse.told.get(&key).copied(), warehouse.level(&item));
        let (told, left) = self.0.append(line, look).await?;
        let reserved = told.ok_or_else(|| Status::data_loss("the line that was written is not there"))?;
        Ok(ReserveReply { reserved, left })
    }
}
