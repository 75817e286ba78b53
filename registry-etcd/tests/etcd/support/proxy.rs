//! [`Proxy`]: stands between two, and forwards, or swallows without a word.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a proxy forwards.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    /// Everything.
    Open,
    /// Nothing, on connections old and new: they stay open, and hear nothing.
    Frozen,
    /// Nothing on connections of the etcd member of this id.
    FrozenFrom(String),
}

/// A proxy before a server.
pub(crate) struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, modes) = watch::channel(Mode::Open);
        let server = server.to_owned();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (server, modes) = (server.clone(), modes.clone());
                connections.spawn(async move {
                    if let Ok(server) = TcpStream::connect(server).await {
                        join(client, server, modes).await;
                    }
                });
            }
        });
        Self { address, mode, task }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Forwards nothing any more, and says nothing of it.
    pub(crate) fn freeze(&self) {
        self.mode.send_replace(Mode::Frozen);
    }

    /// Forwards nothing any more of what this etcd member began.
    pub(crate) fn freeze_from(&self, member: &str) {
        self.mode.send_replace(Mode::FrozenFrom(member.to_owned()));
    }

    /// Forwards everything again.
    pub(crate) fn thaw(&self) {
        self.mode.send_replace(Mode::Open);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn join(client: TcpStream, server: TcpStream, mut modes: watch::Receiver<Mode>) {
    let (mut client_in, client_out) = client.into_split();
    let (server_in, mut server_out) = server.into_split();
    // The first request of an etcd member says which one it is.
    let mut head = vec![0; 4096];
    let Ok(length @ 1..) = client_in.read(&mut head).await else { return };
    head.truncate(length);
    let text = String::from_utf8_lossy(&head).to_lowercase();
    let from: Arc<str> =
        text.lines().find_map(|line| line.strip_prefix("x-server-from: ")).unwrap_or("nobody").into();
    if !flows(&mut modes, &from).await || server_out.write_all(&head).await.is_err() {
        return;
    }
    tokio::select! {
        () = pump(client_in, server_out, modes.clone(), from.clone()) => {}
        () = pump(server_in, client_out, modes, from) => {}
    }
}

/// Waits until this connection is forwarded; `false` when the proxy is gone.
async fn flows(modes: &mut watch::Receiver<Mode>, from: &str) -> bool {
    let open = |mode: &Mode| match mode {
        Mode::Open => true,
        Mode::Frozen => false,
        Mode::FrozenFrom(member) => member != from,
    };
    modes.wait_for(open).await.is_ok()
}

async fn pump(
    mut input: tokio::net::tcp::OwnedReadHalf,
    mut output: tokio::net::tcp::OwnedWriteHalf,
    mut modes: watch::Receiver<Mode>,
    from: Arc<str>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = input.read(&mut buffer).await {
        if !flows(&mut modes, &from).await || output.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
