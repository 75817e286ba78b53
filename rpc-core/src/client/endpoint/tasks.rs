//! The tasks of an endpoint: one for each attempt to connect, and one that looks after idle and old connections. None of
//! them keeps the endpoint alive.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::{Inner, Other, State};
use crate::client::pool::Connection;
use crate::context::now;
use crate::server::connection::Serving;
use crate::transport::driver::Driver;
use crate::transport::link::{Link, connection};
use crate::wire::Role;

/// Without anything due, the groom looks again after this; whatever happens wakes it.
pub(super) const LONG: Duration = Duration::from_secs(3600);

impl Inner {
    /// Begins to make a connection. A task of its own does it, so that a caller that gives up does not end the attempt for
    /// the others.
    pub(super) fn dial(self: &Arc<Self>, state: &mut State) {
        state.dials.push(tokio::spawn(connect(Arc::downgrade(self))).abort_handle());
        let grooms = self.making().is_some_and(|making| making.pool.needs_grooming());
        if grooms && state.groom.as_ref().is_none_or(AbortHandle::is_finished) {
            state.groom = Some(tokio::spawn(groom(Arc::downgrade(self))).abort_handle());
        }
    }
}

/// Makes a connection and puts it on the shelf. It does not keep the endpoint alive.
async fn connect(endpoint: Weak<Inner>) {
    let _ended = Ended(endpoint.clone());
    let attempt = endpoint.upgrade().and_then(|inner| {
        let Other::Server(address, making) = &inner.other else { return None };
        let limit = making.connect_timeout;
        Some((tokio::time::timeout(limit, making.connector.connect(address)), limit))
    });
    let Some((attempt, limit)) = attempt else { return };
    let connected = match attempt.await {
        Ok(Ok(connected)) => Ok(connected),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {limit:.1?}")),
    };
    let Some(inner) = endpoint.upgrade() else { return };
    let Some(making) = inner.making() else { return };
    match connected {
        Ok((io, peer)) => {
            let link = Link::new(connection(Role::Connector, &making.config), peer);
            // The driver owns the socket and ends when the link is closed and idle, which it is when the endpoint goes.
            drop(tokio::spawn(Driver::new(io, link.clone(), Serving::new(making.router.clone()))));
            if making.pool.needs_grooming() {
                drop(tokio::spawn(tell_of(link.clone(), Arc::downgrade(&inner))));
            }
            let mut state = inner.lock();
            state.shelf.put(link, &making.pool, now(), fastrand::f64());
            state.resting = None;
        }
        Err(error) => {
            let mut state = inner.lock();
            state.shelf.dial_failed();
            inner.rest(&mut state, &error, now());
        }
    }
}

/// The end of an attempt, whatever it is: also one by a panic, or with its runtime. Those who wait are told.
struct Ended(Weak<Inner>);

impl Drop for Ended {
    fn drop(&mut self) {
        let Some(inner) = self.0.upgrade() else { return };
        let mut state = inner.lock();
        if let Some(own) = tokio::task::try_id() {
            state.dials.retain(|dial| dial.id() != own);
        }
        if std::thread::panicking() {
            state.shelf.dial_failed();
            inner.rest(&mut state, "the connector panicked", now());
        }
        drop(state);
        inner.changed.notify_waiters();
    }
}

/// Lets the groom know of a connection when its server has spoken, for then it may take an old one's place, and when it
/// takes no more calls. Ends with it.
async fn tell_of(link: Arc<Link>, endpoint: Weak<Inner>) {
    let tell = || {
        if let Some(inner) = endpoint.upgrade() {
            inner.changed.notify_waiters();
        }
    };
    // One that ends before that is unusable, too.
    let _ = link.established().await;
    tell();
    link.unusable().await;
    tell();
}

/// Looks after the connections while no call does: closes what is idle or old, replaces what is gone. It does not keep
/// the endpoint alive.
pub(super) async fn groom(endpoint: Weak<Inner>) {
    loop {
        let Some(inner) = endpoint.upgrade() else { return };
        let Some(making) = inner.making() else { return };
        let at = now();
        let changed = inner.changed.clone().notified_owned();
        let due = inner.with(|state| {
            inner.sweep(state, at);
            if state.shelf.connections().any(Connection::has_answered) {
                // It may be closed now, for it is idle or old, and not for any failure.
                state.forget_failures();
            }
            let mut groomed = state.shelf.groom(&making.pool, state.dials.len(), at);
            state.gone.append(&mut groomed.closed);
            let resting = state.resting.as_ref().is_some_and(|(until, _)| at < *until);
            for _ in 0..if resting { 0 } else { groomed.dial } {
                inner.dial(state);
            }
            groomed.due
        });
        let due = due.unwrap_or(at + LONG);
        // Not held while there is nothing to do: its end ends this task.
        drop(inner);
        let _ = tokio::time::timeout_at(due.into(), changed).await;
    }
}
