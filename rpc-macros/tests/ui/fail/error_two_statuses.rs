use rpc_core::{RpcError, Status};

#[derive(RpcError)]
pub enum BankError {
    #[rpc(status)]
    First(Status),
    #[rpc(status)]
    Other(Status),
}

fn main() {}
