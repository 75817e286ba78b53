//! Frames: a fixed prefix of 16 bytes, a header, a body (§3).
//!
//! ```text
//!  0      1      2             4                           8                                              16
//! +------+------+-------------+---------------------------+----------------------------------------------+
//! | kind | flags| header len  |        body length        |                  stream id                   |
//! +------+------+-------------+---------------------------+----------------------------------------------+
//!   u8     u8     u16           u32                         u64                            (little-endian)
//! ```
//!
//! ```
//! use rpc_core::wire::{Kind, Prefix};
//!
//! let prefix = Prefix { kind: Kind::PING.0, flags: 0, header: 8, body: 0, stream: 0 };
//! assert_eq!(Prefix::parse(&prefix.to_bytes()), prefix);
//! ```

/// What a connection starts with, sent by the side that connects (§2): no HTTP/1 or HTTP/2 client (they start with
/// an ASCII letter) and no TLS client (it starts with 0x16) can start so, and a transfer that mends line ends
/// breaks it. The last byte is the version.
pub const MAGIC: [u8; 8] = [0xF1, b'C', b'R', b'R', b'\r', b'\n', 0x00, 0x01];

/// The length of a prefix, in bytes.
pub const PREFIX: usize = 16;

/// The longest body of one frame, in bytes (§3.2). A message up to this length may travel whole.
pub const MAX_FRAME_BODY: usize = 128 * 1024;

/// The longest part of a message that is cut, in bytes (§8.4): what a small call has to wait for at most.
pub const MAX_PART: usize = 64 * 1024;

/// What an item costs of its stream's credit beside its bytes (§8.2): as much as its prefix, so that a flood of empty
/// ones meets a limit.
pub const ITEM_COST: u32 = PREFIX as u32;

/// The kind of a frame, as on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

impl Kind {
    /// Limits and grants; each side's first frame (§5).
    pub const SETTINGS: Self = Self(0x01);
    /// Opens a stream (§6).
    pub const REQUEST: Self = Self(0x02);
    /// Answers on a stream (§7).
    pub const RESPONSE: Self = Self(0x03);
    /// A stream's item, or a part of a message (§8.4).
    pub const DATA: Self = Self(0x04);
    /// Ends the sender's half of a stream (§9).
    pub const END: Self = Self(0x05);
    /// Gives up a stream (§9.3).
    pub const CANCEL: Self = Self(0x06);
    /// Grants bytes (§8).
    pub const CREDIT: Self = Self(0x07);
    /// Asks for a pong (§11).
    pub const PING: Self = Self(0x08);
    /// Answers a ping (§11).
    pub const PONG: Self = Self(0x09);
    /// No new streams; or the reason why the connection ends (§10).
    pub const DRAIN: Self = Self(0x0A);

    /// The flags that a frame of this kind may have (§3.4); `None` for a kind that there is not, and that may not be
    /// passed over.
    #[inline]
    pub const fn flags(self) -> Option<u8> {
        match self {
            Self::REQUEST => Some(flag::END | flag::MORE | flag::ONEWAY),
            Self::RESPONSE | Self::DATA => Some(flag::END | flag::MORE),
            Self::CREDIT => Some(flag::END | flag::ONEWAY),
            Self::SETTINGS | Self::END | Self::CANCEL | Self::PING | Self::PONG | Self::DRAIN => Some(0),
            _ if self.is_skippable() => Some(u8::MAX),
            _ => None,
        }
    }

    /// Whether a receiver that does not know the kind may pass over it (§3.3).
    pub const fn is_skippable(self) -> bool {
        self.0 & 0x80 != 0
    }
}

/// The flags of a frame (§3.4).
pub mod flag {
    /// REQUEST, RESPONSE, DATA: nothing more comes on this half of the stream after this message.
    /// CREDIT on a stream: its sender wants nothing more of the other half (§9.4).
    pub const END: u8 = 0x01;
    /// REQUEST, RESPONSE, DATA: the message goes on in the next DATA frame of this stream.
    pub const MORE: u8 = 0x02;
    /// REQUEST: it is not answered. CREDIT on stream 0: the grant is for such requests.
    pub const ONEWAY: u8 = 0x04;
}

/// A frame's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The kind.
    pub kind: u8,
    /// The flags.
    pub flags: u8,
    /// The length of the header, in bytes.
    pub header: u16,
    /// The length of the body, in bytes.
    pub body: u32,
    /// The stream; 0 is the connection.
    pub stream: u64,
}

impl Prefix {
    /// Reads a prefix. There is nothing in it that cannot be read; whether it is allowed is another question.
    #[inline]
    pub fn parse(bytes: &[u8; PREFIX]) -> Self {
        let [kind, flags, h0, h1, b0, b1, b2, b3, stream @ ..] = *bytes;
        Self {
            kind,
            flags,
            header: u16::from_le_bytes([h0, h1]),
            body: u32::from_le_bytes([b0, b1, b2, b3]),
            stream: u64::from_le_bytes(stream),
        }
    }

    /// Writes a prefix.
    #[inline]
    pub fn to_bytes(self) -> [u8; PREFIX] {
        let mut bytes = [0; PREFIX];
        bytes[0] = self.kind;
        bytes[1] = self.flags;
        bytes[2..4].copy_from_slice(&self.header.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.body.to_le_bytes());
        bytes[8..].copy_from_slice(&self.stream.to_le_bytes());
        bytes
    }
}
