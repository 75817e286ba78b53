//! What a user meets first: what layers and handlers see of a call, and the words of errors.

use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use rpc_core::codec::Protobuf;
use rpc_core::middleware::{Service, layer_fn};
use rpc_core::{Channel, Code, Context, Request, Response, Server, Status, service};

#[service]
trait Lab {
    async fn tenant(&self) -> Result<String, Status>;
    async fn sleep(&self) -> Result<(), Status>;
}

#[service(codecs(Json))]
trait OnlyJson {
    async fn tenant(&self) -> Result<String, Status>;
}

struct Bench;

impl Lab for Bench {
    async fn tenant(&self) -> Result<String, Status> {
        let ctx = Context::current();
        let all: Vec<_> =
            ctx.metadata().iter().map(|(k, v)| format!("{k}={}", String::from_utf8_lossy(v))).collect();
        Ok(all.join(" "))
    }

    async fn sleep(&self) -> Result<(), Status> {
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(())
    }
}

impl OnlyJson for Bench {
    async fn tenant(&self) -> Result<String, Status> {
        Ok(String::new())
    }
}

/// Takes the token away and names the tenant that it stands for.
#[derive(Clone)]
struct Tenant<S>(S);

impl<S: Service<Request, Response = Response, Error = Status>> Service<Request> for Tenant<S> {
    type Response = Response;
    type Error = Status;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> S::Future {
        let known = request.metadata().get("token") == Some("sesame");
        request.metadata_mut().remove("token");
        request.metadata_mut().insert("tenant", if known { "ali" } else { "nobody" }).unwrap();
        self.0.call(request)
    }
}

#[tokio::test]
async fn a_servers_layer_sees_and_changes_the_metadata() {
    let server = Server::builder().service(LabServer::new(Bench)).layer(layer_fn(Tenant));
    let lab = LabClient::new(Channel::builder("memory://layer-metadata").build().unwrap());
    let _server = server.bind("memory://layer-metadata").await.unwrap();
    let seen = lab.tenant().metadata("token", "sesame").metadata("tag", "x").await.unwrap();
    assert_eq!(seen, "tag=x tenant=ali");
    assert_eq!(lab.tenant().await.unwrap(), "tenant=nobody");
}

#[tokio::test]
async fn without_a_layer_the_handler_sees_the_metadata_as_it_was_sent() {
    let lab = LabClient::local(Bench);
    assert_eq!(lab.tenant().metadata("token", "sesame").await.unwrap(), "token=sesame");
    assert_eq!(lab.tenant().await.unwrap(), "");
}

#[tokio::test]
async fn the_first_hops_budget_is_what_the_caller_set() {
    let lab = LabClient::local(Bench);
    let late = lab.sleep().timeout(Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    let [hop] = late.hops() else { panic!("{late}") };
    let (budget, elapsed) = (hop.budget.as_millis(), hop.elapsed.unwrap());
    assert!((49..=50).contains(&budget), "{late}");
    assert!(elapsed >= hop.handler.unwrap_or_default(), "{late}");
}

#[tokio::test]
async fn a_codec_that_a_service_lacks_is_called_by_its_name() {
    let channel = Channel::builder("memory://never-reached").codec::<Protobuf>().build().unwrap();
    let error = OnlyJsonClient::new(channel).tenant().await.unwrap_err();
    assert_eq!(
        error.message(),
        "the channel speaks protobuf, which OnlyJson/Tenant does not; it speaks json"
    );
}
