//! A peer that sends what a test says, byte by byte if need be, against one connection.

use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::wire::field::{put_bytes, put_number};
use crate::wire::frame::MAGIC;
use crate::wire::out::Body;
use crate::wire::{
    Config, Connection, ConnectionError, ErrorCode, Event, Kind, Prefix, ResponseHead, Role, StreamId,
    Transmit,
};

/// A frame, as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u64,
    pub(crate) header: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(kind: Kind, flags: u8, stream: u64, header: &[u8], body: &[u8]) -> Self {
        Self { kind: kind.0, flags, stream, header: header.to_vec(), body: body.to_vec() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (header, body) = (self.header.len() as u16, self.body.len() as u32);
        let prefix = Prefix { kind: self.kind, flags: self.flags, header, body, stream: self.stream };
        [&prefix.to_bytes()[..], &self.header, &self.body].concat()
    }

    /// Reads all frames, behind the magic if there is one.
    pub(crate) fn all(mut bytes: &[u8]) -> Vec<Self> {
        let mut frames = Vec::new();
        bytes = bytes.strip_prefix(&MAGIC).unwrap_or(bytes);
        while let Some(first) = bytes.first_chunk::<16>() {
            let prefix = Prefix::parse(first);
            let (header, rest) = bytes[16..].split_at(usize::from(prefix.header));
            let (body, rest) = rest.split_at(prefix.body as usize);
            let (kind, flags, stream) = (prefix.kind, prefix.flags, prefix.stream);
            frames.push(Self { kind, flags, stream, header: header.to_vec(), body: body.to_vec() });
            bytes = rest;
        }
        assert!(bytes.is_empty(), "half a frame");
        frames
    }
}

/// A header: numbers and bytes by key.
pub(crate) fn header(numbers: &[(u8, u64)], bytes: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = BytesMut::new();
    numbers.iter().for_each(|(key, number)| put_number(&mut out, *key, *number));
    bytes.iter().for_each(|(key, value)| put_bytes(&mut out, *key, value));
    out.to_vec()
}

/// A request for a method by name.
pub(crate) fn request(stream: u64, body: &[u8]) -> Frame {
    Frame::new(Kind::REQUEST, 1, stream, &header(&[], &[(2, b"a.B/c")]), body)
}

/// One connection, and what a script says to it.
pub(crate) struct Script {
    pub(crate) now: Instant,
    pub(crate) wire: Connection,
    input: BytesMut,
    pub(crate) out: Vec<Frame>,
    pub(crate) events: Vec<Event>,
}

impl Script {
    /// A connection that has heard nothing yet.
    pub(crate) fn silent(role: Role, config: Config) -> Self {
        let now = Instant::now();
        let wire = Connection::new(role, config, now);
        Self { now, wire, input: BytesMut::new(), out: Vec::new(), events: Vec::new() }
    }

    /// A connection that has heard magic and SETTINGS without a value.
    pub(crate) fn with(role: Role, config: Config) -> Self {
        let mut script = Self::silent(role, config);
        if role == Role::Acceptor {
            script.say(&MAGIC).unwrap();
        }
        script.frame(&Frame::new(Kind::SETTINGS, 0, 0, &[], &[])).unwrap();
        script.out.clear();
        script
    }

    pub(crate) fn server() -> Self {
        Self::with(Role::Acceptor, Config::default())
    }

    pub(crate) fn client() -> Self {
        Self::with(Role::Connector, Config::default())
    }

    pub(crate) fn say(&mut self, bytes: &[u8]) -> Result<(), ConnectionError> {
        self.input.extend_from_slice(bytes);
        let result = self.wire.handle_bytes(self.now, &mut self.input);
        self.drain();
        result
    }

    /// Takes what the connection has to say.
    pub(crate) fn drain(&mut self) {
        let mut out = Transmit::default();
        while self.wire.poll_transmit(self.now, &mut out) {
            self.wire.written(out.len());
            self.out.extend(Frame::all(&out.take_all()));
        }
        while let Some(event) = self.wire.poll_event() {
            self.events.push(event);
        }
        // Adding up thousands of streams after each frame would take all the time.
        if self.wire.snapshot().serving < 300 {
            self.wire.check().unwrap();
        }
    }

    pub(crate) fn frame(&mut self, frame: &Frame) -> Result<(), ConnectionError> {
        self.say(&frame.bytes())
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.wire.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            let _ = self.wire.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Says this, which must end the connection with this code, and be told to the peer.
    #[track_caller]
    pub(crate) fn breaks(&mut self, frame: &Frame, code: ErrorCode) {
        self.breaks_bytes(&frame.bytes(), code);
    }

    #[track_caller]
    pub(crate) fn breaks_bytes(&mut self, bytes: &[u8], code: ErrorCode) {
        let error = self.say(bytes).expect_err("the end of the connection");
        assert_eq!((error.code, error.by_peer), (code, false), "{error}");
        let last = self.out.last().expect("a last word");
        assert_eq!(last.kind, Kind::DRAIN.0);
        assert_eq!(&last.header[..3], &[2, 1, code as u8], "the code is told");
        // Whatever comes after is not looked at.
        assert!(self.say(&[0xFF; 100]).is_err());
    }

    /// The answer to a stream, which must have been an error.
    #[track_caller]
    pub(crate) fn refusal(&self, stream: u64) -> crate::Status {
        let found = self.out.iter().find(|frame| frame.kind == Kind::RESPONSE.0 && frame.stream == stream);
        let mut head = ResponseHead::default();
        head.decode(&found.expect("an answer").header, 128).unwrap();
        head.status.expect("an error")
    }

    pub(crate) fn requests(&self) -> Vec<StreamId> {
        let request = |event: &Event| match event {
            Event::Request(incoming) => Some(incoming.stream),
            _ => None,
        };
        self.events.iter().filter_map(request).collect()
    }

    pub(crate) fn open(&mut self, end: bool) -> StreamId {
        let open = crate::wire::connection::Open { token: crate::wire::Token(1), oneway: false, end };
        let opened = self.wire.open(self.now, &super::pair::head(0), Body::default(), open);
        self.drain();
        match opened {
            Ok(crate::wire::Opened::Stream(id)) => id,
            other => panic!("{other:?}"),
        }
    }
}

/// A frame without flags and body.
pub(crate) fn bare(kind: Kind, stream: u64, header: &[u8]) -> Frame {
    Frame::new(kind, 0, stream, header, &[])
}

/// A grant.
pub(crate) fn credit(stream: u64, bytes: u32) -> Frame {
    bare(Kind::CREDIT, stream, &bytes.to_le_bytes())
}
