//! [`Trace`]: a `tracing` span for each call, and the W3C trace context across hops.
//!
//! At a client the call gets a span of its own within the trace of its context, or begins a trace; the trace context
//! travels with the request. At a server the handler runs in a span within the caller's, and the calls that it makes
//! are within that. So a trace goes on over hops of which some have the layer and some do not: those that do not pass
//! the context on as it is. So does one that has the layer and whose spans nobody takes (no subscriber, or one that
//! leaves them out): a span that is nowhere recorded is no parent of anything, so there it makes no ids, and costs next
//! to nothing. It is what OpenTelemetry asks of an API without an SDK behind it.
//!
//! The spans are called `rpc.client` and `rpc.server` and have the fields `method`, `trace_id`, `span_id`, `parent_id`
//! and `status`, the last recorded when the call ends. A subscriber that exports to OpenTelemetry finds the ids there.
//!
//! ```
//! use rpc_core::middleware::TraceLayer;
//! use rpc_core::{Channel, Server};
//!
//! let server = Server::builder().layer(TraceLayer::server());
//! let client = Channel::builder("localhost:7000").layer(TraceLayer::client());
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::Span;
use tracing::field::{Empty, display};

use crate::call::{Request, Response};
use crate::context::TraceContext;
use crate::status::Status;

/// Puts a [`Trace`] over the layers below.
#[derive(Clone, Copy, Debug)]
pub struct TraceLayer(Side);

#[derive(Clone, Copy, Debug)]
enum Side {
    Client,
    Server,
}

impl TraceLayer {
    /// For a channel.
    pub fn client() -> Self {
        Self(Side::Client)
    }

    /// For a server.
    pub fn server() -> Self {
        Self(Side::Server)
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner, side: self.0 }
    }
}

/// A span for each call.
#[derive(Clone, Copy, Debug)]
pub struct Trace<S> {
    inner: S,
    side: Side,
}

impl<S> Service<Request> for Trace<S>
where
    S: Service<Request, Response = Response, Error = Status>,
{
    type Response = Response;
    type Error = Status;
    type Future = TraceFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request) -> Self::Future {
        let method = request.method().path;
        let span = match self.side {
            Side::Client => tracing::info_span!(
                "rpc.client",
                method,
                trace_id = Empty,
                span_id = Empty,
                parent_id = Empty,
                status = Empty
            ),
            Side::Server => tracing::info_span!(
                "rpc.server",
                method,
                trace_id = Empty,
                span_id = Empty,
                parent_id = Empty,
                status = Empty
            ),
        };
        // A span that nobody records is no parent of anything: the trace goes on as it came.
        if span.is_disabled() {
            return TraceFuture { inner: self.inner.call(request), span: None };
        }
        self.enter(&mut request, &span);
        let inner = span.in_scope(|| self.inner.call(request));
        TraceFuture { inner, span: Some(span) }
    }
}

impl<S> Trace<S> {
    /// Puts the request within a span of its own.
    fn enter(&self, request: &mut Request, span: &Span) {
        let parent = request.trace();
        let trace = parent.map_or_else(TraceContext::new_root, |parent| parent.child());
        span.record("trace_id", display(Hex(&trace.trace_id)));
        span.record("span_id", display(Hex(&trace.span_id)));
        if let Some(parent) = parent {
            span.record("parent_id", display(Hex(&parent.span_id)));
        }
        request.set_trace(trace);
        if let Side::Server = self.side {
            let context = request.context().with_trace(trace);
            request.set_context(context);
        }
    }
}

/// Bytes in lower-case hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

pin_project! {
    /// The future of a [`Trace`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct TraceFuture<F> {
        #[pin]
        inner: F,
        // `None` if nobody listens.
        span: Option<Span>,
    }
}

impl<F: Future<Output = Result<Response, Status>>> Future for TraceFuture<F> {
    type Output = Result<Response, Status>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(span) = this.span else { return this.inner.poll(cx) };
        let polled = span.in_scope(|| this.inner.poll(cx));
        match polled {
            Poll::Ready(Ok(response)) if response.is_stream() => {
                Poll::Ready(Ok(traced(response, span.clone())))
            }
            Poll::Ready(result) => {
                record(span, result.as_ref().err());
                Poll::Ready(result)
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

fn record(span: &Span, status: Option<&Status>) {
    span.record("status", status.map_or("OK", |status| status.code().name()));
}

/// The same reply, which is a stream: the span lasts until it has ended.
fn traced(response: Response, span: Span) -> Response {
    response.map_stream(|items| {
        items.around(move |ask, cx| {
            let item = span.in_scope(|| ask(cx));
            match &item {
                Poll::Ready(None) => record(&span, None),
                Poll::Ready(Some(Err(status))) => record(&span, Some(status)),
                _ => {}
            }
            item
        })
    })
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};

    use super::*;
    use crate::middleware::mock::{ONCE, Script, request};

    fn somebody_listens() -> DefaultGuard {
        set_default(tracing_subscriber::registry())
    }

    /// Passes a call through the layer: the trace of the request below, and that of its context.
    async fn pass(layer: TraceLayer, parent: Option<TraceContext>) -> [Option<TraceContext>; 2] {
        let script = Script::new(vec![Ok(Response::default())]);
        let mut call = request(&ONCE);
        if let Some(parent) = parent {
            call.set_context(call.context().with_trace(parent));
        }
        layer.layer(script.clone()).call(call).await.unwrap();
        [script.traces()[0], script.contexts()[0]]
    }

    #[tokio::test]
    async fn a_client_goes_on_with_the_trace_of_its_context_or_begins_one() {
        let _listens = somebody_listens();
        let parent = TraceContext::new_root();
        let [root, _] = pass(TraceLayer::client(), None).await;
        let [child, around] = pass(TraceLayer::client(), Some(parent)).await;
        let (root, child) = (root.unwrap(), child.unwrap());
        assert_ne!(root.trace_id, parent.trace_id);
        assert_eq!(child.trace_id, parent.trace_id);
        assert_ne!(child.span_id, parent.span_id);
        assert_eq!(around, Some(parent), "the caller's context is the caller's");
    }

    #[tokio::test]
    async fn a_handlers_calls_are_within_the_servers_span() {
        let _listens = somebody_listens();
        let parent = TraceContext::new_root();
        let [_, seen] = pass(TraceLayer::server(), Some(parent)).await;
        let seen = seen.unwrap();
        assert_eq!(seen.trace_id, parent.trace_id);
        assert_ne!(seen.span_id, parent.span_id);
    }

    #[tokio::test]
    async fn where_nobody_listens_a_trace_goes_on_as_it_came_and_none_is_begun() {
        let _nobody = set_default(NoSubscriber::new());
        let parent = TraceContext::new_root();
        for layer in [TraceLayer::client(), TraceLayer::server()] {
            assert_eq!(pass(layer, Some(parent)).await, [Some(parent); 2]);
            assert_eq!(pass(layer, None).await, [None; 2]);
        }
    }
}
