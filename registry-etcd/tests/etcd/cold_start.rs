//! A client that starts while etcd is away has what it kept the last time, if that is worth something.

use rpc_core::Code;
use rpc_core::discovery::{Cache, Registry};

use crate::support::*;

/// A folder with what a client kept of three instances, and etcd, which is dead.
async fn kept() -> (Etcd, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut etcd = Etcd::start().await;
    let server = registry(&etcd).await;
    for id in ["a", "b", "c"] {
        soon("registering", server.register(SERVICE, instance(id))).await.unwrap();
    }
    let client = quick([etcd.endpoint()]).cache(Cache::new(folder.path())).connect().await.unwrap();
    let watch = client.watch(SERVICE);
    until_trusted(&watch, &["a", "b", "c"]).await;
    let written = async || {
        Cache::new(folder.path())
            .load(SERVICE, std::time::SystemTime::now())
            .is_ok_and(|kept| kept.instances().len() == 3)
    };
    until("the file", written).await;
    etcd.kill();
    (etcd, folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_is_used_until_etcd_is_there() {
    let (mut etcd, folder) = kept().await;
    let client = quick([etcd.endpoint()]).cache(Cache::new(folder.path())).connect().await.unwrap();
    let mut watch = client.watch(SERVICE);
    let snapshot = soon("the file", watch.changed()).await.unwrap();
    assert_eq!(snapshot.instances().len(), 3);
    assert!(watch.error().is_some(), "it says that the list is old");
    etcd.wipe();
    etcd.run().await;
    let server = registry(&etcd).await;
    soon("registering", server.register(SERVICE, instance("d"))).await.unwrap();
    until_trusted(&watch, &["d"]).await;
    until("it is live", async || watch.error().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_or_an_old_one_is_not_used_and_does_no_harm() {
    let (mut etcd, folder) = kept().await;
    let old = Cache::new(folder.path()).max_age(ms(1));
    let client = quick([etcd.endpoint()]).cache(old).connect().await.unwrap();
    let error = soon("an error", client.watch(SERVICE).changed()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
    assert!(error.message().contains("old"), "{error}");

    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    let client = quick([etcd.endpoint()]).cache(Cache::new(folder.path())).connect().await.unwrap();
    let mut watch = client.watch(SERVICE);
    let error = soon("an error", watch.changed()).await.unwrap_err();
    assert!(error.message().contains("damaged"), "{error}");
    etcd.run().await;
    let server = registry(&etcd).await;
    soon("registering", server.register(SERVICE, instance("d"))).await.unwrap();
    until("etcd is believed", async || trusted(&watch).contains(&"d".to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_start_before_etcd() {
    let mut etcd = Etcd::start().await;
    etcd.kill();
    let server = registry(&etcd).await;
    let registering = server.register(SERVICE, instance("a"));
    let mut watch = server.watch(SERVICE);
    assert_eq!(soon("an error", watch.changed()).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.ping().await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.stats().registered, 0);
    etcd.run().await;
    soon("registering", registering).await.unwrap();
    until_trusted(&watch, &["a"]).await;
    server.ping().await.unwrap();
}
