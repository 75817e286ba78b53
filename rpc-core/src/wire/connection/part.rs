//! Parts of large messages that are read straight to where they belong.
//!
//! Whatever comes is read into one buffer, and bodies are slices of it; but a part of a large message would be copied from
//! there to the other parts. So once its prefix is here and says what is to come, the driver is lent the message's own
//! buffer, and reads the rest of the part into it:
//!
//! ```text
//!   socket:   | prefix | body of the part …                              | next prefix |
//!   read to:  [ input          ] [ the message's buffer                               ]
//!                                                                         [ input      ]
//! ```
//!
//! The prefix behind the part is read along, and moved to the input: one system call a part in place of two.

use std::time::Instant;

use bytes::buf::Limit;
use bytes::{BufMut, BytesMut};

use super::super::error::ConnectionError;
use super::super::frame::{Kind, PREFIX, Prefix, flag};
use super::super::inbox::Place;
use super::super::stream::StreamId;
use super::control::overrun;
use super::portion::Take;
use super::{Answers, Connection};
use crate::buffer;

/// A part of which less is still to come, in bytes, is read like anything else: to lend and to take back costs more.
const WORTH: usize = 16 * 1024;

/// The part of a message that is on its way, and the message's buffer.
#[derive(Debug)]
pub struct Part {
    stream: StreamId,
    /// The length of its body.
    length: u32,
    /// Whether it is not the last.
    more: bool,
    bytes: BytesMut,
    /// How many bytes the buffer has once the part is whole.
    whole: usize,
}

impl Part {
    /// Where to read to: what is missing of the part, and a prefix.
    pub fn room(&mut self) -> Limit<&mut BytesMut> {
        let room = (self.whole + PREFIX).saturating_sub(self.bytes.len());
        (&mut self.bytes).limit(room)
    }

    fn is_whole(&self) -> bool {
        self.bytes.len() >= self.whole
    }
}

impl Connection {
    /// Bytes came from the peer, to `part` if there is one, otherwise to `input`. Does what
    /// [`handle_bytes`](Self::handle_bytes) does with the first few hundred frames, and lends a buffer where a large part
    /// comes next: what is read then belongs [there](Part::room). As long as the input [has a frame](Self::has_frame), call
    /// again before more is read.
    ///
    /// # Errors
    /// As those of `handle_bytes`.
    pub fn handle_input(
        &mut self,
        now: Instant,
        input: &mut BytesMut,
        part: &mut Option<Part>,
    ) -> Result<(), ConnectionError> {
        self.handle_input_with(now, input, part, &mut ())
    }

    /// The same, with those who wait for answers.
    ///
    /// # Errors
    /// What ended the connection.
    #[inline]
    pub(crate) fn handle_input_with(
        &mut self,
        now: Instant,
        input: &mut BytesMut,
        part: &mut Option<Part>,
        answers: &mut impl Answers,
    ) -> Result<(), ConnectionError> {
        if let Some(came) = part.take() {
            if !came.is_whole() && self.error.is_none() {
                self.keepalive.heard(now);
                *part = Some(came);
                return Ok(());
            }
            if self.error.is_none()
                && let Err(error) = self.on_lent_part(now, came, input)
            {
                self.fail(error.clone());
                input.clear();
                return Err(error);
            }
        }
        self.handle_bytes_with(now, input, Take::Portion, answers)?;
        if input.len() >= PREFIX {
            *part = self.lend_part(input);
        }
        Ok(())
    }

    /// Lends a message's buffer, if what is left of the input is the beginning of a part that is worth it. A part that may
    /// not come is none: it is refused once it is whole.
    fn lend_part(&mut self, input: &mut BytesMut) -> Option<Part> {
        let prefix = Prefix::parse(input.first_chunk::<PREFIX>()?);
        let length = prefix.body as usize;
        let missing = (PREFIX + length).saturating_sub(input.len());
        let more = prefix.flags == flag::MORE;
        if Kind(prefix.kind) != Kind::DATA
            || prefix.header != 0
            || !(more || prefix.flags == 0)
            || missing < WORTH
            || prefix.body > self.receive_window.left()
        {
            return None;
        }
        let id = StreamId(prefix.stream);
        let flow = self.streams.get_mut(id)?.flow.as_mut().filter(|flow| !flow.stopped)?;
        let inbox = flow.inbox.as_mut().filter(|inbox| inbox.place == Place::Reserved)?;
        let (whole, total) = (inbox.here + length, inbox.total as usize);
        if prefix.body > flow.receive.left() || whole > total || (!more && whole < total) {
            return None;
        }
        let mut bytes = inbox.lend(length + PREFIX);
        bytes.extend_from_slice(&input[PREFIX..]);
        input.clear();
        self.frame_began = None;
        Some(Part { stream: id, length: prefix.body, more, bytes, whole })
    }

    /// A part came that is in its message's buffer already. The message may have gone meanwhile.
    fn on_lent_part(
        &mut self,
        now: Instant,
        part: Part,
        input: &mut BytesMut,
    ) -> Result<(), ConnectionError> {
        let Part { stream: id, length, more, mut bytes, whole } = part;
        input.extend_from_slice(bytes.get(whole..).unwrap_or_default());
        bytes.truncate(whole);
        self.received(length as usize)?;
        let Some(flow) = self.streams.get_mut(id).and_then(|stream| stream.flow.as_mut()) else {
            buffer::give(bytes);
            return Ok(());
        };
        if flow.stopped || flow.inbox.is_some() {
            flow.receive.receive(length).map_err(|_| overrun("stream"))?;
        }
        let Some(inbox) = &mut flow.inbox else {
            buffer::give(bytes);
            return Ok(());
        };
        inbox.take_back(bytes);
        self.part_came(now, id, length, more)
    }
}
