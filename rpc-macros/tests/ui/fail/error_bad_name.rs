use rpc_core::{RpcError, Status};

#[derive(RpcError)]
#[rpc(name = "bank error")]
pub enum BankError {
    #[rpc(code = "not_found")]
    NoSuchAccount { id: u64 },
    #[rpc(status)]
    Other(Status),
}

fn main() {}
