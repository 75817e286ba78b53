//! The heads of requests (§6) and responses (§7): the one place where a call's method, deadline, status and metadata
//! become the fields of a header, and back.
//!
//! What comes from a peer is either a head or a reason: a request that cannot be read is answered with that reason.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};

use super::field::{Field, Numbers, Reader, Truncated, micros, put_bytes, put_length, put_number};
use super::method::{MAX_NAME, Naming};
use crate::metadata::Metadata;
use crate::status::{Certainty, Code, Detail, Hop, Status};

mod key {
    // Requests.
    pub(super) const METHOD: u8 = 1;
    pub(super) const METHOD_NAME: u8 = 2;
    pub(super) const CODEC: u8 = 3;
    pub(super) const TIMEOUT: u8 = 4;
    pub(super) const DEADLINE: u8 = 5;
    pub(super) const ATTEMPT: u8 = 6;
    pub(super) const RETRY: u8 = 7;
    pub(super) const TRACE: u8 = 8;
    // Responses.
    pub(super) const CODE: u8 = 16;
    pub(super) const CERTAINTY: u8 = 17;
    pub(super) const MESSAGE: u8 = 18;
    pub(super) const RETRY_AFTER: u8 = 19;
    pub(super) const QUEUE: u8 = 20;
    pub(super) const HANDLER: u8 = 21;
    pub(super) const DETAIL: u8 = 22;
    pub(super) const HOP: u8 = 23;
    // Both.
    pub(super) const LENGTH: u8 = 32;
    pub(super) const COMPRESSION: u8 = 33;
    pub(super) const METADATA: u8 = 34;
}

/// A status message is cut to this many bytes on the wire, so that the head of an error always fits (§7.2).
const MAX_STATUS_MESSAGE: usize = 2 * 1024;

/// More hops than this are not carried: no chain is as long, and a loop must not grow a header for ever.
const MAX_HOPS: usize = 16;

/// The head of a request that we send, for as long as it is written: it borrows what is larger than a number.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestHead<'a> {
    /// A number that stands for the method in this process; the numbers in use should be small.
    pub method: u32,
    /// The method's full name.
    pub path: &'static str,
    /// The codec's number.
    pub codec: u8,
    /// When the call must be complete.
    pub deadline: Option<Instant>,
    /// What remains until then as the call is opened, if that is known: it need not be reckoned (50 instructions).
    pub remaining: Option<Duration>,
    /// How many attempts came before.
    pub attempt: u32,
    /// Whether a layer above retries.
    pub is_retry: bool,
    /// The trace context, in 25 bytes.
    pub trace: Option<&'a [u8; 25]>,
    /// The user's metadata.
    pub metadata: &'a Metadata,
}

/// How much time a request says it has (§6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TimeLimit {
    #[default]
    None,
    /// What remains, in microseconds.
    Remaining(u64),
    /// A point in time, in microseconds since 1970.
    At(u64),
}

impl RequestHead<'_> {
    /// Appends the fields.
    #[inline(always)]
    pub(crate) fn encode(&self, naming: Naming, limit: TimeLimit, out: &mut BytesMut) {
        let mut numbers = Numbers::<50>::new();
        if let Naming::Number(number) | Naming::Bind(number) = naming {
            numbers.put(key::METHOD, u64::from(number));
        }
        if let Naming::Name | Naming::Bind(_) = naming {
            numbers.flush(out);
            put_bytes(out, key::METHOD_NAME, self.path.as_bytes());
        }
        if self.codec != 0 {
            numbers.put(key::CODEC, u64::from(self.codec));
        }
        match limit {
            TimeLimit::None => {}
            TimeLimit::Remaining(micros) => numbers.put(key::TIMEOUT, micros),
            TimeLimit::At(micros) => numbers.put(key::DEADLINE, micros),
        }
        if self.attempt != 0 {
            numbers.put(key::ATTEMPT, u64::from(self.attempt));
        }
        if self.is_retry {
            numbers.put(key::RETRY, 1);
        }
        numbers.flush(out);
        if let Some(trace) = self.trace {
            put_bytes(out, key::TRACE, trace);
        }
        if !self.metadata.is_empty() {
            put_metadata(out, self.metadata);
        }
    }

    /// An upper bound of what [`encode`](Self::encode) appends, in bytes.
    #[inline]
    pub(crate) fn size_hint(&self) -> usize {
        128 + self.path.len() + metadata_size(self.metadata)
    }
}

