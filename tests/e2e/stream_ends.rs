//! How streams end: by an error, a deadline, a cancel, a cut, a drain, a panic, or an item that cannot travel.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use rpc_core::codec::{Codec, CodecError};
use rpc_core::message::Message;
use rpc_core::{Certainty, Channel, Code, Context, Server, Status, Streaming, service};

use crate::support::flow::{Flow, FlowClient, FlowServer, Line, Probe, Rig, number, read};
use crate::support::{
    Proxy, bench, drained, ms, secs, until, until_channel_quiet, until_server_quiet, within,
};

/// Numbers without end, one every few milliseconds.
fn ticking() -> impl Stream<Item = Bytes> + Send {
    stream::unfold(0, async |n| {
        tokio::time::sleep(ms(5)).await;
        Some((number(n), n + 1))
    })
}

fn endless() -> impl Stream<Item = Bytes> + Send {
    stream::iter((0..).map(number))
}

/// A rig whose `down` ticks for ever; and what watches it.
fn ticker() -> (Rig, Probe) {
    let probe = Probe::default();
    let watch = probe.clone();
    let rig = Rig::default().down(move |_| {
        let items = Streaming::new(watch.watch(ticking()));
        async { Ok(items) }
    });
    (rig, probe)
}

/// Reads to the error with which the stream ends; and how many items came before it.
async fn to_error<T: std::fmt::Debug>(items: &mut Streaming<T>) -> (u64, Status) {
    let mut count = 0;
    loop {
        match items.next().await.expect("it ends with an error") {
            Ok(_) => count += 1,
            Err(status) => {
                assert!(items.next().await.is_none(), "an error is the last item");
                return (count, status);
            }
        }
    }
}

#[test]
fn a_deadline_in_the_middle_ends_both_ends() {
    bench(async |bench| {
        let (rig, probe) = ticker();
        let pair = rig.serve(&bench).await;
        let began = Instant::now();
        let mut items = pair.client.down(String::new()).timeout(ms(200)).await.unwrap();
        let (count, status) = to_error(&mut items).await;
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert_eq!(status.certainty(), Certainty::Executed);
        assert!(count > 0 && began.elapsed() >= ms(150));
        probe.until_dropped().await;
        pair.finish().await;
    });
}

#[test]
fn a_deadline_ends_a_request_that_streams() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        let probe = Probe::default();
        let call = pair.client.up(Streaming::new(probe.watch(ticking()))).timeout(ms(100));
        assert_eq!(within(secs(5), call).await.unwrap_err().code(), Code::DeadlineExceeded);
        probe.until_dropped().await;
        pair.finish().await;
    });
}

