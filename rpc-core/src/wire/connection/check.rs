//! What must be true of a connection at any time, for tests and fuzzers.

use super::super::inbox::{CLAIM, Place};
use super::super::stream::{Flow, State, StreamId};
use super::Connection;

/// Both ends of a window, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credit {
    /// What this side may send.
    pub send: u32,
    /// What the peer may send.
    pub receive: u32,
    /// What will be granted to the peer again.
    pub owed: u32,
}

impl Connection {
    /// The credit of a stream, or of the connection. A stream that was stopped has none to speak of: what its peer has left
    /// will not be used.
    #[doc(hidden)]
    pub fn credit(&self, stream: Option<StreamId>) -> Option<Credit> {
        let (send, receive) = match stream {
            None => (self.send_window, self.receive_window),
            Some(id) => {
                let (_, stream) = self.streams.iter().find(|(found, _)| *found == id)?;
                match &stream.flow {
                    Some(flow) if flow.stopped => return None,
                    Some(flow) => (flow.send, flow.receive),
                    None => {
                        let Flow { send, receive, .. } = Flow::new(self.grants());
                        (send, receive)
                    }
                }
            }
        };
        Some(Credit { send: send.left(), receive: receive.left(), owed: receive.owed() })
    }

    /// The credit for oneway requests.
    #[doc(hidden)]
    pub fn credit_oneway(&self) -> Credit {
        let (send, receive) = (self.send_oneway, self.receive_oneway);
        Credit { send: send.left(), receive: receive.left(), owed: receive.owed() }
    }

    /// The open streams.
    #[doc(hidden)]
    pub fn stream_ids(&self) -> Vec<StreamId> {
        self.streams.iter().map(|(id, _)| id).collect()
    }

    /// Adds up what is counted as it changes.
    ///
    /// # Errors
    /// What does not add up.
    #[doc(hidden)]
    pub fn check(&self) -> Result<(), String> {
        let is = |what: &str, found: u64, expected: u64| {
            if found == expected { Ok(()) } else { Err(format!("{what} is {found}, not {expected}")) }
        };
        let (mut local, mut remote, mut oneway) = (0, 0, 0);
        let (mut used, mut waiting) = ([0; 2], [0; 2]);
        let mut unread = 0;
        for (id, stream) in self.streams.iter() {
            let side = self.side(id);
            if self.is_local(id) != (stream.state == State::Open) {
                return Err(format!("stream {id} is {:?}", stream.state));
            }
            match (stream.state, stream.oneway) {
                (State::Open, None) => local += 1,
                (State::Open, Some(_)) => {}
                (_, None) => remote += 1,
                (_, Some(cost)) => oneway += u64::from(cost),
            }
            used[side] += stream.buffered;
            let Some(flow) = &stream.flow else { continue };
            unread += u64::from(flow.unread);
            if let Some(inbox) = &flow.inbox {
                used[side] += inbox.held;
                if inbox.place != Place::Reserved {
                    waiting[side] += inbox.held;
                }
                // A buffer that is used again may be twice as large as the one that was asked for.
                let claim = (CLAIM * inbox.here).min(inbox.total as usize);
                if inbox.capacity() > 3 * claim + super::MAX_FRAME_BODY {
                    return Err(format!("{} bytes of room for {}", inbox.capacity(), inbox.here));
                }
            }
            let window = flow.receive;
            let granted = u64::from(self.config.stream_credit) + u64::from(window.lent());
            let sum = u64::from(window.left()) + u64::from(window.taken()) + u64::from(window.owed());
            is(&format!("the receive window of stream {id}"), sum, granted)?;
            let outbox = flow.outbox.as_ref();
            if outbox.is_some_and(|outbox| outbox.messages.is_empty()) {
                return Err(format!("stream {id} has an empty outbox"));
            }
            if outbox.is_some_and(|outbox| outbox.queued) && self.error.is_none() && !self.turns.contains(&id)
            {
                return Err(format!("stream {id} waits for a turn that will not come"));
            }
        }
        is("what is unread", self.unread as u64, unread)?;
        let most = self.config.max_unread + self.streams.len() * super::unread::SHARE as usize;
        if self.unread > most {
            return Err(format!("{} bytes of items wait for their readers", self.unread));
        }
        is("local_open", u64::from(self.local_open), local)?;
        is("remote_open", u64::from(self.remote_open), remote)?;
        for (side, room) in self.rooms.iter().enumerate() {
            is("the room used", room.used as u64, used[side] as u64)?;
            is("the room that waits", room.waiting() as u64, waiting[side] as u64)?;
            let most = self.config.max_buffered
                + (self.config.stream_credit as usize + 1) * self.streams.len()
                + self.config.max_message as usize * remote as usize;
            if room.used > most {
                return Err(format!("{} bytes are kept", room.used));
            }
        }
        let window = self.receive_window;
        is(
            "the receive window",
            u64::from(window.left()) + u64::from(window.owed()),
            u64::from(self.config.connection_credit),
        )?;
        let window = self.receive_oneway;
        is("oneway credit", u64::from(window.taken()), oneway)?;
        is(
            "the window for oneway requests",
            u64::from(window.left()) + u64::from(window.taken()) + u64::from(window.owed()),
            u64::from(self.config.oneway_credit),
        )?;
        if self.turns.len() > 2 * self.streams.len() + 32 {
            return Err(format!("{} turns of {} streams", self.turns.len(), self.streams.len()));
        }
        Ok(())
    }
}