/// The head of a request that came.
#[derive(Debug, Default)]
pub struct IncomingHead {
    /// The method's number, if it has one.
    pub number: Option<u32>,
    /// The method's name, if it came with this request.
    pub name: Option<Box<str>>,
    /// The codec's number.
    pub codec: u8,
    /// How many attempts came before.
    pub attempt: u32,
    /// Whether a layer above retries.
    pub is_retry: bool,
    /// The trace context.
    pub trace: Option<[u8; 25]>,
    /// The user's metadata.
    pub metadata: Metadata,
}

/// What is in a request's header beside the head itself.
#[derive(Debug, Default)]
pub(crate) struct RequestFields {
    pub(crate) head: IncomingHead,
    /// The number that the request uses or binds; the caller checks it against the table.
    pub(crate) number: Option<u64>,
    pub(crate) limit: TimeLimit,
    pub(crate) length: Option<u64>,
    /// Why the request cannot be run, for its answer. The rest is as far as it could be read.
    pub(crate) refused: Option<Cow<'static, str>>,
}

impl RequestFields {
    /// Reads a header into fields that are empty.
    #[inline(always)]
    pub(crate) fn decode(&mut self, header: &[u8], max_metadata: usize) {
        for field in Reader::new(header) {
            // Most have nothing but the method and the time.
            match field.as_ref().map(|field| (field.key, field.number())) {
                Ok((key::METHOD, number @ Some(_))) => self.number = number,
                Ok((key::TIMEOUT, Some(number))) => self.limit = TimeLimit::Remaining(number),
                _ => self.read_other(field, max_metadata),
            }
        }
    }

    #[inline(never)]
    fn read_other(&mut self, field: Result<Field<'_>, Truncated>, max_metadata: usize) {
        let read = match field {
            Ok(field) => self.read(field, max_metadata),
            Err(error) => Err(error.to_string().into()),
        };
        if let Err(reason) = read {
            // Reading goes on: the method's number must be known even if the request is refused (§6.2).
            self.refused.get_or_insert(reason);
        }
    }

    fn read(&mut self, field: Field<'_>, max_metadata: usize) -> Result<(), Cow<'static, str>> {
        let number = || field.number().ok_or(Cow::Borrowed("a number in the header is longer than 8 bytes"));
        match field.key {
            key::METHOD => self.number = Some(number()?),
            key::METHOD_NAME => match std::str::from_utf8(field.value) {
                Ok(name) if name.len() <= MAX_NAME => self.head.name = Some(name.into()),
                _ => return Err("the method's name is not UTF-8, or too long".into()),
            },
            key::CODEC => {
                self.head.codec = u8::try_from(number()?).map_err(|_| "the codec's number is above 255")?;
            }
            key::TIMEOUT => self.limit = TimeLimit::Remaining(number()?),
            key::DEADLINE => self.limit = TimeLimit::At(number()?),
            key::ATTEMPT => self.head.attempt = u32::try_from(number()?).unwrap_or(u32::MAX),
            key::RETRY => self.head.is_retry = number()? != 0,
            key::TRACE => self.head.trace = field.value.try_into().ok(),
            key::LENGTH => self.length = Some(number()?),
            key::COMPRESSION if number()? != 0 => {
                return Err("the body is compressed in a way that this side does not know".into());
            }
            key::METADATA => take_metadata(&mut self.head.metadata, field.value, max_metadata)?,
            _ => {}
        }
        Ok(())
    }
}

/// The head of a response, in both directions: what the server says beside the reply.
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// The error, if the call failed.
    pub status: Option<Status>,
    /// How long the request waited for its handler, in microseconds: as it travels, for hardly anybody asks.
    pub queue: u64,
    /// How long it was in its handler, in microseconds.
    pub handler: u64,
    /// The metadata of a reply; an error carries its own.
    pub metadata: Metadata,
}

impl ResponseHead {
    /// The head of an answer that no handler has seen.
    pub(crate) fn refusal(status: Status) -> Self {
        Self { status: Some(status.with_certainty(Certainty::NotExecuted)), ..Self::default() }
    }

