//! The client: callers put frames into one buffer and wait in a list; one task writes, one reads.

use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::frame::{Frames, ONEWAY};
use super::out::Out;
use crate::Result;
use crate::echo::Client;

/// While more than this waits to be written, a sender of messages without an answer lets others run.
const BACKLOG: usize = 256 * 1024;

/// A client with one connection.
#[derive(Clone)]
pub struct RawClient {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    calls: Vec<Slot>,
    /// The head of the list of free slots.
    free: Option<usize>,
    in_flight: usize,
    out: Out,
    writer: Option<Waker>,
    writer_sleeps: bool,
    closed: bool,
}

enum Slot {
    Free { next: Option<usize> },
    Waiting(Option<Waker>),
    Done(Bytes),
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        let mut wakers: Vec<Waker> = state.writer.take().into_iter().collect();
        for slot in &mut state.calls {
            if let Slot::Waiting(waker) = slot {
                wakers.extend(waker.take());
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl RawClient {
    pub(super) async fn connect(server: SocketAddr, yields: bool, large: bool) -> Result<Self> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let shared = Arc::new(Shared::default());
        tokio::spawn(writer(shared.clone(), write, yields));
        tokio::spawn(reader(shared.clone(), read, large));
        Ok(Self { shared })
    }

    /// Puts a call into the buffer and the list; gives its place.
    #[inline]
    fn submit(&self, payload: &Bytes) -> Result<usize> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err("the connection is closed".into());
        }
        state.in_flight += 1;
        let place = match state.free {
            Some(place) => {
                if let Slot::Free { next } = state.calls[place] {
                    state.free = next;
                }
                state.calls[place] = Slot::Waiting(None);
                place
            }
            None => {
                state.calls.push(Slot::Waiting(None));
                state.calls.len() - 1
            }
        };
        state.out.push(place as u64, payload);
        let writer = if mem::take(&mut state.writer_sleeps) { state.writer.clone() } else { None };
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        Ok(place)
    }

    /// Puts a message without an answer into the buffer. Whether there is room for more.
    #[inline]
    fn submit_oneway(&self, payload: &Bytes) -> Result<bool> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err("the connection is closed".into());
        }
        state.out.push(ONEWAY, payload);
        let room = state.out.waiting() < BACKLOG;
        let writer = if mem::take(&mut state.writer_sleeps) { state.writer.clone() } else { None };
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
        Ok(room)
    }
}

impl Client for RawClient {
    async fn call(&self, payload: &Bytes) -> Result<usize> {
        let place = self.submit(payload)?;
        Ok(Wait { shared: &self.shared, place }.await?.len())
    }

    async fn send(&self, payload: &Bytes) -> Result<()> {
        if !self.submit_oneway(payload)? {
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

struct Wait<'a> {
    shared: &'a Shared,
    place: usize,
}

impl Future for Wait<'_> {
    type Output = Result<Bytes>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.lock();
        let state = &mut *state;
        let slot = &mut state.calls[self.place];
        if let Slot::Waiting(waker) = slot {
            if state.closed {
                return Poll::Ready(Err("the connection is closed".into()));
            }
            match waker {
                Some(waker) if waker.will_wake(cx.waker()) => {}
                _ => *waker = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        let done = mem::replace(slot, Slot::Free { next: state.free });
        state.free = Some(self.place);
        state.in_flight -= 1;
        match done {
            Slot::Done(payload) => Poll::Ready(Ok(payload)),
            _ => Poll::Ready(Err("a call was polled after its end".into())),
        }
    }
}

async fn writer(shared: Arc<Shared>, mut socket: OwnedWriteHalf, yields: bool) {
    let mut out = Out::default();
    loop {
        let mut yielded = !yields;
        let open = poll_fn(|cx| {
            let mut state = shared.lock();
            if state.closed {
                return Poll::Ready(false);
            }
            if state.out.is_empty() {
                state.writer_sleeps = true;
                match &state.writer {
                    Some(waker) if waker.will_wake(cx.waker()) => {}
                    _ => state.writer = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
            if !yielded && state.in_flight > 1 {
                // Others may put theirs into the same write.
                yielded = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            state.writer_sleeps = false;
            mem::swap(&mut state.out, &mut out);
            Poll::Ready(true)
        });
        if !open.await || out.write(&mut socket).await.is_err() {
            return;
        }
    }
}

async fn reader(shared: Arc<Shared>, socket: OwnedReadHalf, large: bool) {
    let mut frames = Frames::new(socket, large);
    let mut wakers: Vec<Waker> = Vec::new();
    while let Ok(true) = frames.fill().await {
        {
            let mut state = shared.lock();
            while let Some((number, payload)) = frames.take() {
                if let Some(slot) = state.calls.get_mut(number as usize)
                    && let Slot::Waiting(waker) = mem::replace(slot, Slot::Done(payload))
                {
                    wakers.extend(waker);
                }
            }
        }
        wakers.drain(..).for_each(Waker::wake);
    }
    shared.close();
}

impl fmt::Debug for RawClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawClient")
    }
}
