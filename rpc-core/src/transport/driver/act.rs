//! What a driver does of what came: requests are dispatched, handlers ended, items delivered.

use super::{Dispatch, Driver};
use crate::context::Reason;
use crate::transport::link::{Link, context_reason, end};
use crate::transport::stream::deliver;
use crate::wire::{Event, StreamId};

impl<D: Dispatch> Driver<D> {
    /// Acts on what the peer wants.
    pub(super) fn act(&mut self) {
        if self.inbound.is_empty() {
            return;
        }
        // A call that came and was given up before anybody looked at it need not be run.
        let given_up = |event: &Event| match event {
            Event::Cancelled { stream, .. } => Some(*stream),
            _ => None,
        };
        let mut given_up: Vec<StreamId> = self.inbound.iter().filter_map(given_up).collect();
        given_up.sort_unstable();
        // By reference: to move each event out costs as much as to look at it.
        for event in &mut self.inbound {
            match event {
                Event::Request(request) if given_up.binary_search(&request.stream).is_ok() => {
                    self.answers.push(request.stream, None);
                }
                Event::Request(request) => self.dispatch.request(&self.link, request, &mut self.answers),
                Event::Cancelled { reason, stream } => {
                    end_handler(&self.link, *stream, context_reason(*reason));
                }
                Event::Overdue { stream } => end_handler(&self.link, *stream, Reason::Deadline),
                Event::Item { .. } | Event::Ended { .. } | Event::Sendable { .. } => {
                    // What is left there is passed over.
                    self.items.push(std::mem::replace(event, Event::Draining));
                }
                // The endpoint sees by itself that the peer drains.
                _ => {}
            }
        }
        self.inbound.clear();
        self.dispatch.dispatched();
        if !self.items.is_empty() {
            // After the requests that they belong to.
            deliver(&self.link, &mut self.items);
        }
    }
}

/// Ends the handler of one call, if it has a task. One without is over already, answered in this very round: its answer
/// is on its way to the state machine, which knows what to do with it.
fn end_handler(link: &Link, stream: StreamId, reason: Reason) {
    let serving = link.lock().serving(stream);
    if let Some((context, task)) = serving {
        end(&context, task, reason);
    }
}
