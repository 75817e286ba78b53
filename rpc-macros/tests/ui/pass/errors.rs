//! An error of the user's becomes a status and comes back, with its fields.

#![deny(warnings)]
#![allow(unexpected_cfgs)]

use rpc_core::{Code, RpcError, Status, message, service};

#[message]
#[derive(Debug, PartialEq)]
pub struct Limit {
    most: u64,
}

#[derive(Debug, RpcError)]
#[rpc(name = "demo.v1.BankError")]
pub enum BankError {
    #[rpc(code = "not_found", message = "no account {id}")]
    NoSuchAccount { id: u64 },
    /// Names that the conversions use as well.
    #[rpc(code = "aborted", message = "{text}{{}}")]
    Odd { text: String, message: Vec<u8>, status: Option<bool>, error: Limit },
    #[rpc(code = "failed_precondition", message = "only {0} of {1:?}")]
    TooLittle(u64, String),
    #[rpc(code = "unavailable")]
    OnHoliday,
    #[rpc(code = "unavailable")]
    OutForLunch {},
    #[cfg(missing)]
    #[rpc(code = "internal")]
    Gone(Absent),
    #[rpc(status)]
    Other(Status),
}

// No `Debug` either: it is `Error` that needs it.
#[derive(RpcError)]
#[rpc(own_display)]
pub enum Unsaid {
    #[rpc(code = "unknown")]
    Odd,
    #[rpc(status)]
    Other(Status),
}

impl std::fmt::Display for Unsaid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("in words of one's own")
    }
}

#[derive(Debug, RpcError)]
pub enum OnlyStatus {
    #[rpc(status)]
    Other(Status),
}

#[service]
pub trait Bank {
    async fn balance(&self, id: u64) -> Result<i64, BankError>;
}

struct Open;

impl Bank for Open {
    async fn balance(&self, id: u64) -> Result<i64, BankError> {
        Err(BankError::NoSuchAccount { id })
    }
}

fn there_and_back(error: BankError) -> BankError {
    BankError::from(Status::from(error))
}

fn main() {
    let _client = BankClient::local(Open);

    let status = Status::from(BankError::NoSuchAccount { id: 7 });
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no account 7"));
    assert_eq!(status.details()[0].type_name, "demo.v1.BankError.NoSuchAccount");
    assert!(matches!(BankError::from(status), BankError::NoSuchAccount { id: 7 }));

    let odd = BankError::Odd { text: "a".into(), message: vec![1], status: Some(true), error: Limit { most: 3 } };
    let BankError::Odd { text, message, status, error } = there_and_back(odd) else { panic!() };
    assert_eq!((text.as_str(), message, status, error), ("a", vec![1], Some(true), Limit { most: 3 }));

    let status = Status::from(BankError::TooLittle(1, "2".into()));
    assert_eq!(status.message(), "only 1 of \"2\"");
    assert!(matches!(BankError::from(status), BankError::TooLittle(1, two) if two == "2"));

    // It is an error of Rust's as well, with the status' message.
    let error: Box<dyn std::error::Error> = Box::new(BankError::NoSuchAccount { id: 7 });
    assert_eq!(error.to_string(), "no account 7");
    let cause = std::io::Error::other("the disk");
    let other = BankError::Other(Status::data_loss("gone").with_source(cause));
    assert_eq!(other.to_string(), "DATA_LOSS: gone");
    assert_eq!(std::error::Error::source(&other).unwrap().to_string(), "the disk");
    assert_eq!(Unsaid::Odd.to_string(), "in words of one's own");
    assert_eq!(Status::from(Unsaid::Odd).message(), "odd");

    // Two variants of one code are told apart by their names; the message is the name in words.
    assert_eq!(Status::from(BankError::OnHoliday).message(), "on holiday");
    assert!(matches!(there_and_back(BankError::OnHoliday), BankError::OnHoliday));
    assert!(matches!(there_and_back(BankError::OutForLunch {}), BankError::OutForLunch {}));

    // What is none of these stays what it is.
    let foreign = there_and_back(BankError::Other(Status::not_found("no such page")));
    assert!(matches!(foreign, BankError::Other(status) if status.message() == "no such page"));
    let broken = Status::not_found("?").with_detail("demo.v1.BankError.NoSuchAccount", vec![0xff]);
    assert!(matches!(BankError::from(broken), BankError::Other(status) if status.details().len() == 1));
    let other_code = Status::aborted("?").with_detail("demo.v1.BankError.NoSuchAccount", vec![]);
    assert!(matches!(BankError::from(other_code), BankError::Other(_)));
}
