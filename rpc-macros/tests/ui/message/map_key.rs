use std::collections::{BTreeMap, HashMap};

use rpc_core::message;

#[message]
struct Index {
    by_key: BTreeMap<Vec<u8>, u32>,
    lists: HashMap<String, Vec<u32>>,
}

fn main() {}
