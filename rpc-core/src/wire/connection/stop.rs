//! The reader of a request's items wants no more of them, though its call goes on (§9.4).
//!
//! ```text
//!   opener                                   answerer
//!
//!   DATA, DATA…          ---------------->   its handler drops the stream: `stop`
//!                        <----------------   CREDIT with END
//!   drops what waits     DATA (crossing) ->  counted and dropped
//!   Event::Sendable      END  ----------->   the half is over
//! ```
//!
//! There is no such word for the items of a response: who wants no more of them cancels the call.

use super::super::error::ConnectionError;
use super::super::frame::{Kind, flag};
use super::super::stream::{Flow, State, StreamId};
use super::control::protocol;
use super::{Connection, Event};

impl Connection {
    /// Nobody reads the items of this call of the peer's any more: tells the peer, and drops what is here and what is
    /// still to come. The call goes on. Does nothing where the items have ended.
    pub fn stop(&mut self, id: StreamId) {
        let (side, grants) = (self.side(id), self.grants());
        let Some(stream) = self.streams.get_mut(id) else { return };
        if stream.state != State::Running || stream.oneway.is_some() || stream.peer_ended {
            return;
        }
        let flow = Flow::of(&mut stream.flow, grants);
        if flow.stopped {
            return;
        }
        flow.stopped = true;
        // The item that is partly here may have said that it is the last: then no END comes.
        stream.peer_ended = flow.inbox.as_ref().is_some_and(|inbox| inbox.end);
        // What was lent beyond the window and is here keeps room until it is read, which will not be. The grant is of no
        // use to anybody: nothing more is to come.
        let paid_back = flow.receive.consume(u32::MAX).paid_back as usize;
        let room = paid_back.min(stream.buffered);
        stream.buffered -= room;
        self.unread -= std::mem::take(&mut flow.unread) as usize;
        self.drop_inbox(id);
        self.leave_room(side, room);
        self.send_bare(Kind::CREDIT, flag::END, id, &[0; 4]);
    }

    /// The peer wants no more of the items of a call of ours.
    pub(super) fn on_stop(&mut self, id: StreamId, flags: u8, bytes: u32) -> Result<(), ConnectionError> {
        if bytes != 0 || flags != flag::END {
            return Err(protocol(format!("a stop of stream {id} that grants something")));
        }
        if id.0 == 0 || !self.is_local(id) || !self.was_opened(id) {
            return Err(protocol(format!("a stop of stream {id}, which is not one of ours")));
        }
        // It may cross the end of the items, or of the call, but only once.
        let Some(stream) = self.streams.get_mut(id) else { return self.late_cancel(id) };
        if stream.ended && stream.outbox().is_none() {
            return self.late_cancel(id);
        }
        if stream.ends_at == u64::MAX {
            return Err(protocol(format!("a stop of stream {id} before its request was there")));
        }
        // A message that is cut off here may end with an END (§9.4). Its first frame may have said so already.
        let first = stream.take_outbox().and_then(|mut outbox| outbox.messages.pop_front());
        let told = first.is_some_and(|message| message.begun && message.end);
        stream.ended = true;
        if let Some(flow) = &mut stream.flow {
            flow.blocked = false;
        }
        self.events.push_back(Event::Sendable { stream: id, token: stream.token });
        if !told {
            self.send_bare(Kind::END, 0, id, &[]);
        }
        Ok(())
    }
}