#[test]
fn the_channels_timeout_is_for_the_beginning_of_a_stream_and_not_for_the_rest() {
    bench(async |bench| {
        let rig = Rig::default().down(async |input: String| {
            if input == "slow" {
                std::future::pending::<()>().await;
            }
            Ok(Streaming::new(ticking().take(60)))
        });
        let server = bench.serve(Server::builder().service(FlowServer::new(rig))).await;
        let client = FlowClient::new(Channel::builder(server.local_addr()).timeout(ms(150)).build().unwrap());
        let items: Vec<_> =
            client.down(String::new()).await.unwrap().try_collect().await.expect("longer than 150 ms");
        assert_eq!(items.len(), 60);
        let late = within(secs(5), client.down("slow".into())).await.unwrap_err();
        assert_eq!(late.code(), Code::DeadlineExceeded);
        assert!(late.message().contains("did not begin to answer within 150"), "{late}");
        // And a request may take its time.
        assert_eq!(client.up(Streaming::new(ticking().take(60))).await.unwrap(), 60 * 8);
        until_server_quiet(&server).await;
        until_channel_quiet(client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_cut_connection_ends_both_ends() {
    bench(async |bench| {
        let (rig, probe) = ticker();
        let server = bench.serve(Server::builder().service(FlowServer::new(rig))).await;
        let proxy = Proxy::to(server.local_addr());
        let client = FlowClient::connect(proxy.address()).await.unwrap();
        let mut items = client.down(String::new()).await.unwrap();
        assert_eq!(read(&items.next().await.unwrap().unwrap()), 0);
        let sends = Probe::default();
        let upload = client.up(Streaming::new(sends.watch(ticking()))).start();
        until("it sends", || sends.given() > 2).await;
        proxy.cut();
        let (_, status) = within(secs(5), to_error(&mut items)).await;
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::Executed), "{status}");
        assert!(status.message().contains(&proxy.address().to_string()), "{status}");
        let status = within(secs(5), upload).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::Unknown), "{status}");
        probe.until_dropped().await;
        sends.until_dropped().await;
        until_server_quiet(&server).await;
        until_channel_quiet(client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_drain_lets_streams_finish() {
    bench(async |bench| {
        let rig = Rig::default().down(async |_| Ok(Streaming::new(ticking().take(50))));
        let server = bench.serve(Server::builder().service(FlowServer::new(rig))).await;
        let client = FlowClient::connect(server.local_addr()).await.unwrap();
        let mut items = client.down(String::new()).await.unwrap();
        items.next().await.unwrap().unwrap();
        let draining = tokio::spawn(server.drain(secs(10)));
        assert_eq!(items.try_collect::<Vec<_>>().await.unwrap().len(), 49);
        let report = within(secs(5), draining).await.unwrap();
        assert!(report.is_clean(), "{report}");
    });
}

#[test]
fn a_drain_ends_the_rest_at_its_limit() {
    bench(async |bench| {
        let (rig, probe) = ticker();
        let server = bench.serve(Server::builder().service(FlowServer::new(rig))).await;
        let client = FlowClient::connect(server.local_addr()).await.unwrap();
        let mut items = client.down(String::new()).await.unwrap();
        items.next().await.unwrap().unwrap();
        let draining = tokio::spawn(server.drain(ms(100)));
        let (_, status) = within(secs(5), to_error(&mut items)).await;
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::Executed), "{status}");
        let report = within(secs(5), draining).await.unwrap();
        assert_eq!(report.late[0].calls, ["test.Flow/Down"]);
        probe.until_dropped().await;
    });
}

#[test]
fn a_panic_in_a_stream_is_internal_and_harms_nothing_else() {
    bench(async |bench| {
        let rig = Rig::default().down(async |_| {
            Ok(Streaming::iter((0..10).map(|n| if n == 5 { panic!("on purpose") } else { number(n) })))
        });
        let pair = rig.serve(&bench).await;
        let (count, status) = to_error(&mut pair.client.down(String::new()).await.unwrap()).await;
        assert_eq!((count, status.code()), (5, Code::Internal), "{status}");
        assert!(!status.message().contains("on purpose"), "{status}");

        let items = Streaming::iter((0..10).map(|n| if n == 5 { panic!("on purpose") } else { number(n) }));
        assert_eq!(pair.client.up(items).await.unwrap_err().code(), Code::Internal);
        pair.finish().await;
    });
}

#[test]
fn a_request_that_fails_half_way_fails_the_call() {
    bench(async |bench| {
        let (begun, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let flags = (begun.clone(), ended.clone());
        let rig = Rig::default().up(move |mut items: Streaming<Bytes>| {
            let (begun, flag) = flags.clone();
            async move {
                begun.store(true, Ordering::SeqCst);
                struct Dropped(Arc<AtomicBool>);
                impl Drop for Dropped {
                    fn drop(&mut self) {
                        self.0.store(true, Ordering::SeqCst);
                    }
                }
                let _dropped = Dropped(flag);
                let mut sum = 0;
                while let Some(item) = items.next().await {
                    sum += item?.len() as u64;
                }
                Ok(sum)
            }
        });
        let pair = rig.serve(&bench).await;
        let (sender, items) = Streaming::channel(8);
        let call = pair.client.up(items).start();
        for n in 0..5 {
            sender.send(number(n)).await.unwrap();
        }
        // A call that is given up before its server looks at it is not begun at all.
        until("the handler has begun", || begun.load(Ordering::SeqCst)).await;
        sender.fail(Status::data_loss("the disk is gone")).await.unwrap();
        let status = call.await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::DataLoss, "the disk is gone"));
        until("the handler is gone", || ended.load(Ordering::SeqCst)).await;

        let (sender, items) = Streaming::channel(4);
        let call = pair.client.up(items).start();
        sender.send(number(1)).await.unwrap();
        sender.fail(Status::aborted("never mind")).await.unwrap();
        assert_eq!(call.await.unwrap_err().code(), Code::Aborted);
        pair.finish().await;
    });
}

#[test]
fn a_sender_hears_that_nobody_reads() {
    bench(async |bench| {
        let (sender, items) = Streaming::channel(4);
        let items = std::sync::Mutex::new(Some(items));
        let rig = Rig::default().down(move |_| {
            let items = items.lock().unwrap().take().unwrap();
            async { Ok(items) }
        });
        let pair = rig.serve(&bench).await;
        let mut items = pair.client.down(String::new()).await.unwrap();
        sender.send(number(7)).await.unwrap();
        assert_eq!(read(&items.next().await.unwrap().unwrap()), 7);
        assert!(!sender.is_gone());
        drop(items);
        within(secs(5), sender.gone()).await;
        assert_eq!(sender.send(number(8)).await.unwrap_err().0, number(8));
        assert_eq!(Status::from(rpc_core::stream::Gone(())).code(), Code::Cancelled);
        pair.finish().await;
    });
}

#[test]
fn a_deadline_that_ends_the_sender_first_is_a_deadline_all_the_same() {
    bench(async |bench| {
        // The task ends with the call's context, and leaves a stream that looks complete.
        let rig = || {
            Rig::default().down(|_| {
                let (sender, items) = Streaming::channel(4);
                rpc_core::spawn(async move {
                    for n in 0.. {
                        if sender.send(number(n)).await.is_err() {
                            return;
                        }
                        tokio::time::sleep(ms(1)).await;
                    }
                });
                async { Ok(items) }
            })
        };
        let pair = rig().serve(&bench).await;
        let (client, local) = (&pair.client, FlowClient::local(rig()));
        stream::iter(0..100)
            .for_each_concurrent(10, |n| {
                let local = &local;
                async move {
                    let client = if n % 2 == 0 { client } else { local };
                    let mut items = client.down(String::new()).timeout(ms(20 + n % 7)).await.unwrap();
                    assert_eq!(to_error(&mut items).await.1.code(), Code::DeadlineExceeded);
                }
            })
            .await;
        pair.finish().await;
    });
}

#[test]
fn the_callers_context_ends_the_stream() {
    bench(async |bench| {
        let (rig, probe) = ticker();
        let pair = rig.serve(&bench).await;
        let (ctx, handle) = Context::current().with_cancel();
        let mut items = ctx.scope(async { pair.client.down(String::new()).await.unwrap() }).await;
        items.next().await.unwrap().unwrap();
        handle.cancel("the page was closed");
        let (_, status) = within(secs(5), to_error(&mut items)).await;
        assert_eq!((status.code(), status.message()), (Code::Cancelled, "the page was closed"));
        probe.until_dropped().await;
        pair.finish().await;
    });
}

#[test]
fn dropping_the_reply_ends_a_request_that_still_streams() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        let probe = Probe::default();
        let lines = stream::iter((0..).map(|number| Line { number, text: String::new() }));
        let mut back = pair.client.both(Streaming::new(probe.watch(lines))).await.unwrap();
        back.next().await.unwrap().unwrap();
        drop(back);
        probe.until_dropped().await;
        pair.finish().await;
    });
}

