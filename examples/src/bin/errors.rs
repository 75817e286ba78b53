//! Errors of your own: each variant has a code, and travels with its fields, whatever the codec.
//!
//! ```text
//! cargo run --bin errors
//! ```

use rpc_core::codec::{Json, Protobuf};
use rpc_core::{Channel, Code, RpcError, Server, Status, service};

/// What can go wrong at the bank.
#[derive(Debug, RpcError)]
pub enum BankError {
    /// There is no such account.
    #[rpc(code = "not_found", message = "no account {id}")]
    NoSuchAccount {
        /// The account that was asked for.
        id: u64,
    },
    /// The account has less than that.
    #[rpc(code = "failed_precondition", message = "account {id} has only {balance} cents")]
    TooPoor {
        /// The account.
        id: u64,
        /// What it has.
        balance: i64,
    },
    /// The bank is closed.
    #[rpc(code = "unavailable")]
    OnHoliday,
    /// Everything else, from the framework and from services further on.
    #[rpc(status)]
    Other(Status),
}

/// A bank.
#[service]
pub trait Bank {
    /// Takes an amount of cents out; what is left.
    async fn withdraw(&self, account: u64, cents: i64) -> Result<i64, BankError>;
}

struct Branch;

impl Bank for Branch {
    async fn withdraw(&self, account: u64, cents: i64) -> Result<i64, BankError> {
        const BALANCE: i64 = 500;
        match account {
            1 if cents <= BALANCE => Ok(BALANCE - cents),
            1 => Err(BankError::TooPoor { id: account, balance: BALANCE }),
            2 => Err(BankError::OnHoliday),
            // `?` and `into` make the error of a status: for what the method's own error has no word for.
            3 => Err(Status::data_loss("the ledger is unreadable").into()),
            4 => panic!("a bug in the bank"),
            _ => Err(BankError::NoSuchAccount { id: account }),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The panic below is meant; what Rust would print of it on standard error is not.
    std::panic::set_hook(Box::new(|_| {}));

    let server = Server::builder().service(BankServer::new(Branch)).bind("127.0.0.1:0").await?;
    let protobuf = BankClient::new(Channel::builder(server.local_addr()).codec::<Protobuf>().build()?);
    let json = BankClient::new(Channel::builder(server.local_addr()).codec::<Json>().build()?);

    for (codec, bank) in [("protobuf", protobuf), ("json", json)] {
        println!("in {codec}");
        let left = bank.withdraw(1, 100).await.map_err(Status::from)?;
        println!("  enough money     {left} cents left");

        // The caller matches on the error as the implementor wrote it.
        match bank.withdraw(1, 900).await {
            Err(BankError::TooPoor { id: 1, balance }) => {
                println!("  too little       has only {balance} cents")
            }
            other => panic!("expected TooPoor, got {other:?}"),
        }
        match bank.withdraw(7, 1).await {
            Err(BankError::NoSuchAccount { id }) => println!("  no account       there is no {id}"),
            other => panic!("expected NoSuchAccount, got {other:?}"),
        }
        assert!(matches!(bank.withdraw(2, 1).await, Err(BankError::OnHoliday)));
        println!("  on holiday       a variant without fields");

        // What is none of its variants keeps its code and its words.
        match bank.withdraw(3, 1).await {
            Err(BankError::Other(status)) => {
                println!("  other            {status}");
                assert_eq!(status.code(), Code::DataLoss);
            }
            other => panic!("expected a status, got {other:?}"),
        }

        // A panic is the end of its call, and of nothing else.
        match bank.withdraw(4, 1).await {
            Err(BankError::Other(status)) => {
                println!("  panic            {status}");
                assert_eq!(status.code(), Code::Internal);
            }
            other => panic!("expected INTERNAL, got {other:?}"),
        }
        assert_eq!(bank.withdraw(1, 500).await.map_err(Status::from)?, 0);
    }
    Ok(())
}
