//! [`Trace`]: a `tracing` span for each call, and the W3C trace context across hops.
//!
//! At a client the call gets a span of its own within the trace of its context, or begins a trace; the trace context
//! travels with the request. At a server the handler runs in a span within the caller's, and the calls that it makes
//! are within that. So a trace goes on over hops of which some have the layer and some do not: those that do not pass
//! the context on as it is.
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

    fn call(&mut self, mut request: Request) -> Self::Future {
        let parent = request.trace();
        let trace = parent.map_or_else(TraceContext::new_root, |parent| parent.child());
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
        // Nobody pays for words that nobody reads.
        if !span.is_disabled() {
            span.record("trace_id", display(Hex(&trace.trace_id)));
            span.record("span_id", display(Hex(&trace.span_id)));
            if let Some(parent) = parent {
                span.record("parent_id", display(Hex(&parent.span_id)));
            }
        }
        request.set_trace(trace);
        if let Side::Server = self.side {
            let context = request.context().with_trace(trace);
            request.set_context(context);
        }
        let inner = span.in_scope(|| self.inner.call(request));
        TraceFuture { inner, span }
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
        span: Span,
    }
}

impl<F: Future<Output = Result<Response, Status>>> Future for TraceFuture<F> {
    type Output = Result<Response, Status>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = this.span.in_scope(|| this.inner.poll(cx));
        match polled {
            Poll::Ready(Ok(response)) if response.is_stream() => {
                Poll::Ready(Ok(traced(response, this.span.clone())))
            }
            Poll::Ready(result) => {
                record(this.span, result.as_ref().err());
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
    use super::*;
    use crate::middleware::mock::{ONCE, Script, request};

    #[tokio::test]
    async fn a_client_goes_on_with_the_trace_of_its_context_or_begins_one() {
        let script = Script::new(vec![Ok(Response::default()), Ok(Response::default())]);
        let mut service = TraceLayer::client().layer(script.clone());
        service.call(request(&ONCE)).await.unwrap();
        let parent = TraceContext::new_root();
        let mut within = request(&ONCE);
        within.set_trace(parent);
        service.call(within).await.unwrap();

        let [Some(root), Some(child)] = script.traces()[..] else { panic!("two calls with a trace") };
        assert_ne!(root.trace_id, parent.trace_id);
        assert_eq!(child.trace_id, parent.trace_id);
        assert_ne!(child.span_id, parent.span_id);
    }

    #[tokio::test]
    async fn a_handlers_calls_are_within_the_servers_span() {
        let script = Script::new(vec![Ok(Response::default())]);
        let mut service = TraceLayer::server().layer(script.clone());
        let parent = TraceContext::new_root();
        let mut incoming = request(&ONCE);
        incoming.set_trace(parent);
        service.call(incoming).await.unwrap();
        let [Some(seen)] = script.contexts()[..] else { panic!("one call with a trace in its context") };
        assert_eq!(seen.trace_id, parent.trace_id);
        assert_ne!(seen.span_id, parent.span_id);
    }
}
