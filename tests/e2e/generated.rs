//! A service that a build script made of a `.proto` file, as a user would have it: all shapes, both codecs, its policies,
//! and what goes wrong.

use std::time::Instant;

use futures_util::{StreamExt, TryStreamExt};
use rpc_core::codec::{Json, Protobuf};
use rpc_core::proto::Duration;
use rpc_core::{Certainty, Channel, Code, Server, Status, Streaming};
use tokio::sync::mpsc;

use crate::support::{Bench, bench, drained, ms, quiet, secs, until};

// What `build.rs` wrote: a module for each package.
#[allow(unreachable_pub)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/mod.rs"));
}

use proto::depot::v1::{
    Crate, Depot, DepotClient, DepotServer, Kind, ListRequest, Receipt, WaitRequest, crate_, depot,
};

/// Does as it is told, and passes on what nobody waits for.
struct Yard(mpsc::UnboundedSender<String>);

impl Depot for Yard {
    async fn store(&self, request: Crate) -> Result<Receipt, Status> {
        match request.content {
            Some(_) => Ok(Receipt { count: 1, ids: vec![request.id] }),
            None => Err(Status::invalid_argument(format!("crate {} is empty", request.id))),
        }
    }

    async fn list(&self, request: ListRequest) -> Result<Streaming<Crate>, Status> {
        let broken = move |id| request.broken_after.is_some_and(|after| id >= after);
        let crates = (0..request.count).map(move |id| match broken(id) {
            true => Err(Status::data_loss(format!("crate {id} is broken"))),
            false => Ok(filled(u64::from(id))),
        });
        Ok(Streaming::iter(crates))
    }

    async fn load(&self, requests: Streaming<Crate>) -> Result<Receipt, Status> {
        let ids: Vec<_> = requests.map_ok(|it| it.id).try_collect().await?;
        Ok(Receipt { count: ids.len() as u64, ids })
    }

    async fn inspect(&self, requests: Streaming<Crate>) -> Result<Streaming<Receipt>, Status> {
        let mut count = 0;
        Ok(Streaming::new(requests.map(move |it| {
            let it = it?;
            if it.content.is_none() {
                return Err(Status::failed_precondition(format!("crate {} is empty", it.id)));
            }
            count += 1;
            Ok(Receipt { count, ids: vec![it.id] })
        })))
    }

    async fn rename(&self, request: String) -> Result<(), Status> {
        if request.is_empty() { Err(Status::invalid_argument("no name")) } else { Ok(()) }
    }

    async fn wait(&self, request: WaitRequest) -> Result<(), Status> {
        let time = request.at_least.unwrap_or_default();
        tokio::time::sleep(time.try_into().map_err(|_| Status::invalid_argument("no time"))?).await;
        Ok(())
    }

    async fn tell(&self, request: String) -> Result<(), Status> {
        self.0.send(request).map_err(|_| Status::internal("nobody listens"))
    }
}

/// A crate with something in every field.
fn filled(id: u64) -> Crate {
    let inner = Crate { id, content: Some(crate_::Content::Raw(vec![0, 0xff, 7])), ..Default::default() };
    Crate {
        id,
        r#type: "wood".to_owned(),
        content: Some(crate_::Content::Crate(Box::new(inner))),
        weights: [("tare".to_owned(), -3), ("gross".to_owned(), i64::MAX)].into(),
        kinds: vec![Kind::Cold.into(), Kind::Fragile.into(), 77],
        note: Some(String::new()),
        shelf_life: Some(Duration { seconds: 86_400, nanos: 500_000_000 }),
    }
}

/// A server, and a client of it in each codec.
async fn yard(bench: &Bench) -> (Server, [DepotClient; 2], mpsc::UnboundedReceiver<String>) {
    let (sender, told) = mpsc::unbounded_channel();
    let server = bench.serve(Server::builder().service(DepotServer::new(Yard(sender)))).await;
    let protobuf = Channel::builder(server.local_addr()).codec::<Protobuf>().build().unwrap();
    let json = Channel::builder(server.local_addr()).codec::<Json>().build().unwrap();
    (server, [protobuf, json].map(DepotClient::new), told)
}

async fn finish(server: Server, clients: [DepotClient; 2]) {
    for client in &clients {
        quiet(&server, client.channel()).await;
    }
    drop(clients);
    drained(server).await;
}