#[test]
fn a_handler_may_answer_before_it_reads() {
    bench(async |bench| {
        let rig = Rig::default().both(async |lines: Streaming<Line>| {
            let first = Line { number: 0, text: "welcome".into() };
            Ok(Streaming::new(stream::iter([Ok(first)]).chain(lines)))
        });
        let pair = rig.serve(&bench).await;
        let (sender, lines) = Streaming::channel(1);
        let mut back = pair.client.both(lines).await.unwrap();
        assert_eq!(back.next().await.unwrap().unwrap().text, "welcome");
        sender.send(Line { number: 1, text: "thanks".into() }).await.unwrap();
        assert_eq!(back.next().await.unwrap().unwrap().text, "thanks");
        drop(sender);
        assert!(back.next().await.is_none());
        pair.finish().await;
    });
}

#[test]
fn a_reply_that_ends_first_ends_the_request() {
    bench(async |bench| {
        let rig = Rig::default().both(async |lines: Streaming<Line>| Ok(Streaming::new(lines.take(3))));
        let pair = rig.serve(&bench).await;
        let probe = Probe::default();
        let lines = stream::iter((0..).map(|number| Line { number, text: String::new() }));
        let back = pair.client.both(Streaming::new(probe.watch(lines))).await.unwrap();
        assert_eq!(back.try_collect::<Vec<_>>().await.unwrap().len(), 3);
        probe.until_dropped().await;
        pair.finish().await;
    });
}

