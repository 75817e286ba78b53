use rpc_core::{RpcError, Status};

#[derive(RpcError)]
pub enum BankError {
    #[rpc(code = "not_found")]
    NoSuchAccount,
    #[rpc(status)]
    Other(Status),
}

fn main() {}
