//! Limits and grants: what this side allows ([`Config`]) and what the peer said that it allows ([`Settings`]) (§5).

use std::time::Duration;

use bytes::BytesMut;

use super::error::{ConnectionError, ErrorCode};
use super::field::{Reader, put_bytes, put_number};

/// A hundred years.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What one side of a connection takes, and how patient it is. Both sides have one; each tells the other its limits.
#[derive(Clone, Debug)]
pub struct Config {
    /// The longest header of a frame, in bytes. Default 16 KiB, at most 65,535.
    pub max_header: u32,
    /// The longest message, in bytes. Default 16 MiB, at most 2 GiB less one.
    pub max_message: u32,
    /// How many of the peer's calls may be open at once; more are answered `RESOURCE_EXHAUSTED`. Default 16,384.
    pub max_streams: u32,
    /// How many bytes the peer may send on a stream before it is granted more. Default 128 KiB.
    pub stream_credit: u32,
    /// How many bytes the peer may have under way on the connection. Default 8 MiB.
    pub connection_credit: u32,
    /// How many bytes of oneway requests may wait for, or be in, their handlers. Default 1 MiB.
    pub oneway_credit: u32,
    /// How many method names the peer may bind to numbers. Default 1,024.
    pub max_methods: u32,
    /// How many metadata entries a request or a reply may have. Default 128.
    pub max_metadata: usize,
    /// How many bytes of the peer's requests are kept at once, those in handlers included; a request that would be
    /// too much is answered `RESOURCE_EXHAUSTED`, a large one waits. Messages in parts leave a quarter of it to the
    /// others. The same again for answers to our calls. Default 128 MiB, at least twice `max_message`.
    pub max_buffered: usize,
    /// How many bytes of items may wait for their readers, on all streams together. A stream that brings more is ended with
    /// `RESOURCE_EXHAUSTED`, unless no more than 4 KiB of its items wait. So what a peer can make this side keep is this,
    /// and 4 KiB for each of `max_streams`. Items of an answer that has ended belong to whoever holds its `Streaming`, and
    /// are not counted. Default 192 MiB, at least 1 MiB.
    pub max_unread: usize,
    /// How many of our calls may wait for a free stream. Default 65,536.
    pub max_pending: usize,
    /// How long the peer may take for its first frame. Default 10 s.
    pub handshake_timeout: Duration,
    /// How often the peer is pinged; `None` for never, but for once to learn the round trip. Default 20 s.
    pub keepalive_interval: Option<Duration>,
    /// How long the peer may take to show a sign of life after a ping. Default 10 s.
    pub keepalive_timeout: Duration,
    /// Whether deadlines travel as points in time in place of remaining time: for hosts whose clocks agree to well
    /// below the deadlines in use. Default false.
    pub timestamp_deadlines: bool,
    /// The numbers of the codecs that this side speaks, for the peer's information. Default protobuf and JSON.
    pub codecs: Vec<u8>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_header: 16 * 1024,
            max_message: 16 * 1024 * 1024,
            max_streams: 16 * 1024,
            stream_credit: 128 * 1024,
            connection_credit: 8 * 1024 * 1024,
            oneway_credit: 1024 * 1024,
            max_methods: 1024,
            max_metadata: 128,
            max_buffered: 128 * 1024 * 1024,
            max_unread: 192 * 1024 * 1024,
            max_pending: 64 * 1024,
            handshake_timeout: Duration::from_secs(10),
            keepalive_interval: Some(Duration::from_secs(20)),
            keepalive_timeout: Duration::from_secs(10),
            timestamp_deadlines: false,
            codecs: vec![0, 1],
        }
    }
}

impl Config {
    /// The nearest settings that the protocol allows: no grant below what a peer may use before it has heard from
    /// us (§5.2), no message that could never be kept.
    #[must_use]
    pub(crate) fn normalized(mut self) -> Self {
        let least = Settings::default();
        self.max_header = self.max_header.clamp(least.max_header, u32::from(u16::MAX));
        self.max_message = self.max_message.clamp(least.max_message, i32::MAX as u32);
        self.max_streams = self.max_streams.max(least.max_streams);
        self.stream_credit = self.stream_credit.clamp(least.stream_credit, i32::MAX as u32);
        self.connection_credit = self.connection_credit.clamp(least.connection_credit, i32::MAX as u32);
        self.oneway_credit = self.oneway_credit.clamp(least.oneway_credit, i32::MAX as u32);
        self.max_methods = self.max_methods.max(least.max_methods);
        self.max_buffered = self.max_buffered.max(2 * self.max_message as usize);
        self.max_unread = self.max_unread.max(1024 * 1024);
        // A point in time that far away cannot be told from never, and one beyond the end of time is a panic.
        self.handshake_timeout = self.handshake_timeout.min(NEVER);
        self.keepalive_interval = self.keepalive_interval.map(|interval| interval.min(NEVER));
        self.keepalive_timeout = self.keepalive_timeout.min(NEVER);
        self
    }

