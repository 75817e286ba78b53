//! An upload: the caller streams, the server reads as fast as it can, and answers once.
//!
//! Nothing here says how fast to send. A disk that is slow, on the server, holds the reader of the file, on the client,
//! across the network; and a caller that gives up half-way leaves no half of a file behind.
//!
//! ```text
//! cargo run --bin upload
//! ```

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rpc_core::{Code, Server, Status, Streaming, message, service};

/// A part of a file, or what the file is called.
#[message]
#[derive(Debug)]
pub enum Part {
    /// Comes first.
    Name(String),
    /// So many as there are.
    Bytes(Vec<u8>),
}

/// What became of an upload.
#[message]
#[derive(Debug)]
pub struct Receipt {
    name: String,
    size: u64,
    parts: u32,
}

/// Keeps files.
#[service]
pub trait Files {
    /// Stores a file: its name, then its bytes.
    async fn upload(&self, parts: Streaming<Part>) -> Result<Receipt, Status>;
}

/// Of a file that is not whole yet; when it goes, so does the file.
struct Half<'a>(&'a AtomicUsize);

impl<'a> Half<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Half<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Disk {
    halves: AtomicUsize,
    files: Mutex<Vec<(String, u64)>>,
}

impl Files for std::sync::Arc<Disk> {
    async fn upload(&self, mut parts: Streaming<Part>) -> Result<Receipt, Status> {
        let Some(Part::Name(name)) = parts.next().await.transpose()? else {
            return Err(Status::invalid_argument("the first part is not the file's name"));
        };
        let half = Half::new(&self.halves);
        let (mut size, mut count) = (0, 0);
        while let Some(part) = parts.next().await.transpose()? {
            let Part::Bytes(bytes) = part else {
                return Err(Status::invalid_argument("a file has one name"));
            };
            size += bytes.len() as u64;
            count += 1;
            if size > 1_000_000 {
                // The caller hears of it now, and not when it has sent all the rest.
                return Err(Status::resource_exhausted("files may have a megabyte"));
            }
        }
        drop(half);
        self.files.lock().unwrap().push((name.clone(), size));
        Ok(Receipt { name, size, parts: count })
    }
}

fn file(name: &str, parts: usize) -> Streaming<Part> {
    let first = Part::Name(name.to_owned());
    Streaming::iter(std::iter::once(first).chain((0..parts).map(|n| Part::Bytes(vec![n as u8; 64 * 1024]))))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let disk = std::sync::Arc::new(Disk::default());
    let server = Server::builder().service(FilesServer::new(disk.clone())).bind("127.0.0.1:0").await?;
    let files = FilesClient::connect(server.local_addr()).await?;

    let receipt = files.upload(file("notes.txt", 10)).await?;
    println!("stored: {receipt:?}");
    assert_eq!((receipt.size, receipt.parts), (655_360, 10));

    // An answer before the end of the upload ends it: of these ten gigabytes hardly anything was made.
    let error = files.upload(file("movie.mkv", 160_000)).await.unwrap_err();
    println!("refused: {error}");
    assert_eq!(error.code(), Code::ResourceExhausted);

    // A producer that fails says why, after the parts before it.
    let broken = [Ok(Part::Name("half.txt".into())), Err(Status::data_loss("the disk here is broken"))];
    let error = files.upload(Streaming::iter(broken)).await.unwrap_err();
    println!("broken: {error}");

    // A caller that gives up: the server's handler ends with it.
    let (sender, parts) = Streaming::channel(1);
    let call = files.upload(parts).start();
    sender.send(Part::Name("never.txt".into())).await?;
    while disk.halves.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(call);
    while disk.halves.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("given up: no half of a file is left");

    let names: Vec<String> = disk.files.lock().unwrap().iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(names, ["notes.txt"]);
    assert!(server.drain(Duration::from_secs(5)).await.is_clean());
    Ok(())
}
