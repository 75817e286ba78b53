//! How a call leaves.
use crate::call::Method;
use crate::server::Serve;
use crate::status::Status;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

/// Where calls go.
#[derive(Clone, Debug)]
pub struct Channel;
/// What names a server.
pub trait IntoTarget {}
impl IntoTarget for &str {}
impl Channel {
    /// Connects.
    pub async fn connect(_target: impl IntoTarget) -> Result<Self, Status> {
        Ok(Self)
    }
    /// The whole stack without a socket.
    pub fn local(_service: impl Serve) -> Self {
        Self
    }
}
/// A call.
#[derive(Debug)]
pub struct Call<M: Method>(PhantomData<fn() -> M>);
impl<M: Method> Call<M> {
    /// A call.
    pub fn new(_channel: &Channel, _request: M::Request) -> Self {
        Self(PhantomData)
    }
}
impl<M: Method> Future for Call<M> {
    type Output = Result<M::Output, M::Error>;
    fn poll(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Self::Output> {
        Poll::Ready(Err(Status::internal("stub").into()))
    }
}