    /// Appends the fields of the SETTINGS frame.
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        for (key, value) in [
            (key::MAX_HEADER, self.max_header),
            (key::MAX_MESSAGE, self.max_message),
            (key::MAX_STREAMS, self.max_streams),
            (key::STREAM_CREDIT, self.stream_credit),
            (key::CONNECTION_CREDIT, self.connection_credit),
            (key::ONEWAY_CREDIT, self.oneway_credit),
            (key::MAX_METHODS, self.max_methods),
        ] {
            put_number(out, key, u64::from(value));
        }
        put_bytes(out, key::CODECS, &self.codecs[..self.codecs.len().min(64)]);
    }
}

mod key {
    pub(super) const MAX_HEADER: u8 = 1;
    pub(super) const MAX_MESSAGE: u8 = 2;
    pub(super) const MAX_STREAMS: u8 = 3;
    pub(super) const STREAM_CREDIT: u8 = 4;
    pub(super) const CONNECTION_CREDIT: u8 = 5;
    pub(super) const ONEWAY_CREDIT: u8 = 6;
    pub(super) const MAX_METHODS: u8 = 7;
    pub(super) const CODECS: u8 = 8;
    // 9 compressions and 10 features are taken by the protocol; this version has none, and passes over them.
}

/// What the peer takes. Before its SETTINGS frame is here: the least that every peer takes (§5.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The longest header of a frame, in bytes.
    pub max_header: u32,
    /// The longest message, in bytes.
    pub max_message: u32,
    /// How many calls may be open at once.
    pub max_streams: u32,
    /// How many bytes may be sent on a stream before more are granted.
    pub stream_credit: u32,
    /// How many bytes may be under way on the connection.
    pub connection_credit: u32,
    /// How many bytes of oneway requests may be unhandled.
    pub oneway_credit: u32,
    /// How many method names may be bound.
    pub max_methods: u32,
    /// The numbers of the codecs that it says it speaks.
    pub codecs: Vec<u8>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_header: 4 * 1024,
            max_message: 64 * 1024,
            max_streams: 16,
            stream_credit: 64 * 1024,
            connection_credit: 1024 * 1024,
            oneway_credit: 64 * 1024,
            max_methods: 16,
            codecs: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads a SETTINGS frame. Unknown keys are passed over.
    pub(crate) fn decode(header: &[u8]) -> Result<Self, ConnectionError> {
        let bad = |what: &str| ConnectionError::ours(ErrorCode::Protocol, format!("SETTINGS: {what}"));
        let least = Self::default();
        let mut settings = least.clone();
        for field in Reader::new(header) {
            let field = field.map_err(|error| bad(&error.to_string()))?;
            if field.key == key::CODECS {
                settings.codecs = field.value.to_vec();
                continue;
            }
            let (slot, floor) = match field.key {
                key::MAX_HEADER => (&mut settings.max_header, least.max_header),
                key::MAX_MESSAGE => (&mut settings.max_message, least.max_message),
                key::MAX_STREAMS => (&mut settings.max_streams, least.max_streams),
                key::STREAM_CREDIT => (&mut settings.stream_credit, least.stream_credit),
                key::CONNECTION_CREDIT => (&mut settings.connection_credit, least.connection_credit),
                key::ONEWAY_CREDIT => (&mut settings.oneway_credit, least.oneway_credit),
                key::MAX_METHODS => (&mut settings.max_methods, least.max_methods),
                _ => continue,
            };
            let value = field.number().and_then(|number| u32::try_from(number).ok());
            let value = value.ok_or_else(|| bad("a value is above 4,294,967,295"))?;
            if value < floor {
                return Err(bad(&format!("setting {} is {value}, the least is {floor}", field.key)));
            }
            *slot = value;
        }
        // A prefix has two bytes for the length of a header.
        settings.max_header = settings.max_header.min(u32::from(u16::MAX));
        Ok(settings)
    }
}