#[test]
fn a_handler_that_drops_its_input_frees_the_sender_while_the_call_goes_on() {
    bench(async |bench| {
        let (go, wait) = tokio::sync::watch::channel(false);
        let rig = Rig::default().up(move |mut items: Streaming<Bytes>| {
            let mut wait = wait.clone();
            async move {
                let first = items.next().await.expect("an item")?;
                drop(items);
                let _ = wait.wait_for(|go| *go).await;
                Ok(first.len() as u64)
            }
        });
        let pair = rig.serve(&bench).await;
        // One that always has an item, one that waits for its producer, and one whose items are large.
        let probe = Probe::default();
        let always = pair.client.up(Streaming::new(probe.watch(endless()))).start();
        let (sender, items) = Streaming::channel(1);
        let seldom = pair.client.up(items).start();
        sender.send(number(1)).await.unwrap();
        let sends = Probe::default();
        let large = stream::iter((0..).map(|_| Bytes::from(vec![7; 3_000_000])));
        let large = pair.client.up(Streaming::new(sends.watch(large))).start();
        probe.until_dropped().await;
        sends.until_dropped().await;
        within(secs(5), sender.gone()).await;
        assert!(sender.send(number(2)).await.is_err());
        assert_eq!(pair.client.echo("meanwhile".into()).await.unwrap(), "meanwhile");
        go.send(true).unwrap();
        assert_eq!((always.await.unwrap(), seldom.await.unwrap()), (8, 8));
        assert_eq!(large.await.unwrap(), 3_000_000);
        pair.finish().await;
    });
}

#[test]
fn what_outlives_its_call_hears_so() {
    bench(async |bench| {
        let (give, mut take) = tokio::sync::mpsc::channel(1);
        let rig = Rig::default().up(move |items: Streaming<Bytes>| {
            let give = give.clone();
            async move {
                give.send(items).await.unwrap();
                Ok(1)
            }
        });
        let pair = rig.serve(&bench).await;
        let (sender, items) = Streaming::channel(1);
        assert_eq!(pair.client.up(items).await.unwrap(), 1);
        let (_, status) = within(secs(5), to_error(&mut take.recv().await.unwrap())).await;
        assert_eq!(status.code(), Code::Cancelled, "{status}");
        within(secs(5), sender.gone()).await;
        pair.finish().await;
    });
}