    #[inline]
    pub(crate) fn encode(&self, out: &mut BytesMut) {
        let mut numbers = Numbers::<20>::new();
        if self.queue != 0 {
            numbers.put(key::QUEUE, self.queue);
        }
        if self.handler != 0 {
            numbers.put(key::HANDLER, self.handler);
        }
        numbers.flush(out);
        if let Some(status) = &self.status {
            put_status(out, status);
        }
        if !self.metadata.is_empty() {
            put_metadata(out, &self.metadata);
        }
    }

    #[inline]
    pub(crate) fn size_hint(&self) -> usize {
        let status = self.status.as_ref().map_or(0, |status| {
            64 + status.message().len().min(MAX_STATUS_MESSAGE)
                + status
                    .details()
                    .iter()
                    .map(|detail| 8 + detail.type_name.len() + detail.value.len())
                    .sum::<usize>()
                + status.hops().iter().map(|hop| 64 + hop.method.len()).sum::<usize>()
                + metadata_size(status.metadata())
        });
        32 + status + metadata_size(&self.metadata)
    }

    /// Reads a header into a head that is empty; the length of a message that comes in parts.
    #[inline]
    pub(crate) fn decode(
        &mut self,
        header: &[u8],
        max_metadata: usize,
    ) -> Result<Option<u64>, Cow<'static, str>> {
        // Most have nothing but the times, and need no place for what an error has.
        for field in Reader::new(header) {
            match field.map(|field| (field.key, field.number())) {
                Ok((key::QUEUE, Some(number))) => self.queue = number,
                Ok((key::HANDLER, Some(number))) => self.handler = number,
                _ => return self.decode_all(header, max_metadata),
            }
        }
        Ok(None)
    }

    #[cold]
    fn decode_all(&mut self, header: &[u8], max_metadata: usize) -> Result<Option<u64>, Cow<'static, str>> {
        let mut length = None;
        let mut code = None;
        let mut error: Option<Box<ErrorFields>> = None;
        for field in Reader::new(header) {
            let field = field.map_err(|error| error.to_string())?;
            let number =
                || field.number().ok_or(Cow::Borrowed("a number in the header is longer than 8 bytes"));
            match field.key {
                key::QUEUE => self.queue = number()?,
                key::HANDLER => self.handler = number()?,
                key::CODE => code = Some(number()?),
                key::LENGTH => length = Some(number()?),
                key::COMPRESSION if number()? != 0 => {
                    return Err("the body is compressed in a way that this side does not know".into());
                }
                key::METADATA => take_metadata(&mut self.metadata, field.value, max_metadata)?,
                _ => error.get_or_insert_default().read(field)?,
            }
        }
        if let Some(code) = code.filter(|code| *code != 0) {
            let error = error.map_or_else(ErrorFields::default, |error| *error);
            let mut status = Status::new(Code::from_number(u8::try_from(code).unwrap_or(0)), error.message);
            status.set_certainty(error.certainty);
            status.set_retry_after(error.retry_after);
            status.set_metadata(std::mem::take(&mut self.metadata));
            *status.details_mut() = error.details;
            *status.hops_mut() = error.hops;
            self.status = Some(status);
        }
        Ok(length)
    }
}

/// The fields that only an error has.
#[derive(Default)]
struct ErrorFields {
    message: String,
    certainty: Certainty,
    retry_after: Option<Duration>,
    details: Vec<Detail>,
    hops: Vec<Hop>,
}

