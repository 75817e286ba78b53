use rpc_core::{RpcError};

#[derive(RpcError)]
pub enum BankError {
    #[rpc(code = "not_found")]
    NoSuchAccount { id: u64 },
}

fn main() {}
