//! Layers: the user's own and tower's, on both sides.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use rpc_core::{Certainty, Channel, Code, Context, Request, Response, Server, Status};
use tower::{Layer, Service, ServiceBuilder};

use crate::support::{Bed, LabClient, LabServer, bench, drained, ms, quiet, secs, until, within};

type Answer = Pin<Box<dyn Future<Output = Result<Response, Status>> + Send>>;

/// A layer that is a closure: it gets the request and the way on.
#[derive(Clone)]
struct Around(Arc<dyn Fn(Request, Way) -> Answer + Send + Sync>);

#[derive(Clone)]
struct AroundService<S> {
    around: Around,
    inner: S,
}

impl<S> Layer<S> for Around {
    type Service = AroundService<S>;

    fn layer(&self, inner: S) -> AroundService<S> {
        AroundService { around: self.clone(), inner }
    }
}

impl<S> Service<Request> for AroundService<S>
where
    S: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Status;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Answer {
        let inner = self.inner.clone();
        (self.around.0)(request, Way(Arc::new(move |request| Box::pin(inner.clone().call(request)))))
    }
}

/// The way on, to be gone any number of times.
#[derive(Clone)]
struct Way(Arc<dyn Fn(Request) -> Answer + Send + Sync>);

impl Way {
    fn on(&self, request: Request) -> Answer {
        (self.0)(request)
    }
}

fn around(around: impl Fn(Request, Way) -> Answer + Send + Sync + 'static) -> Around {
    Around(Arc::new(around))
}

