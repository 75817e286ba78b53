use rpc_core::{RpcError, Status};

#[derive(Debug, RpcError)]
#[rpc(display)]
pub enum BankError {
    #[rpc(status)]
    Other(Status),
}

fn main() {}
