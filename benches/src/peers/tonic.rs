//! tonic: what its generator would write for `rpc Echo(Payload) returns (Payload)`, written by hand, because the
//! generator needs protoc.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use bytes::Bytes;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{GrpcMethod, Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::Result;
use crate::echo::{Client, Peer};

#[derive(Clone, PartialEq, prost::Message)]
struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    payload: Bytes,
}

/// tonic's client and server.
#[derive(Debug)]
pub struct Tonic;

/// tonic's client.
#[derive(Clone, Debug)]
pub struct TonicClient(Channel);

#[derive(Clone)]
struct EchoServer;

struct Echo;

impl UnaryService<Payload> for Echo {
    type Response = Payload;
    type Future = BoxFuture<Response<Payload>, Status>;

    fn call(&mut self, request: Request<Payload>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(request.into_inner())) })
    }
}

impl NamedService for EchoServer {
    const NAME: &'static str = "bench.Echo";
}

impl Service<http::Request<tonic::body::Body>> for EchoServer {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        Box::pin(async move {
            if request.uri().path() != "/bench.Echo/Echo" {
                return Ok(Status::unimplemented("there is only Echo").into_http());
            }
            let mut grpc = tonic::server::Grpc::new(ProstCodec::<Payload, Payload>::default());
            Ok(grpc.unary(Echo, request).await)
        })
    }
}

impl Client for TonicClient {
    async fn call(&self, payload: &Bytes) -> Result<usize> {
        let mut grpc = tonic::client::Grpc::new(self.0.clone());
        grpc.ready().await?;
        let mut request = Request::new(Payload { payload: payload.clone() });
        request.extensions_mut().insert(GrpcMethod::new("bench.Echo", "Echo"));
        let path = PathAndQuery::from_static("/bench.Echo/Echo");
        let codec = ProstCodec::<Payload, Payload>::default();
        Ok(grpc.unary(request, path, codec).await?.into_inner().payload.len())
    }
}

impl Peer for Tonic {
    type Client = TonicClient;

    async fn serve() -> Result<SocketAddr> {
        // Its default, where it makes the listener itself.
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())?.with_nodelay(Some(true));
        let address = incoming.local_addr()?;
        tokio::spawn(Server::builder().add_service(EchoServer).serve_with_incoming(incoming));
        Ok(address)
    }

    async fn connect(server: SocketAddr) -> Result<TonicClient> {
        Ok(TonicClient(Endpoint::from_shared(format!("http://{server}"))?.connect().await?))
    }
}