#[test]
fn items_larger_than_the_window_pass_and_items_over_the_limit_do_not() {
    bench(async |bench| {
        let rig = Rig::default().down(async |input: String| {
            let size = input.parse().unwrap();
            Ok(Streaming::iter([number(1), Bytes::from(vec![7; size]), number(2)]))
        });
        let server =
            bench.serve(Server::builder().service(FlowServer::new(rig)).max_message(2 * 1024 * 1024)).await;
        let channel = Channel::builder(server.local_addr()).max_message(1024 * 1024).build().unwrap();
        let client = FlowClient::new(channel);
        let items = client.down("1000000".into()).await.unwrap();
        let sizes: Vec<_> = items.map_ok(|item| item.len()).try_collect().await.unwrap();
        assert_eq!(sizes, [8, 1_000_000, 8]);
        let (count, status) = to_error(&mut client.down("1100000".into()).await.unwrap()).await;
        assert_eq!((count, status.code()), (1, Code::ResourceExhausted), "{status}");
        assert!(status.message().contains("item 2 ") && status.message().contains("1048576"), "{status}");

        let up = |size: usize| client.up(Streaming::iter([number(1), Bytes::from(vec![7; size]), number(2)]));
        assert_eq!(up(2_000_000).await.unwrap(), 2_000_016);
        let status = up(2_200_000).await.unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert!(status.message().contains("item 2 ") && status.message().contains("2097152"), "{status}");
        assert_eq!(client.echo("still there".into()).await.unwrap(), "still there");
        until_server_quiet(&server).await;
        until_channel_quiet(client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

/// A codec that refuses what contains these words.
#[derive(Clone, Copy, Debug)]
struct Picky;

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|part| part == word.as_bytes())
}

impl<T: Message> Codec<T> for Picky {
    const ID: u8 = 65;
    const NAME: &'static str = "picky";

    fn encode(value: &T, out: &mut BytesMut) -> Result<(), CodecError> {
        value.encode(out);
        if contains(out, "unspeakable") { Err(CodecError::new("no word for it")) } else { Ok(()) }
    }

    fn decode(bytes: Bytes) -> Result<T, CodecError> {
        if contains(&bytes, "unreadable") {
            return Err(CodecError::new("smudged"));
        }
        T::decode(bytes).map_err(CodecError::new)
    }
}

#[service(name = "test.Words", codecs(Picky))]
trait Words {
    async fn say(&self, words: Streaming<String>) -> Result<u64, Status>;
    async fn tell(&self, words: String) -> Result<Streaming<String>, Status>;
}

struct Plain;

impl Words for Plain {
    async fn say(&self, mut words: Streaming<String>) -> Result<u64, Status> {
        let mut count = 0;
        while let Some(word) = words.next().await {
            word?;
            count += 1;
        }
        Ok(count)
    }

    async fn tell(&self, words: String) -> Result<Streaming<String>, Status> {
        let reversed = |word: &str| word.chars().rev().collect();
        Ok(Streaming::iter(words.split(' ').map(reversed).collect::<Vec<String>>()))
    }
}

#[test]
fn an_item_that_cannot_travel_is_named() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(WordsServer::new(Plain))).await;
        let client = WordsClient::connect(server.local_addr()).await.unwrap();
        let words = |words: &str| Streaming::iter(words.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(client.say(words("a b c")).await.unwrap(), 3);

        let status = client.say(words("a unspeakable c")).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(
            status.message(),
            "item 2 of the request of test.Words/Say cannot be expressed in picky: no word for it"
        );
        let status = client.say(words("a b unreadable")).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "item 3 of the request of test.Words/Say is not in picky: smudged");

        let reversed = |word: &str| word.chars().rev().collect::<String>();
        let told = format!("a {} c", reversed("unspeakable"));
        let (count, status) = to_error(&mut client.tell(told).await.unwrap()).await;
        assert_eq!((count, status.code()), (1, Code::Internal));
        assert!(status.message().starts_with("item 2 of the reply of test.Words/Tell cannot"), "{status}");
        let told = format!("a b {}", reversed("unreadable"));
        let (count, status) = to_error(&mut client.tell(told).await.unwrap()).await;
        assert_eq!((count, status.code()), (2, Code::Internal));
        assert_eq!(status.message(), "item 3 of the reply of test.Words/Tell is not in picky: smudged");
        until_server_quiet(&server).await;
        until_channel_quiet(client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

/// The same service as [`Flow`], for those who have it wrong what streams.
#[service(name = "test.Flow")]
trait Still {
    async fn echo(&self, text: String) -> Result<Streaming<String>, Status>;
    async fn down(&self, input: String) -> Result<Bytes, Status>;
    async fn up(&self, item: Bytes) -> Result<u64, Status>;
}

/// And one that has it wrong the other way round.
#[service(name = "test.Flow")]
trait Loud {
    async fn echo(&self, texts: Streaming<Bytes>) -> Result<(), Status>;
}

#[test]
fn sides_that_disagree_on_what_streams_are_told_so() {
    bench(async |bench| {
        let pair = Rig::default().serve(&bench).await;
        let still = StillClient::new(pair.client.channel().clone());
        let status = still.down("3".into()).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().contains("answered with a stream, where one reply was due"), "{status}");
        // One message where a stream is due, and one reply where a stream is due.
        let status = still.up(number(1)).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::InvalidArgument, Certainty::NotExecuted));
        assert_eq!(status.message(), "test.Flow/Up takes a stream, and the request is one message");
        let status = still.echo("x".into()).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().contains("answered with one reply, where a stream was due"), "{status}");
        let status =
            LoudClient::new(pair.client.channel().clone()).echo(Streaming::new(endless())).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::InvalidArgument, Certainty::NotExecuted));
        assert_eq!(status.message(), "test.Flow/Echo takes one message, and the request is a stream");
        pair.finish().await;
    });
}

#[test]
fn a_local_client_streams_as_a_remote_one() {
    bench(async |_| {
        async fn check(flow: &impl Flow) {
            let items: Vec<_> = flow.down("100".into()).await.unwrap().try_collect().await.unwrap();
            assert_eq!(items.iter().map(read).collect::<Vec<_>>(), (0..100).collect::<Vec<_>>());
            assert_eq!(flow.up(Streaming::iter(items)).await.unwrap(), 800);
        }
        check(&Rig::default()).await;
        check(&FlowClient::local(Rig::default())).await;
    });
}