impl ErrorFields {
    fn read(&mut self, field: Field<'_>) -> Result<(), Cow<'static, str>> {
        match field.key {
            // A message is for people: one that is cut in the middle of a character is still worth having.
            key::MESSAGE => self.message = String::from_utf8_lossy(field.value).into_owned(),
            key::CERTAINTY => {
                let number = field.number().and_then(|number| u8::try_from(number).ok());
                self.certainty = Certainty::from_number(number.unwrap_or(0));
            }
            key::RETRY_AFTER => self.retry_after = field.number().map(Duration::from_micros),
            key::DETAIL => {
                let (name, value) = split_name(field.value).ok_or("a detail is malformed")?;
                let type_name = String::from_utf8_lossy(name).into_owned();
                self.details.push(Detail { type_name, value: Bytes::copy_from_slice(value) });
            }
            key::HOP if self.hops.len() < MAX_HOPS => self.hops.push(take_hop(field.value)?),
            _ => {}
        }
        Ok(())
    }
}

/// Appends the length of a message that comes in parts (§8.4).
pub(crate) fn put_message_length(out: &mut BytesMut, length: usize) {
    put_number(out, key::LENGTH, length as u64);
}

/// Reads the length of a message that comes in parts from the header of a DATA frame.
pub(crate) fn message_length(header: &[u8]) -> Option<u64> {
    // Of a key that comes twice the last counts.
    Reader::new(header).flatten().filter(|field| field.key == key::LENGTH).last()?.number()
}

#[cold]
fn put_status(out: &mut BytesMut, status: &Status) {
    put_number(out, key::CODE, status.code() as u64);
    if status.certainty() != Certainty::Unknown {
        put_number(out, key::CERTAINTY, status.certainty() as u64);
    }
    if !status.message().is_empty() {
        let message = status.message();
        put_bytes(out, key::MESSAGE, &message.as_bytes()[..message.floor_char_boundary(MAX_STATUS_MESSAGE)]);
    }
    if let Some(wait) = status.retry_after() {
        put_number(out, key::RETRY_AFTER, micros(wait));
    }
    for detail in status.details() {
        put_named(out, key::DETAIL, detail.type_name.as_bytes(), &detail.value);
    }
    for hop in status.hops().iter().take(MAX_HOPS) {
        put_hop(out, hop);
    }
    put_metadata(out, status.metadata());
}

/// Appends a field whose value is a name, behind its length in one byte, and a value.
fn put_named(out: &mut BytesMut, key: u8, name: &[u8], value: &[u8]) {
    let name = &name[..name.len().min(255)];
    // A value that no header can hold makes the header too long, which whoever sends it finds out; it must only not
    // be a header that says something else.
    let len = 1 + name.len() + value.len();
    put_length(out, key, len);
    out.put_u8(name.len() as u8);
    out.put_slice(name);
    out.put_slice(value);
}

fn split_name(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = value.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

#[inline(never)]
fn put_metadata(out: &mut BytesMut, metadata: &Metadata) {
    for (name, value) in metadata.iter_raw() {
        put_named(out, key::METADATA, name, value);
    }
}

fn metadata_size(metadata: &Metadata) -> usize {
    // In memory an entry takes nine bytes beside its name and its value, here at most five.
    metadata.size()
}

fn take_metadata(metadata: &mut Metadata, value: &[u8], max: usize) -> Result<(), Cow<'static, str>> {
    if metadata.len() >= max {
        return Err(format!("more than {max} metadata entries").into());
    }
    let (name, value) = split_name(value).ok_or("a metadata entry is malformed")?;
    if !metadata.append_raw(name, value) {
        return Err("a metadata name has characters that are not allowed".into());
    }
    Ok(())
}

/// A hop: the method's name, then budget, queue, handler and elapsed, each a number of microseconds plus one in
/// 8 bytes; zero says that it is not known (§7.4).
fn put_hop(out: &mut BytesMut, hop: &Hop) {
    let mut value = [0; 32];
    let shares = [Some(hop.budget), hop.queue, hop.handler, hop.elapsed];
    for (place, share) in value.chunks_exact_mut(8).zip(shares) {
        place.copy_from_slice(&share.map_or(0, |share| micros(share).saturating_add(1)).to_le_bytes());
    }
    put_named(out, key::HOP, hop.method.as_bytes(), &value);
}

fn take_hop(value: &[u8]) -> Result<Hop, Cow<'static, str>> {
    let (method, shares) = split_name(value).ok_or("a hop is malformed")?;
    let shares: &[u8; 32] = shares.try_into().map_err(|_| "a hop is malformed")?;
    let share = |index: usize| {
        let bytes = shares.get(index * 8..index * 8 + 8)?.try_into().ok()?;
        Some(Duration::from_micros(u64::from_le_bytes(bytes).checked_sub(1)?))
    };
    Ok(Hop {
        method: String::from_utf8_lossy(method).into_owned(),
        budget: share(0).unwrap_or_default(),
        queue: share(1),
        handler: share(2),
        elapsed: share(3),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_length_that_comes_twice_the_last_counts() {
        let mut header = BytesMut::new();
        assert_eq!(message_length(&header), None);
        put_message_length(&mut header, 7);
        put_number(&mut header, key::LENGTH + 1, 9);
        put_message_length(&mut header, 70_000);
        assert_eq!(message_length(&header), Some(70_000));
    }
}
