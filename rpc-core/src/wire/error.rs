//! What breaks a connection and whose fault it is (§12), and why a stream is given up (§9.3).

use std::fmt;

/// The end of a connection: a code, whose fault it is, and what happened.
///
/// Errors of one stream do not come here: they are answered on the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionError {
    /// What happened, for programs.
    pub code: ErrorCode,
    /// Whether the peer says so of us (true), or we of the peer or the network (false).
    pub by_peer: bool,
    /// What happened, for people.
    pub message: String,
}

impl ConnectionError {
    /// An error that this side found.
    pub(crate) fn ours(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, by_peer: false, message: message.into() }
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.by_peer { "the peer ended the connection" } else { "the connection ended" };
        write!(f, "{who}: {} ({})", self.message, self.code)
    }
}

impl std::error::Error for ConnectionError {}

/// Why a connection ends, as it stands in the last DRAIN frame (§12.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum ErrorCode {
    /// Nothing is wrong: the side that says so is done.
    Graceful = 0,
    /// The peer does not speak this protocol, or not this version.
    BadMagic = 1,
    /// A frame that may not come here, or is malformed.
    Protocol = 2,
    /// More bytes than were granted.
    FlowControl = 3,
    /// A frame over a limit that was announced.
    TooLarge = 4,
    /// Too many frames that cost little to send.
    TooManyCheapFrames = 5,
    /// The handshake, or the answer to a ping, did not come in time.
    Timeout = 6,
    /// The socket failed or was closed.
    Transport = 7,
    /// This side broke one of its own rules, or was dropped.
    Internal = 8,
}

impl ErrorCode {
    /// The code of this number; a number that is none counts as [`Protocol`](Self::Protocol).
    pub fn from_number(number: u64) -> Self {
        match number {
            0 => Self::Graceful,
            1 => Self::BadMagic,
            3 => Self::FlowControl,
            4 => Self::TooLarge,
            5 => Self::TooManyCheapFrames,
            6 => Self::Timeout,
            7 => Self::Transport,
            8 => Self::Internal,
            _ => Self::Protocol,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Graceful => "graceful",
            Self::BadMagic => "bad magic",
            Self::Protocol => "protocol error",
            Self::FlowControl => "flow control error",
            Self::TooLarge => "too large",
            Self::TooManyCheapFrames => "too many cheap frames",
            Self::Timeout => "timeout",
            Self::Transport => "transport error",
            Self::Internal => "internal error",
        })
    }
}

/// Why a stream is given up (§9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum CancelReason {
    /// The caller does not want the answer any more.
    Dropped = 0,
    /// The caller's time is up.
    Deadline = 1,
    /// Another attempt of the same call has won.
    Superseded = 2,
    /// The reply is more than the caller takes.
    TooLarge = 3,
    /// The connection ended. Never on the wire.
    ConnectionLost = 255,
}

impl CancelReason {
    /// The reason of this number; a number that is none counts as [`Dropped`](Self::Dropped).
    pub fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Deadline,
            2 => Self::Superseded,
            3 => Self::TooLarge,
            _ => Self::Dropped,
        }
    }
}

impl fmt::Display for CancelReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dropped => "the caller dropped the call",
            Self::Deadline => "the caller's deadline passed",
            Self::Superseded => "another attempt of the call won",
            Self::TooLarge => "the reply is larger than the caller takes",
            Self::ConnectionLost => "the connection to the caller was lost",
        })
    }
}
