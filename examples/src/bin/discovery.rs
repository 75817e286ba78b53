//! Discovery: servers announce themselves, and a client finds them by the name of their service.
//!
//! The registry here is a folder of files, which needs no other program; the servers could as well be processes of their
//! own. With etcd, only the registry and the client's target are others.
//!
//! ```text
//! cargo run --bin discovery
//! ```

use std::time::Duration;

use rpc_core::discovery::{FileRegistry, Filter, Registry};
use rpc_core::{Channel, Server, Status, service};

/// Says who answers.
#[service(name = "demo.v1.Who")]
pub trait Who {
    /// The name of the server.
    async fn who(&self) -> Result<String, Status>;
}

struct Named(&'static str);

impl Who for Named {
    async fn who(&self) -> Result<String, Status> {
        Ok(self.0.to_owned())
    }
}

async fn server(name: &'static str, registry: &FileRegistry) -> Result<Server, Box<dyn std::error::Error>> {
    let server = Server::builder()
        .service(WhoServer::new(Named(name)))
        .announce(registry.clone())
        .describe(move |instance| instance.with_zone("a").with_tag("name", name))
        .propagation(Duration::from_millis(300))
        .bind("127.0.0.1:0")
        .await?;
    server.announced().await?;
    Ok(server)
}

/// Calls until this many servers have answered.
async fn answers(client: &WhoClient, count: usize) -> Result<Vec<String>, Status> {
    let mut names = Vec::new();
    while names.len() < count {
        let name = client.who().wait_for_ready().await?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("courier-discovery-{}", std::process::id()));
    let registry = FileRegistry::new(&folder);
    let (ann, ben) = (server("Ann", &registry).await?, server("Ben", &registry).await?);

    // Every channel knows file://, static:// and dns://; others are given with .resolver(…).
    let target = format!("file://{}/demo.v1.Who", folder.display());
    let client = WhoClient::new(Channel::builder(&target).build()?);
    println!("both               {:?}", answers(&client, 2).await?);

    let only_ben = Filter::tag("name", "Ben");
    let picky = WhoClient::new(Channel::builder(&target).filter(only_ben).build()?);
    println!("with a filter      {:?}", answers(&picky, 1).await?);
    assert_eq!(picky.who().await?, "Ben");

    // It withdraws, its clients hear of that, and only then it turns calls away: none fails.
    let leaving = tokio::spawn(ann.drain(Duration::from_secs(5)));
    while !leaving.is_finished() {
        client.who().await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    println!("Ann has left       {}", leaving.await?);
    println!("who is there       {:?}", answers(&client, 1).await?);
    assert_eq!(registry.list("demo.v1.Who").await?.instances().len(), 1);

    assert!(ben.drain(Duration::from_secs(5)).await.is_clean());
    std::fs::remove_dir_all(folder)?;
    Ok(())
}
