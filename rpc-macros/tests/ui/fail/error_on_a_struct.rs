use rpc_core::{RpcError};

#[derive(RpcError)]
pub struct BankError;

fn main() {}
