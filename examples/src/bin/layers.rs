//! Layers: what is done to every call, on both sides.
//!
//! A layer sees each call's method, metadata, deadline and peer, and what became of it. An async function makes one, and
//! any tower layer will do. This program has its own on both sides, a token that the client sends and the server checks,
//! between the built-in ones.
//!
//! ```text
//! cargo run --bin layers
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use rpc_core::middleware::retry::Policy;
use rpc_core::middleware::{
    ConcurrencyLimitLayer, Next, RetryLayer, Service, TimeoutLayer, from_fn, layer_fn,
};
use rpc_core::{Certainty, Channel, Code, Context, Request, Response, Server, Status, service};

/// A diary, which is nobody else's business.
#[service]
pub trait Diary {
    /// Today's page.
    #[rpc(idempotent)]
    async fn today(&self) -> Result<String, Status>;

    /// Takes an hour.
    async fn whole(&self) -> Result<String, Status>;
}

struct Page;

impl Diary for Page {
    async fn today(&self) -> Result<String, Status> {
        // What a layer left for the handlers.
        let user = Context::current().value::<User>().ok_or_else(|| Status::internal("no layer checked"))?;
        Ok(format!("dear {}, it rained", user.0))
    }

    async fn whole(&self) -> Result<String, Status> {
        tokio::time::sleep(Duration::from_secs(3600)).await;
        Ok("it rained".into())
    }
}

/// Who calls; found by its type in the context of a handler.
struct User(String);

/// At the server: refuses who has no token, tells the handlers who called, and prints how it went. A layer is an async
/// function: what comes before `next.run` is done on the way in, what comes after it on the way out.
async fn check_token(mut request: Request, next: Next) -> Result<Response, Status> {
    let user = match request.metadata().get("token") {
        Some("sesame") => User("Ali".into()),
        // The answer of a layer is the answer of the call: no handler runs.
        _ => return Err(Status::unauthenticated("this token opens nothing")),
    };
    request.set_context(request.context().with_value(user));
    let (method, attempt, began) = (request.method().path, request.attempt(), Instant::now());
    let mut result = next.run(request).await;
    let outcome = result.as_ref().map_or_else(|status| status.code().name(), |_| "OK");
    println!("  server: {method}, attempt {}: {outcome} after {:.0?}", attempt + 1, began.elapsed());
    if let Ok(response) = &mut result {
        // Metadata goes back as well.
        response.metadata_mut().insert("served-by", "layers")?;
    }
    result
}

/// At the server: fails the first calls, as if it were too busy.
async fn be_busy(left: Arc<AtomicU32>, request: Request, next: Next) -> Result<Response, Status> {
    match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)) {
        Ok(_) => Err(Status::unavailable("too busy")),
        Err(_) => next.run(request).await,
    }
}

/// At the client: adds the token to each request. This one is written out as a tower layer, as those are that are
/// published for others: it costs no box for each call.
#[derive(Clone)]
struct SendToken<S> {
    inner: S,
    token: &'static str,
}

impl<S: Service<Request, Response = Response, Error = Status>> Service<Request> for SendToken<S> {
    type Response = Response;
    type Error = Status;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> S::Future {
        // The name is made of characters that a name may have: it is always taken.
        let _ = request.metadata_mut().insert("token", self.token);
        self.inner.call(request)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let busy = Arc::new(AtomicU32::new(0));
    let left = busy.clone();
    // The first layer sees a request first.
    let server = Server::builder()
        .service(DiaryServer::new(Page))
        .layer(from_fn(check_token))
        .layer(from_fn(move |request, next| be_busy(left.clone(), request, next)))
        .layer(ConcurrencyLimitLayer::new(100))
        .bind("127.0.0.1:0")
        .await?;

    let client = |token| {
        let channel = Channel::builder(server.local_addr())
            .layer(RetryLayer::new(Policy { base: Duration::from_millis(10), ..Policy::default() }))
            .layer(TimeoutLayer::new(Duration::from_millis(200)))
            .layer(layer_fn(move |inner| SendToken { inner, token }))
            .build();
        channel.map(DiaryClient::new)
    };
    let friend = client("sesame")?;

    println!("with the token:");
    let reply = friend.today().reply().await?;
    println!("  client: {:?}, served by {:?}", reply.value, reply.metadata.get("served-by"));
    assert_eq!(reply.value, "dear Ali, it rained");
    assert_eq!(reply.metadata.get("served-by"), Some("layers"));

    println!("without it:");
    let error = client("guess")?.today().await.unwrap_err();
    println!("  client: {error}");
    // No handler ran, and the client is told so.
    assert_eq!((error.code(), error.certainty()), (Code::Unauthenticated, Certainty::NotExecuted));

    println!("a server that is busy twice, and a layer that tries again:");
    busy.store(2, Ordering::Relaxed);
    println!("  client: {:?}", friend.today().await?);
    assert_eq!(busy.load(Ordering::Relaxed), 0);

    println!("a layer that gives each attempt 200 ms:");
    let error = friend.whole().await.unwrap_err();
    println!("  client: {}", error.message());
    assert_eq!(error.code(), Code::DeadlineExceeded);
    Ok(())
}