#[test]
fn generated_traits_make_calls_of_all_shapes() {
    bench(async |bench| {
        let (server, clients, mut told) = yard(&bench).await;
        for client in &clients {
            assert_eq!(client.store(filled(7)).await.unwrap(), Receipt { count: 1, ids: vec![7] });
            client.rename("north".to_owned()).await.unwrap();

            let request = ListRequest { count: 1_000, broken_after: None };
            let listed: Vec<_> = client.list(request).await.unwrap().try_collect().await.unwrap();
            assert_eq!(listed, (0..1_000).map(filled).collect::<Vec<_>>());

            let loaded = client.load(Streaming::iter((0..1_000).map(filled))).await.unwrap();
            assert_eq!(loaded, Receipt { count: 1_000, ids: (0..1_000).collect() });

            let (sender, crates) = Streaming::channel(1);
            let mut receipts = client.inspect(crates).await.unwrap();
            for id in 0..100 {
                sender.send(filled(id)).await.unwrap();
                let receipt = receipts.next().await.unwrap().unwrap();
                assert_eq!(receipt, Receipt { count: id + 1, ids: vec![id] });
            }
            drop(sender);
            assert!(receipts.next().await.is_none());

            client.tell("psst".to_owned()).await.unwrap();
            assert_eq!(told.recv().await.as_deref(), Some("psst"));
        }
        finish(server, clients).await;
    });
}

#[test]
fn errors_of_generated_traits_arrive_with_code_and_words() {
    bench(async |bench| {
        let (server, clients, _told) = yard(&bench).await;
        let what = |error: &Status| (error.code(), error.message().to_owned(), error.certainty());
        let expected = |code, text: &str| (code, text.to_owned(), Certainty::Executed);
        for client in &clients {
            let error = client.store(Crate { id: 3, ..Default::default() }).await.unwrap_err();
            assert_eq!(what(&error), expected(Code::InvalidArgument, "crate 3 is empty"));
            let error = client.rename(String::new()).await.unwrap_err();
            assert_eq!(what(&error), expected(Code::InvalidArgument, "no name"));

            // In the middle of a reply's stream, after all that came before.
            let request = ListRequest { count: 10, broken_after: Some(4) };
            let mut listed = client.list(request).await.unwrap();
            for id in 0..4 {
                assert_eq!(listed.next().await.unwrap().unwrap(), filled(id));
            }
            let error = listed.next().await.unwrap().unwrap_err();
            assert_eq!(what(&error), expected(Code::DataLoss, "crate 4 is broken"));
            assert!(listed.next().await.is_none());

            let crates = [filled(0), Crate { id: 1, ..Default::default() }];
            let receipts = client.inspect(Streaming::iter(crates)).await.unwrap();
            let receipts: Vec<_> = receipts.collect().await;
            assert_eq!(receipts.len(), 2);
            assert!(receipts[0].is_ok());
            let error = receipts[1].as_ref().unwrap_err();
            assert_eq!(what(error), expected(Code::FailedPrecondition, "crate 1 is empty"));
        }
        finish(server, clients).await;
    });
}

#[test]
fn the_timeout_in_the_proto_is_the_deadline_of_the_call() {
    bench(async |bench| {
        assert_eq!(depot::DESCRIPTOR.methods[5].timeout, Some(ms(100)));
        let (server, clients, _told) = yard(&bench).await;
        let seconds = |seconds| WaitRequest { at_least: Some(Duration { seconds, nanos: 0 }) };
        for client in &clients {
            client.wait(seconds(0)).await.unwrap();

            let began = Instant::now();
            let error = client.wait(seconds(30)).await.unwrap_err();
            assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
            // The server gives up a little earlier, for what the network may take.
            assert!((ms(50)..secs(20)).contains(&began.elapsed()), "{:?}", began.elapsed());
            until("the handler is gone", || server.snapshot().calls == 0).await;

            // A call may say otherwise, and a stream has a deadline too.
            let error = client.wait(seconds(30)).timeout(ms(10)).await.unwrap_err();
            assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
            let (_sender, crates) = Streaming::channel(1);
            let mut receipts = client.inspect(crates).timeout(ms(50)).await.unwrap();
            let error = receipts.next().await.unwrap().unwrap_err();
            assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
        }
        finish(server, clients).await;
    });
}
