//! One trait, two codecs: the same call in protobuf and in JSON, with the bytes.

use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};

use rpc_core::call::BoxFuture;
use rpc_core::codec::{Bytes, Json, Protobuf};
use rpc_core::middleware::{Service, layer_fn};
use rpc_core::{Channel, Request, Response, Status};

use crate::contract::*;
use crate::page::{Page, Shown};
use crate::process::Process;

/// A parcel of the kind that the post office likes.
pub(crate) fn parcel() -> Parcel {
    Parcel {
        id: 7,
        to: Place { city: "Zürich".into(), zip: None },
        grams: 1_480,
        speed: Speed::Express,
        contents: Contents::Goods { name: "clock".into(), cents: 25_000 },
        tags: vec!["fragile".into(), "gift".into()],
    }
}

pub(crate) async fn show(page: &mut Page, process: &Process) -> Shown {
    page.title(
        "Codecs",
        "one trait; the client chooses, for a channel or for a call; the server answers in kind",
    );
    let seen = Seen::default();
    let spy = seen.clone();
    let channel = Channel::builder(process.address())
        .layer(layer_fn(move |inner| Spy { inner, seen: spy.clone() }))
        .build()?;
    let post = PostClient::new(channel);

    let protobuf = post.price(parcel()).codec::<Protobuf>().await.map_err(Status::from)?;
    let (request, _) = seen.take();
    page.row("protobuf", &format!("{} bytes: {}", request.len(), hex(&request)));
    let small = request.len();

    let json = post.price(parcel()).codec::<Json>().await.map_err(Status::from)?;
    let (request, reply) = seen.take();
    let (request, reply) = (String::from_utf8(request.into())?, String::from_utf8(reply.into())?);
    page.row("json", &format!("{} bytes:", request.len()));
    for (what, text) in [("request", &request), ("reply", &reply)] {
        for (index, line) in wrap(text, 88).into_iter().enumerate() {
            page.row(if index == 0 { what } else { "" }, line);
        }
    }
    page.row(
        "result",
        &format!("{}.{:02} in {} day, whichever way", json.cents / 100, json.cents % 100, json.days),
    );

    page.check(protobuf == json, "the result is the same in both codecs")?;
    page.check(json.parcel == parcel(), "structs, enums, options and lists come back as they went")?;
    page.check(small * 2 < request.len(), "protobuf takes less than half of the place")?;
    page.check(
        request.contains(r#""contents":{"goods":{"name":"clock","cents":"25000"}}"#),
        format!("JSON has the shape of proto3: {request}"),
    )
}

fn hex(bytes: &[u8]) -> String {
    let shown = bytes.iter().take(24).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    if bytes.len() > 24 { shown + " …" } else { shown }
}

/// Cuts a text into lines, each after a comma.
fn wrap(text: &str, width: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while rest.chars().count() > width {
        let cut = rest.char_indices().take(width).filter(|(_, c)| *c == ',').last();
        let Some((at, _)) = cut else { break };
        let (line, after) = rest.split_at(at + 1);
        lines.push(line);
        rest = after;
    }
    lines.push(rest);
    lines
}

/// The bodies of the last call, as they were sent and received.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<(Bytes, Bytes)>>);

impl Seen {
    fn take(&self) -> (Bytes, Bytes) {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// A layer that looks at the bytes.
#[derive(Clone)]
struct Spy<S> {
    inner: S,
    seen: Seen,
}

impl<S> Service<Request> for Spy<S>
where
    S: Service<Request, Response = Response, Error = Status>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Status;
    type Future = BoxFuture<Result<Response, Status>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let (seen, sent) = (self.seen.clone(), request.body().clone());
        let called = self.inner.call(request);
        Box::pin(async move {
            let response = called.await?;
            *seen.0.lock().unwrap() = (sent, response.body().clone());
            Ok(response)
        })
    }
}
