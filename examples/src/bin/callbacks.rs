//! Callbacks: a server calls its clients.
//!
//! A connection is symmetric. A client serves over the one that it made, and a handler gets a client of its caller, to
//! call at once, or to keep. There is no second connection, and the client need not be reachable.
//!
//! ```text
//! cargo run --bin callbacks
//! ```

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpc_core::{Certainty, Channel, Code, Context, Server, Status, service};

/// What a client lets the room call.
#[service]
pub trait Guest {
    /// Is this name all right?
    async fn confirm(&self, name: String) -> Result<bool, Status>;

    /// Somebody said something.
    #[rpc(oneway)]
    async fn said(&self, by: String, line: String) -> Result<(), Status>;
}

/// A room in which all hear what one says.
#[service]
pub trait Room {
    /// Goes in. The guest stays for as long as this call does.
    async fn enter(&self, name: String) -> Result<(), Status>;

    /// Says something to everybody.
    async fn say(&self, by: String, line: String) -> Result<u32, Status>;
}

#[derive(Default)]
struct Hall(Mutex<Vec<GuestClient>>);

impl Room for Hall {
    async fn enter(&self, name: String) -> Result<(), Status> {
        // The caller of this call, as a client of what it serves.
        let guest: GuestClient = Context::current().caller();
        // During the call: the callback has what is left of this call's time, and ends with it.
        if !guest.confirm(name).await? {
            return Err(Status::cancelled("another time, then"));
        }
        self.0.lock().unwrap().push(guest);
        // A call that stays open tells either side when the other one is gone.
        Err(Context::current().cancelled().await)
    }

    async fn say(&self, by: String, line: String) -> Result<u32, Status> {
        // Long after the calls by which they came.
        let guests = self.0.lock().unwrap().clone();
        let mut heard = 0;
        for guest in &guests {
            heard += u32::from(guest.said(by.clone(), line.clone()).await.is_ok());
        }
        self.0.lock().unwrap().retain(|guest| guest.channel().snapshot().connected);
        Ok(heard)
    }
}

struct Ear {
    name: &'static str,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Guest for Ear {
    async fn confirm(&self, name: String) -> Result<bool, Status> {
        println!("  {}: the room asks whether {name:?} is right", self.name);
        Ok(name == self.name)
    }

    async fn said(&self, by: String, line: String) -> Result<(), Status> {
        println!("  {} hears {by} say {line:?}", self.name);
        self.heard.lock().unwrap().push(line);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder().service(RoomServer::new(Hall::default())).bind("127.0.0.1:0").await?;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let guest = |name| {
        let ear = Ear { name, heard: heard.clone() };
        Channel::builder(server.local_addr()).serve(GuestServer::new(ear)).build().map(RoomClient::new)
    };

    println!("two come in:");
    let (ada, bob) = (guest("Ada")?, guest("Bob")?);
    let stays = [
        ada.enter("Ada".into()).timeout(Duration::MAX).start(),
        bob.enter("Bob".into()).timeout(Duration::MAX).start(),
    ];
    let error = ada.enter("Eve".into()).await.unwrap_err();
    println!("  Ada, as Eve: {error}");
    assert_eq!(error.code(), Code::Cancelled);

    println!("one speaks:");
    while ada.say("Ada".into(), "hello".into()).await? < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Both heard the last one; nobody waits for a oneway call.
    while heard.lock().unwrap().iter().filter(|line| *line == "hello").count() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    println!("one leaves:");
    drop(stays);
    drop(bob);
    while ada.say("Ada".into(), "still there?".into()).await? > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    println!("  the room calls one guest, for the other is gone");

    // Without a handler there is no caller, and with nothing served there is nothing to call.
    let nobody: GuestClient = Context::current().caller();
    let error = nobody.confirm("Ada".into()).await.unwrap_err();
    println!("outside of a handler: {error}");
    assert_eq!((error.code(), error.certainty()), (Code::FailedPrecondition, Certainty::NotSent));
    let silent = RoomClient::connect(server.local_addr()).await?;
    let error = silent.enter("Cyd".into()).await.unwrap_err();
    println!("a client that serves nothing: {error}");
    assert_eq!(error.code(), Code::Unimplemented);

    let report = server.drain(Duration::from_secs(5)).await;
    assert!(report.is_clean(), "{report}");
    Ok(())
}
