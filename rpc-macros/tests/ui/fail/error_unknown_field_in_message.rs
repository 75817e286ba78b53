use rpc_core::{RpcError, Status};

#[derive(Debug, RpcError)]
pub enum BankError {
    #[rpc(code = "not_found", message = "no account {number}")]
    NoSuchAccount { id: u64 },
    #[rpc(status)]
    Other(Status),
}

fn main() {}
