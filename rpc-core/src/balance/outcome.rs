//! [`Outcome`]: what the end of a call says about the endpoint that it went to.
//!
//! | how the call ended | outcome | why |
//! |---|---|---|
//! | a reply | success | |
//! | `UNAVAILABLE`, `INTERNAL`, `DATA_LOSS` | failure | the server, or the way to it, is broken; an error of the connection counts too |
//! | `DEADLINE_EXCEEDED` | failure | it was too slow, whoever was to blame |
//! | `RESOURCE_EXHAUSTED` | failure, avoided for its retry-after | it is full; to send more makes it worse |
//! | any failure with a retry-after | failure, avoided for that long | the server says so itself |
//! | `CANCELLED` | ignored | the caller gave up; the server is not judged by that |
//! | `UNKNOWN` | ignored | a user's error, or a panic far away: nobody can tell |
//! | every other code | success | the server works: it has looked at the request and said no |

use std::time::Duration;

use crate::call::Response;
use crate::status::{Code, Status};

/// What the end of a call says about the endpoint that it went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The endpoint works.
    Success,
    /// The endpoint, or the way to it, failed.
    Failure {
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// It says nothing about the endpoint.
    Ignored,
}

impl Outcome {
    /// A failure without a retry-after.
    pub const FAILURE: Self = Self::Failure { retry_after: None };
}

/// What this result says about the endpoint that it came from: the table of the [module](self).
pub fn outcome(result: &Result<Response, Status>) -> Outcome {
    match result {
        Ok(_) => Outcome::Success,
        Err(status) => of_status(status),
    }
}

/// What this error says about the endpoint that it came from: the table of the [module](self).
pub fn of_status(status: &Status) -> Outcome {
    match status.code() {
        Code::Cancelled | Code::Unknown => Outcome::Ignored,
        Code::Unavailable
        | Code::Internal
        | Code::DataLoss
        | Code::DeadlineExceeded
        | Code::ResourceExhausted => Outcome::Failure { retry_after: status.retry_after() },
        _ => Outcome::Success,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_did_wrong_is_not_the_servers_failure() {
        for code in Code::ALL {
            let failure = matches!(of_status(&Status::new(code, "")), Outcome::Failure { .. });
            let expected = matches!(
                code,
                Code::Unavailable
                    | Code::Internal
                    | Code::DataLoss
                    | Code::DeadlineExceeded
                    | Code::ResourceExhausted
            );
            assert_eq!(failure, expected, "{}", code.name());
        }
        assert_eq!(of_status(&Status::cancelled("")), Outcome::Ignored);
    }

    #[test]
    fn a_full_server_is_left_alone_for_as_long_as_it_asks() {
        let wait = Duration::from_secs(2);
        let status = Status::resource_exhausted("full").with_retry_after(wait);
        assert_eq!(outcome(&Err(status)), Outcome::Failure { retry_after: Some(wait) });
    }
}
