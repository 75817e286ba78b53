//! Many calls that come together are answered in portions: whoever waits for the first ones goes on while the rest is
//! done. Here both sides share a thread and a stopped clock, so what is looked at is the order of reads and writes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use rpc_core::call::{BoxFuture, Peer};
use rpc_core::transport::{Address, BoxIo, Connector, Listener};
use rpc_core::{Channel, Server, Status, service};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

#[service(name = "test.Echo")]
trait Echo {
    async fn echo(&self, number: u64) -> Result<u64, Status>;
}

struct Same;

impl Echo for Same {
    async fn echo(&self, number: u64) -> Result<u64, Status> {
        Ok(number)
    }
}

/// What one side has read and written, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Step {
    Read(usize),
    Wrote(usize),
}

type Log = Arc<Mutex<Vec<Step>>>;

/// One end of a connection, with a log.
struct Logged(DuplexStream, Log);

impl AsyncRead for Logged {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.0).poll_read(cx, buf);
        if polled.is_ready() {
            self.1.lock().unwrap().push(Step::Read(buf.filled().len() - before));
        }
        polled
    }
}

impl AsyncWrite for Logged {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.0).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = polled {
            self.1.lock().unwrap().push(Step::Wrote(count));
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Makes connections to a server of this process, with a log of each side.
#[derive(Clone, Debug)]
struct Wire {
    accepted: mpsc::UnboundedSender<DuplexStream>,
    client: Log,
}

impl Connector for Wire {
    fn connect(&self, _: &Address) -> BoxFuture<io::Result<(BoxIo, Peer)>> {
        let (here, there) = tokio::io::duplex(1 << 20);
        let io: BoxIo = Box::new(Logged(here, self.client.clone()));
        self.accepted.send(there).unwrap();
        Box::pin(async { Ok((io, Peer::new("server"))) })
    }
}

#[derive(Debug)]
struct Accepts {
    accepted: mpsc::UnboundedReceiver<DuplexStream>,
    server: Log,
}

impl Listener for Accepts {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(BoxIo, Peer)>> {
        self.accepted.poll_recv(cx).map(|io| match io {
            Some(io) => {
                let io: BoxIo = Box::new(Logged(io, self.server.clone()));
                Ok((io, Peer::new("client")))
            }
            None => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    fn local_addr(&self) -> Address {
        Address::Memory("portions".to_owned())
    }
}

/// Makes this many calls at a time, each twice, on a connection that is open; what client and server did meanwhile.
async fn calls(count: u64) -> (Vec<Step>, Vec<Step>) {
    let (client, server) = (Log::default(), Log::default());
    let (accepted, accepts) = mpsc::unbounded_channel();
    let listener: Box<dyn Listener> = Box::new(Accepts { accepted: accepts, server: server.clone() });
    let listening = Server::builder().service(EchoServer::new(Same)).listen(listener).unwrap();
    let wire = Wire { accepted, client: client.clone() };
    let channel = Channel::builder(listening.local_addr()).connector(wire).build().unwrap();
    let echo = EchoClient::new(channel);
    // The first reads of a connection are small ones, and grow.
    for _ in 0..5 {
        client.lock().unwrap().clear();
        server.lock().unwrap().clear();
        let tasks = (0..count).map(|number| {
            let echo = echo.clone();
            tokio::spawn(async move {
                for _ in 0..2 {
                    assert_eq!(echo.echo(number).await.unwrap(), number);
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    }
    let logs = (client.lock().unwrap().clone(), server.lock().unwrap().clone());
    drop(listening);
    logs
}

fn is_read(step: &Step) -> bool {
    matches!(step, Step::Read(_))
}

fn written<'a>(steps: impl Iterator<Item = &'a Step>) -> Vec<usize> {
    steps.filter_map(|step| if let Step::Wrote(count) = step { Some(*count) } else { None }).collect()
}

/// What the client wrote after it had all answers to its first calls in one read: its second calls.
fn second_calls(client: &[Step]) -> Vec<usize> {
    written(client.iter().skip_while(|step| !is_read(step)))
}

/// What the server wrote after it had all calls in one read, and before it read again: its answers.
fn answers(server: &[Step]) -> Vec<usize> {
    written(server.iter().skip_while(|step| !is_read(step)).skip(1).take_while(|step| !is_read(step)))
}

#[tokio::test(start_paused = true)]
async fn many_are_answered_and_made_anew_in_halves() {
    let (client, server) = calls(200).await;
    for (written, log) in [(second_calls(&client), client), (answers(&server), server)] {
        let all: usize = written.iter().sum();
        let first = written[0] * 100 / all;
        assert!(written.len() == 2 && (40..=60).contains(&first), "{written:?} of {log:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_are_answered_and_made_anew_at_once() {
    let (client, server) = calls(32).await;
    assert_eq!(second_calls(&client).len(), 1, "{client:?}");
    assert_eq!(answers(&server).len(), 1, "{server:?}");
}
