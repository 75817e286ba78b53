//! A peer that speaks bytes: for what no honest client or server says.

use std::io;
use std::net::SocketAddr;

use rpc_core::transport::Address;
use rpc_core::wire::frame::MAGIC;
use rpc_core::wire::{Kind, Prefix};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::wait::{PATIENCE, within};

/// A frame, as bytes.
pub(crate) fn frame(kind: Kind, flags: u8, stream: u64, header: &[u8], body: &[u8]) -> Vec<u8> {
    let prefix = Prefix { kind: kind.0, flags, header: header.len() as u16, body: body.len() as u32, stream };
    [&prefix.to_bytes(), header, body].concat()
}

/// A frame that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) prefix: Prefix,
    pub(crate) header: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    pub(crate) fn kind(&self) -> Kind {
        Kind(self.prefix.kind)
    }

    /// The value of a field of its header.
    pub(crate) fn field(&self, key: u8) -> Option<&[u8]> {
        rpc_core::wire::field::Reader::new(&self.header)
            .map(Result::unwrap)
            .find(|field| field.key == key)
            .map(|field| field.value)
    }
}

/// A socket on which the test says every byte.
#[derive(Debug)]
pub(crate) struct Raw(pub(crate) TcpStream);

impl Raw {
    /// Connects, and says nothing.
    pub(crate) async fn connect(server: &Address) -> Self {
        Self(within(PATIENCE, TcpStream::connect(server.to_string())).await.unwrap())
    }

    /// Connects as a client that takes what every peer takes.
    pub(crate) async fn client(server: &Address) -> Self {
        let mut raw = Self::connect(server).await;
        raw.send(&MAGIC).await;
        raw.send(&frame(Kind::SETTINGS, 0, 0, &[], &[])).await;
        raw
    }

    /// Greets a client, as a server does that takes what every peer takes.
    pub(crate) async fn accept(&mut self) {
        let mut magic = [0; MAGIC.len()];
        within(PATIENCE, self.0.read_exact(&mut magic)).await.unwrap();
        assert_eq!(magic, MAGIC);
        self.send(&frame(Kind::SETTINGS, 0, 0, &[], &[])).await;
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        within(PATIENCE, self.0.write_all(bytes)).await.unwrap();
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> io::Result<Frame> {
        within(PATIENCE, async {
            let mut prefix = [0; 16];
            self.0.read_exact(&mut prefix).await?;
            let prefix = Prefix::parse(&prefix);
            let mut header = vec![0; usize::from(prefix.header)];
            self.0.read_exact(&mut header).await?;
            let mut body = vec![0; prefix.body as usize];
            self.0.read_exact(&mut body).await?;
            Ok(Frame { prefix, header, body })
        })
        .await
    }

    /// The next frame of this kind; those before it are passed over.
    pub(crate) async fn next(&mut self, kind: Kind) -> Frame {
        loop {
            let frame = self.frame().await.unwrap_or_else(|error| panic!("no frame {kind:?} came: {error}"));
            if frame.kind() == kind {
                return frame;
            }
        }
    }

    /// Reads to the end of the connection.
    pub(crate) async fn until_closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A reset is an end, too.
        let _ = within(PATIENCE, self.0.read_to_end(&mut rest)).await;
        rest
    }
}

/// A server that does with each connection what the test says.
#[derive(Debug)]
pub(crate) struct RawServer {
    pub(crate) address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl RawServer {
    pub(crate) async fn new<F, Fut>(serve: F) -> Self
    where
        F: Fn(Raw) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(Raw(stream)));
            }
        });
        Self { address, task }
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
