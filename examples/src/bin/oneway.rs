//! Calls without a reply: `#[rpc(oneway)]`.
//!
//! Such a call returns as soon as its request has been handed to the connection. Whether the server did anything with
//! it the caller does not learn; the server counts what failed.
//!
//! ```text
//! cargo run --bin oneway
//! ```

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rpc_core::{Code, Server, Status, service};

/// Keeps a journal.
#[service]
pub trait Journal {
    /// Writes a line. It may take its time: nobody waits for it.
    #[rpc(oneway)]
    async fn note(&self, line: String) -> Result<(), Status>;

    /// Every line so far.
    async fn lines(&self) -> Result<Vec<String>, Status>;
}

#[derive(Default)]
struct Book(Mutex<Vec<String>>);

impl Journal for Book {
    async fn note(&self, line: String) -> Result<(), Status> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if line.is_empty() {
            return Err(Status::invalid_argument("an empty line"));
        }
        self.0.lock().unwrap().push(line);
        Ok(())
    }

    async fn lines(&self) -> Result<Vec<String>, Status> {
        Ok(self.0.lock().unwrap().clone())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().service(JournalServer::new(Book::default())).bind("127.0.0.1:0").await?;
    let journal = JournalClient::connect(server.local_addr()).await?;

    let began = Instant::now();
    for n in 1..=100 {
        journal.note(format!("line {n}")).await?;
    }
    let handed = began.elapsed();
    println!("100 lines, each 50 ms of work, were handed over in {handed:.1?}");
    assert!(handed < Duration::from_millis(50), "a oneway call waited for its handler");

    // The handler's error stays at the server.
    journal.note(String::new()).await?;

    // Oneway calls run at once, in no order; a caller that needs to know asks.
    let lines = loop {
        let lines = journal.lines().await?;
        if lines.len() == 100 {
            break lines;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "only {} lines arrived", lines.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    println!("all {} were written {:.0?} later", lines.len(), began.elapsed());

    // The one that failed shows in the server's counts, and nowhere else.
    let failed = loop {
        let snapshot = server.snapshot();
        let note = snapshot.methods.iter().find(|method| method.path == "Journal/Note");
        if let Some(note) = note.filter(|note| note.ok + note.failed == 101) {
            break note.failed;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "not every note was counted: {snapshot:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    println!("{failed} failed, which only the server knows");
    assert_eq!(failed, 1);

    // What the caller does learn is that it could not be sent.
    server.drain(Duration::from_secs(1)).await;
    let error = journal.note("too late".into()).await.unwrap_err();
    println!("after the server had gone: {error}");
    assert_eq!(error.code(), Code::Unavailable);
    Ok(())
}
