//! User and password, a token that runs out, and TLS.

use rpc_core::Code;
use rpc_core::discovery::Registry;

use crate::support::*;

/// etcd that wants a password; `alice` may do everything below `/courier/services/`.
async fn guarded() -> Etcd {
    let etcd = Etcd::start_with(&["--auth-token-ttl", "2", "--bcrypt-cost", "4"]).await;
    for command in [
        &["user", "add", "root:secret"][..],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "alice:wonder"],
        &["role", "add", "services"],
        &["role", "grant-permission", "services", "readwrite", "--prefix=true", "/courier/services/"],
        &["user", "grant-role", "alice", "services"],
        &["auth", "enable"],
    ] {
        etcd.ctl(command).await;
    }
    etcd
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_runs_out_is_asked_for_again() {
    let etcd = guarded().await;
    let alice = || quick([etcd.endpoint()]).user("alice", "wonder").connect();
    let (server, client) = (alice().await.unwrap(), alice().await.unwrap());
    soon("registering", server.register(SERVICE, instance("a"))).await.unwrap();
    let watch = client.watch(SERVICE);
    until_trusted(&watch, &["a"]).await;
    // Longer than a token, and than a lease.
    tokio::time::sleep(secs(5)).await;
    soon("registering", server.register(SERVICE, instance("b"))).await.unwrap();
    until_trusted(&watch, &["a", "b"]).await;
    let stats = server.stats();
    assert_eq!((stats.losses, stats.registered), (0, 2), "{stats:?}");
    soon("closing", server.close()).await.unwrap();
    until("they left", async || seen(&watch).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_no_password_or_no_permission_is_told() {
    let etcd = guarded().await;
    let nobody = quick([etcd.endpoint()]).connect().await.unwrap();
    let error = soon("an error", nobody.ping()).await.unwrap_err();
    assert!(error.message().contains("user name is empty"), "{error}");
    let wrong = quick([etcd.endpoint()]).user("alice", "wrong").connect().await.unwrap();
    let error = soon("an error", wrong.register(SERVICE, instance("a"))).await.unwrap_err();
    assert!(error.message().contains("authentication failed"), "{error}");
    let error = soon("an error", wrong.watch(SERVICE).changed()).await.unwrap_err();
    assert!(error.message().contains("authentication failed"), "{error}");
    let elsewhere = quick([etcd.endpoint()]).user("alice", "wonder").root("other").connect().await.unwrap();
    let error = soon("an error", elsewhere.register(SERVICE, instance("a"))).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied, "{error}");
    // It goes on trying: a permission may come later.
    etcd_root(&etcd, &["role", "grant-permission", "services", "readwrite", "--prefix=true", "/other/"])
        .await;
    until("it is registered", async || elsewhere.stats().registered == 1).await;
}

async fn etcd_root(etcd: &Etcd, command: &[&str]) {
    etcd.ctl(&[command, &["--user", "root:secret"]].concat()).await;
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread")]
async fn members_may_speak_tls_and_ask_who_is_there() {
    use registry_etcd::{Certificate, Identity, TlsOptions};

    let (etcd, folder) = Etcd::start_with_tls().await;
    let pem = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let trusting = TlsOptions::new().ca_certificate(Certificate::from_pem(pem("ca.pem")));
    let known = trusting.clone().identity(Identity::from_pem(pem("cert.pem"), pem("key.pem")));
    let endpoint = format!("https://{}", etcd.endpoint());
    for endpoint in [etcd.endpoint(), endpoint] {
        let server = quick([endpoint]).tls(known.clone()).connect().await.unwrap();
        soon("registering", server.register(SERVICE, instance("a"))).await.unwrap();
        let watch = server.watch(SERVICE);
        until_trusted(&watch, &["a"]).await;
        soon("closing", server.close()).await.unwrap();
    }
    for tls in [Some(trusting), None] {
        let mut stranger = quick([etcd.endpoint()]);
        if let Some(tls) = tls {
            stranger = stranger.tls(tls);
        }
        let stranger = stranger.connect().await.unwrap();
        let error = soon("an error", stranger.ping()).await.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error}");
    }
}
