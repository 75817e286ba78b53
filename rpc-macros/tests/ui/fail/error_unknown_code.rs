use rpc_core::{RpcError, Status};

#[derive(RpcError)]
pub enum BankError {
    #[rpc(code = "missing")]
    NoSuchAccount { id: u64 },
    #[rpc(status)]
    Other(Status),
}

fn main() {}
