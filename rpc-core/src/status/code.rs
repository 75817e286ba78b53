//! [`Code`] and [`Certainty`]: what kind of failure it is, and whether the server ran the call.

use std::fmt;

/// What kind of failure it is: the sixteen error codes of gRPC, with the same names and numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Code {
    /// The caller gave up on the call.
    Cancelled = 1,
    /// Not known, or raised by a peer that says no more.
    Unknown = 2,
    /// The request is wrong, whatever the state of the system.
    InvalidArgument = 3,
    /// The time ran out before the call was complete.
    DeadlineExceeded = 4,
    /// The thing asked for is not there.
    NotFound = 5,
    /// The thing to be made is already there.
    AlreadyExists = 6,
    /// The caller is known, but may not do this.
    PermissionDenied = 7,
    /// A limit was met: a quota, a queue, a size.
    ResourceExhausted = 8,
    /// The system is not in the state that the operation needs.
    FailedPrecondition = 9,
    /// The operation lost against another one; trying the whole transaction again may help.
    Aborted = 10,
    /// Past the end of a valid range.
    OutOfRange = 11,
    /// The service or method is not there, or does not speak the codec.
    Unimplemented = 12,
    /// An invariant of the server is broken.
    Internal = 13,
    /// The server cannot be reached now; trying again may help.
    Unavailable = 14,
    /// Data is lost or broken for good.
    DataLoss = 15,
    /// The caller is not known.
    Unauthenticated = 16,
}

/// Whether the server ran the call: what decides if it may be tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[repr(u8)]
pub enum Certainty {
    /// Nobody can tell: the connection died, or time ran out, after the request had left.
    #[default]
    Unknown = 0,
    /// No byte of it left this process.
    NotSent = 1,
    /// The server has it, and has not run it: the handler was never polled.
    NotExecuted = 2,
    /// The handler ran, at least in part.
    Executed = 3,
}

impl Code {
    /// Every code, by number.
    pub const ALL: [Self; 16] = [
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// The code of this number; [`Code::Unknown`] for a number that is none (a later version's, say).
    pub fn from_number(number: u8) -> Self {
        (number as usize)
            .checked_sub(1)
            .and_then(|index| Self::ALL.get(index))
            .copied()
            .unwrap_or(Self::Unknown)
    }

    /// The name as gRPC spells it, `NOT_FOUND` for instance.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Certainty {
    /// The certainty of this number on the wire; [`Certainty::Unknown`] for a number that is none.
    pub fn from_number(number: u8) -> Self {
        match number {
            1 => Self::NotSent,
            2 => Self::NotExecuted,
            3 => Self::Executed,
            _ => Self::Unknown,
        }
    }

    /// Whether it is certain that the handler did not run, so that any call may be tried again.
    pub fn is_safe_to_retry(self) -> bool {
        matches!(self, Self::NotSent | Self::NotExecuted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_numbers_agree() {
        for code in Code::ALL {
            assert_eq!(Code::from_number(code as u8), code);
        }
        assert_eq!(Code::from_number(0), Code::Unknown);
        assert_eq!(Code::from_number(200), Code::Unknown);
    }
}
