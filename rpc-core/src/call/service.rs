//! The shape of everything that a request passes through, and the two adapters between our layers and tower's.
//!
//! Our layers are `Service<Request, Response = Response, Error = Status> + Clone`. The ecosystem's have an error of
//! their own that converts into a boxed one, and may have to be waited for (`poll_ready`). [`Cast`] stands between any
//! two layers: it turns each error back into a [`Status`], and does the waiting inside of the returned future, where
//! the call's deadline sees it. So everything above the transport is always ready.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker, ready};

use tower::{BoxError, Layer, Service};

use crate::call::request::Request;
use crate::call::response::Response;
use crate::status::Status;

/// A boxed future that may move between threads.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A service behind a pointer: one box per call, whatever is inside. What channels and routers hold.
pub(crate) trait DynService: Send + Sync {
    /// Makes the call. It takes the request out.
    fn call(&self, request: &mut Request) -> BoxFuture<Result<Response, Status>>;
}

/// The service of a stack, erased once for all of its layers.
pub(crate) fn erase<S>(service: S) -> Arc<dyn DynService>
where
    S: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    struct Erased<S>(S);

    impl<S> DynService for Erased<S>
    where
        S: Service<Request, Response = Response, Error = Status> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        fn call(&self, request: &mut Request) -> BoxFuture<Result<Response, Status>> {
            call_boxed(&self.0, || request.take())
        }
    }

    Arc::new(Erased(service))
}

/// The call of a service that others hold as well, in the one box that all of its layers share. The request is made when
/// it is asked for, so that it is made where it is to lie.
#[inline]
pub(crate) fn call_boxed<S>(
    service: &S,
    request: impl FnOnce() -> Request,
) -> BoxFuture<Result<Response, Status>>
where
    S: Service<Request, Response = Response, Error = Status> + Clone,
    S::Future: Send + 'static,
{
    // The room first: so the future may be made where it is to lie, and is not moved there.
    let room = Box::<S::Future>::new_uninit();
    let future = Box::write(room, service.clone().call(request()));
    Box::into_pin(future)
}

/// Puts a [`Cast`] round what the inner layer makes.
#[derive(Clone, Copy, Debug)]
pub struct CastLayer<L>(pub(crate) L);

impl<S, L: Layer<S>> Layer<S> for CastLayer<L> {
    type Service = Cast<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        Cast(self.0.layer(inner))
    }
}

/// Any layer's service as one of ours: always ready, and its errors are statuses.
#[derive(Clone, Copy, Debug)]
pub struct Cast<S>(pub(crate) S);

impl<S> Service<Request> for Cast<S>
where
    S: Service<Request, Response = Response> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Status;
    type Future = CastFuture<S>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request) -> Self::Future {
        // Nearly every service is ready at once. The one that is not is waited for in the future: that very one, which may
        // stand in a line already, and will be polled with a waker that is somebody's. Here a fresh clone takes its place.
        match self.0.poll_ready(&mut TaskContext::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => CastFuture::Called { future: self.0.call(request) },
            Poll::Ready(Err(error)) => CastFuture::Failed { status: Some(Status::from_error(error.into())) },
            Poll::Pending => {
                let fresh = self.0.clone();
                let service = std::mem::replace(&mut self.0, fresh);
                CastFuture::Waiting { service, request: Some(Box::new(request)) }
            }
        }
    }
}

pin_project_lite::pin_project! {
    /// The future of a [`Cast`] service.
    #[project = CastProjection]
    #[allow(missing_docs)]
    #[must_use = "futures do nothing unless polled"]
    pub enum CastFuture<S> where S: Service<Request> {
        /// Not ready yet.
        Waiting { service: S, request: Option<Box<Request>> },
        /// On its way.
        Called { #[pin] future: S::Future },
        /// Will never be ready.
        Failed { status: Option<Status> },
    }
}

impl<S> Future for CastFuture<S>
where
    S: Service<Request, Response = Response>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response, Status>;

    // Only what every poll does is here, so that little is set up for it.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        match self.as_mut().project() {
            CastProjection::Called { future } => {
                future.poll(cx).map_err(|error| Status::from_error(error.into()))
            }
            _ => self.begin(cx),
        }
    }
}

impl<S> CastFuture<S>
where
    S: Service<Request, Response = Response>,
    S::Error: Into<BoxError>,
{
    /// Makes the call as soon as the service is ready.
    #[cold]
    fn begin(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Result<Response, Status>> {
        let future = match self.as_mut().project() {
            CastProjection::Waiting { service, request } => {
                match ready!(service.poll_ready(cx)) {
                    Ok(()) => {}
                    Err(error) => return Poll::Ready(Err(Status::from_error(error.into()))),
                }
                match request.take() {
                    Some(request) => service.call(*request),
                    None => return Poll::Ready(Err(polled_again())),
                }
            }
            CastProjection::Failed { status } => {
                return Poll::Ready(Err(status.take().unwrap_or_else(polled_again)));
            }
            CastProjection::Called { .. } => return Poll::Ready(Err(polled_again())),
        };
        self.set(Self::Called { future });
        self.poll(cx)
    }
}

fn polled_again() -> Status {
    Status::internal("a call was polled after it had completed")
}

impl<S: Service<Request>> std::fmt::Debug for CastFuture<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Waiting { .. } => "CastFuture::Waiting",
            Self::Called { .. } => "CastFuture::Called",
            Self::Failed { .. } => "CastFuture::Failed",
        })
    }
}
