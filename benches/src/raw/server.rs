//! The two servers: one answers where it reads, one from a task for each request.

use std::future::poll_fn;
use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use bytes::Bytes;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};

use super::frame::{Frames, ONEWAY};
use super::out::Out;
use crate::Result;

/// Serves with a task for each connection, which reads, answers and writes.
pub(super) async fn in_place(large: bool) -> Result<SocketAddr> {
    serve(move |stream| {
        tokio::spawn(async move {
            let (read, mut write) = stream.into_split();
            let mut frames = Frames::new(read, large);
            let mut out = Out::default();
            while frames.fill().await? {
                while let Some((number, payload)) = frames.take() {
                    if number != ONEWAY {
                        out.push(number, &payload);
                    }
                }
                if !out.is_empty() {
                    out.write(&mut write).await?;
                }
            }
            Ok::<_, std::io::Error>(())
        });
    })
    .await
}

/// Serves with a task for each request.
pub(super) async fn spawning() -> Result<SocketAddr> {
    serve(|stream| {
        let (read, write) = stream.into_split();
        let answers = Arc::new(Answers::default());
        tokio::spawn(writer(answers.clone(), write));
        tokio::spawn(async move {
            let mut frames = Frames::new(read, false);
            while let Ok(true) = frames.fill().await {
                while let Some((number, payload)) = frames.take() {
                    let answers = answers.clone();
                    tokio::spawn(async move {
                        let reply = echo(payload).await;
                        if number != ONEWAY {
                            answers.put(number, &reply);
                        }
                    });
                }
            }
            answers.close();
        });
    })
    .await
}

async fn serve(connection: impl Fn(TcpStream) + Send + 'static) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if stream.set_nodelay(true).is_ok() {
                connection(stream);
            }
        }
    });
    Ok(address)
}

/// The handler.
async fn echo(payload: Bytes) -> Bytes {
    payload
}

/// Where the tasks of a connection put their answers.
#[derive(Default)]
struct Answers(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    out: Out,
    writer: Option<Waker>,
    writer_sleeps: bool,
    closed: bool,
}

impl Answers {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, number: u64, payload: &Bytes) {
        let mut waiting = self.lock();
        waiting.out.push(number, payload);
        let writer = if mem::take(&mut waiting.writer_sleeps) { waiting.writer.clone() } else { None };
        drop(waiting);
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        let writer = waiting.writer.take();
        drop(waiting);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}

async fn writer(answers: Arc<Answers>, mut socket: OwnedWriteHalf) {
    let mut out = Out::default();
    loop {
        let open = poll_fn(|cx| {
            let mut waiting = answers.lock();
            if waiting.out.is_empty() {
                if waiting.closed {
                    return Poll::Ready(false);
                }
                waiting.writer_sleeps = true;
                match &waiting.writer {
                    Some(waker) if waker.will_wake(cx.waker()) => {}
                    _ => waiting.writer = Some(cx.waker().clone()),
                }
                return Poll::Pending;
            }
            waiting.writer_sleeps = false;
            mem::swap(&mut waiting.out, &mut out);
            Poll::Ready(true)
        });
        if !open.await || out.write(&mut socket).await.is_err() {
            return;
        }
    }
}
