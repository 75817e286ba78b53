use rpc_core::{RpcError, Status};

#[derive(RpcError)]
pub enum BankError<T> {
    #[rpc(code = "not_found")]
    NoSuchAccount { id: T },
    #[rpc(status)]
    Other(Status),
}

fn main() {}
