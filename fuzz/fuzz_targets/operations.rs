//! Stories of random operations on two connections with a link that delivers what it likes: see
//! `rpc-core/src/wire/tests/operations.rs`, which this is.
#![cfg_attr(feature = "libfuzzer", no_main)]
#![allow(dead_code, unreachable_pub)]

use rpc_core::{Metadata, wire};

#[path = "../../rpc-core/src/wire/tests/operations.rs"]
mod operations;
#[path = "../../rpc-core/src/wire/tests/pair.rs"]
mod pair;

courier_fuzz::target!(operations::play);