#[test]
fn a_server_that_sheds_load_is_not_asked_again_at_once() {
    bench(async |bench| {
        let asked = Arc::new(AtomicUsize::new(0));
        let shed = asked.clone();
        let shed = around(move |_, _| {
            shed.fetch_add(1, Ordering::SeqCst);
            Box::pin(async { Err(Status::unavailable("too much to do")) })
        });
        let builder = Server::builder().layer(shed);
        let server = bench.serve_layered(builder.service(LabServer::new(Bed::echoing()))).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let status = client.run("x".into()).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Unavailable, Certainty::NotExecuted));
        // Whether to ask again, and after which wait, is for a retry layer to say.
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn layers_of_both_sides_see_the_call_in_order() {
    bench(async |bench| {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let note = |name: &'static str| {
            let seen = seen.clone();
            around(move |request, way| {
                let left =
                    request.deadline().map(|at| at.saturating_duration_since(std::time::Instant::now()));
                seen.lock().unwrap().push((
                    name,
                    request.method().path,
                    request.metadata().get("tenant").map(str::to_owned),
                    left.is_some_and(|left| left < secs(3) && left > secs(1)),
                    request.peer().is_some(),
                ));
                way.on(request)
            })
        };
        let builder = Server::builder().layer(note("third")).layer(note("fourth"));
        let server = bench.serve_layered(builder.service(LabServer::new(Bed::echoing()))).await;
        let channel =
            Channel::builder(server.local_addr()).layer(note("first")).layer(note("second")).build().unwrap();
        let client = LabClient::new(channel);
        client.run("x".into()).timeout(secs(3)).metadata("tenant", "a").await.unwrap();
        let seen = seen.lock().unwrap().clone();
        let tenant = || Some("a".to_owned());
        assert_eq!(
            seen,
            [
                ("first", "test.Lab/Run", tenant(), true, false),
                ("second", "test.Lab/Run", tenant(), true, false),
                ("third", "test.Lab/Run", tenant(), true, true),
                ("fourth", "test.Lab/Run", tenant(), true, true),
            ]
        );
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_layer_may_answer_by_itself_on_either_side() {
    bench(async |bench| {
        let guard = || {
            around(|request, way| match request.metadata().get("token") {
                Some("open sesame") => way.on(request),
                _ => Box::pin(async {
                    Err(Status::unauthenticated("who are you?").with_metadata("realm", "cave"))
                }),
            })
        };
        let bed = Bed::echoing();
        let builder = Server::builder().layer(guard()).service(LabServer::new(bed.clone()));
        let server = bench.serve_layered(builder).await;
        let plain = LabClient::connect(server.local_addr()).await.unwrap();
        let status = plain.run("x".into()).await.unwrap_err();
        assert_eq!(
            (status.code(), status.certainty()),
            (Code::Unauthenticated, Certainty::NotExecuted),
            "{status}"
        );
        assert_eq!(status.metadata().get("realm"), Some("cave"));
        assert_eq!(plain.run("x".into()).metadata("token", "open sesame").await.unwrap(), "x");

        let guarded = Channel::builder(server.local_addr()).layer(guard()).build().unwrap();
        let guarded = LabClient::new(guarded);
        assert_eq!(guarded.run("y".into()).await.unwrap_err().code(), Code::Unauthenticated);
        assert!(!guarded.channel().snapshot().connected, "nothing was sent, nobody connected");
        assert_eq!((bed.log().runs("x"), bed.log().runs("y")), (1, 0));
        quiet(&server, plain.channel()).await;
        drop((plain, guarded));
        drained(server).await;
    });
}

#[test]
fn a_layer_may_rewrite_metadata_in_both_directions() {
    bench(async |bench| {
        let bed =
            Bed::new(async |_| Ok(Context::current().metadata().get("tenant").unwrap_or("none").to_owned()));
        let stamp = around(|mut request, way| {
            let tenant = request.metadata().get("tenant").unwrap_or("nobody").to_uppercase();
            request.metadata_mut().insert("tenant", tenant).unwrap();
            Box::pin(async move {
                let mut response = way.on(request).await?;
                response.metadata_mut().insert("server", "seven").unwrap();
                Ok(response)
            })
        });
        let server = bench.serve_layered(Server::builder().layer(stamp).service(LabServer::new(bed))).await;
        let sign = around(|mut request, way| {
            request.metadata_mut().insert("tenant", "signed").unwrap();
            way.on(request)
        });
        let client = LabClient::new(Channel::builder(server.local_addr()).layer(sign).build().unwrap());
        let reply = client.run("x".into()).metadata("tenant", "claimed").reply().await.unwrap();
        assert_eq!((reply.value.as_str(), reply.metadata.get("server")), ("SIGNED", Some("seven")));
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_servers_layer_may_hand_values_to_the_handler() {
    bench(async |bench| {
        #[derive(Debug)]
        struct User(String);
        let bed = Bed::new(async |_| {
            Ok(Context::current().value::<User>().map_or("nobody".into(), |user| user.0.clone()))
        });
        let login = around(|mut request, way| {
            let user = User(request.metadata().get("user").unwrap_or("guest").to_owned());
            request.set_context(request.context().with_value(user));
            way.on(request)
        });
        let server = bench.serve_layered(Server::builder().layer(login).service(LabServer::new(bed))).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        assert_eq!(client.run("x".into()).metadata("user", "ada").await.unwrap(), "ada");
        assert_eq!(client.run("x".into()).await.unwrap(), "guest");
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_layer_that_retries_says_which_attempt_it_is() {
    bench(async |bench| {
        let attempts = Arc::new(Mutex::new(Vec::new()));
        let note = attempts.clone();
        let flaky = around(move |request, way| {
            let mut attempts = note.lock().unwrap();
            attempts.push((request.attempt(), request.is_retry()));
            match attempts.len() {
                1 | 2 => Box::pin(async { Err(Status::aborted("not yet")) }),
                _ => way.on(request),
            }
        });
        let server =
            bench.serve_layered(Server::builder().layer(flaky).service(LabServer::new(Bed::echoing()))).await;
        let again = around(|request, way| {
            Box::pin(async move {
                let mut attempt = 0;
                loop {
                    let mut request = request.clone();
                    request.set_attempt(attempt);
                    match way.on(request).await {
                        Err(status) if status.code() == Code::Aborted && attempt < 5 => attempt += 1,
                        result => return result,
                    }
                }
            })
        });
        let client = LabClient::new(Channel::builder(server.local_addr()).layer(again).build().unwrap());
        assert_eq!(client.run("x".into()).await.unwrap(), "x");
        assert_eq!(*attempts.lock().unwrap(), [(0, false), (1, true), (2, true)]);
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn the_deadline_counts_while_a_layer_waits() {
    bench(async |bench| {
        let pair = bench.pair(Bed::echoing()).await;
        let slow = around(|request, way| {
            Box::pin(async move {
                tokio::time::sleep(secs(30)).await;
                way.on(request).await
            })
        });
        let client = LabClient::new(Channel::builder(pair.server.local_addr()).layer(slow).build().unwrap());
        let status = within(secs(2), client.run("x".into()).timeout(ms(50))).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        pair.finish().await;
    });
}

#[test]
fn a_deadline_that_a_layer_sets_travels() {
    bench(async |bench| {
        let pair = bench.pair(Bed::stuck()).await;
        let strict = around(|mut request, way| {
            request.limit_deadline(std::time::Instant::now() + ms(80));
            way.on(request)
        });
        let client =
            LabClient::new(Channel::builder(pair.server.local_addr()).layer(strict).build().unwrap());
        let status = within(secs(2), client.run("x".into())).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        pair.log.until_running(0).await;
        quiet(&pair.server, client.channel()).await;
        pair.finish().await;
    });
}

#[test]
fn towers_timeout_fits_on_both_sides() {
    bench(async |bench| {
        let layer = tower::timeout::TimeoutLayer::new(ms(50));
        let bed = Bed::stuck();
        let log = bed.log();
        let server =
            bench.serve_layered(Server::builder().layer(layer.clone()).service(LabServer::new(bed))).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let status = within(secs(2), client.run("x".into())).await.unwrap_err();
        assert!(
            status.message().contains("timed out") && status.certainty() == Certainty::Executed,
            "{status:?}"
        );
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;

        let pair = bench.pair(Bed::stuck()).await;
        let client = LabClient::new(Channel::builder(pair.server.local_addr()).layer(layer).build().unwrap());
        let status = within(secs(2), client.run("x".into())).await.unwrap_err();
        assert!(
            status.message().contains("timed out") && status.certainty() == Certainty::Unknown,
            "{status:?}"
        );
        pair.log.until_running(0).await;
        log.until_running(0).await;
        quiet(&pair.server, client.channel()).await;
        pair.finish().await;
    });
}

#[test]
fn towers_concurrency_limit_lets_calls_wait_within_their_deadline() {
    bench(async |bench| {
        let (bed, gate) = Bed::gated();
        let pair = bench.pair(bed).await;
        let layer = tower::limit::GlobalConcurrencyLimitLayer::new(2);
        let client = LabClient::new(Channel::builder(pair.server.local_addr()).layer(layer).build().unwrap());
        let calls: Vec<_> = (0..4).map(|n| client.run(n.to_string()).start()).collect();
        pair.log.until_running(2).await;
        let status = within(secs(2), client.run("late".into()).timeout(ms(50))).await.unwrap_err();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert_eq!(pair.log.running(), 2, "the limit holds");
        gate.open();
        for call in calls {
            within(secs(5), call).await.unwrap();
        }
        assert_eq!(pair.log.runs("late"), 0);
        // A call that is dropped gives its place back.
        for _ in 0..10 {
            drop(client.run("dropped".into()).start());
        }
        within(secs(5), client.run("last".into())).await.unwrap();
        pair.log.until_running(0).await;
        quiet(&pair.server, client.channel()).await;
        drop(client);
        pair.finish().await;
    });
}

#[test]
fn towers_load_shed_refuses_what_is_over_the_limit() {
    bench(async |bench| {
        let (bed, gate) = Bed::gated();
        let log = bed.log();
        // Two of tower's layers that belong together go in as one.
        let layer = ServiceBuilder::new()
            .load_shed()
            .layer(tower::limit::GlobalConcurrencyLimitLayer::new(1))
            .into_inner();
        let server = bench.serve_layered(Server::builder().layer(layer).service(LabServer::new(bed))).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let first = client.run("first".into()).start();
        log.until_running(1).await;
        let status = within(secs(2), client.run("second".into())).await.unwrap_err();
        assert!(status.message().contains("overloaded"), "{status}");
        assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
        assert_eq!(status.certainty(), Certainty::NotExecuted, "{status:?}");
        gate.open();
        assert_eq!(first.await.unwrap(), "first");
        assert_eq!(within(secs(2), client.run("third".into())).await.unwrap(), "third");
        assert_eq!(log.runs("second"), 0);
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}

#[test]
fn a_panic_in_a_servers_layer_ends_its_call_and_nothing_else() {
    bench(async |bench| {
        let count = Arc::new(AtomicUsize::new(0));
        let layer = around(move |request, way| {
            assert!(count.fetch_add(1, Ordering::Relaxed) != 0, "a test panics on purpose");
            way.on(request)
        });
        let server =
            bench.serve_layered(Server::builder().layer(layer).service(LabServer::new(Bed::echoing()))).await;
        let client = LabClient::connect(server.local_addr()).await.unwrap();
        let status = client.run("x".into()).await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::Internal, Certainty::NotExecuted), "{status}");
        assert_eq!(client.run("x".into()).timeout(Duration::from_secs(1)).await.unwrap(), "x");
        until("one connection", || server.snapshot().connections == 1).await;
        quiet(&server, client.channel()).await;
        drop(client);
        drained(server).await;
    });
}
