//! A request reaches its method, with its arguments, in each codec; the reply has the shape that a person would write.

#![allow(unexpected_cfgs)]

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rpc_core::private::Service;
use rpc_core::server::Serve;
use rpc_core::{Code, Request, Status, message, service};

#[message]
#[derive(Debug, PartialEq)]
pub struct Point {
    pub x: i32,
    pub y: i32,
}

#[service]
pub trait Plane {
    #[cfg(missing)]
    async fn before(&self) -> Result<(), Status>;
    async fn add(&self, left: Point, right: Point) -> Result<Point, Status>;
    async fn mirror(&self, point: Point) -> Result<Point, Status>;
    async fn describe(&self, r#type: String, points: Vec<Point>) -> Result<String, Status>;
    async fn nearest(&self) -> Result<Option<Point>, Status>;
    async fn clear(&self) -> Result<(), Status>;
    async fn fail(&self, why: String) -> Result<u32, Status>;
}

struct Flat;

impl Plane for Flat {
    async fn add(&self, left: Point, right: Point) -> Result<Point, Status> {
        Ok(Point { x: left.x + right.x, y: left.y + right.y })
    }

    async fn mirror(&self, point: Point) -> Result<Point, Status> {
        Ok(Point { x: -point.x, y: point.y })
    }

    async fn describe(&self, r#type: String, points: Vec<Point>) -> Result<String, Status> {
        Ok(format!("{} of {type}", points.len()))
    }

    async fn nearest(&self) -> Result<Option<Point>, Status> {
        Ok(None)
    }

    async fn clear(&self) -> Result<(), Status> {
        Ok(())
    }

    async fn fail(&self, why: String) -> Result<u32, Status> {
        Err(Status::aborted(why))
    }
}

/// Every handler here is ready at once.
fn now<F: Future>(future: F) -> F::Output {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("not ready"),
    }
}

fn call(server: &mut PlaneServer<Flat>, method: &str, codec: u8, body: &'static [u8]) -> Result<Vec<u8>, Status> {
    let method = plane::DESCRIPTOR.method(method).expect("a method of the service");
    now(server.call(Request::new(method, codec, body))).map(|response| response.into_body().to_vec())
}

fn main() {
    let mut server = PlaneServer::from_arc(Arc::new(Flat));
    assert_eq!(server.descriptor().name, "Plane");

    let mut json = |method: &str, body: &'static str| {
        call(&mut server, method, 1, body.as_bytes()).map(|reply| String::from_utf8(reply).unwrap())
    };
    let sum = json("Add", r#"{"left":{"x":1,"y":2},"right":{"x":3,"y":4}}"#);
    assert_eq!(sum.unwrap(), r#"{"x":4,"y":6}"#);
    assert_eq!(json("Mirror", r#"{"x":1,"y":2}"#).unwrap(), r#"{"x":-1,"y":2}"#);
    let described = json("Describe", r#"{"type":"plane","points":[{"x":1,"y":1}]}"#);
    assert_eq!(described.unwrap(), r#"{"value":"1 of plane"}"#);
    assert_eq!(json("Nearest", "{}").unwrap(), "{}");
    assert_eq!(json("Clear", "{}").unwrap(), "{}");
    let error = json("Fail", r#"{"why":"tired"}"#).unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Aborted, "tired"));
    assert_eq!(json("Mirror", "[]").unwrap_err().code(), Code::InvalidArgument);

    // Fields are numbered in the order of the arguments, `value` is 1.
    let reply = call(&mut server, "Describe", 0, b"\x0a\x01a\x12\x00\x12\x02\x08\x05");
    assert_eq!(reply.unwrap(), b"\x0a\x062 of a");
    assert_eq!(call(&mut server, "Clear", 0, b"").unwrap(), b"");
    assert_eq!(call(&mut server, "Clear", 99, b"").unwrap_err().code(), Code::Unimplemented);

    // A number that no method has.
    static FOREIGN: rpc_core::call::MethodDescriptor =
        rpc_core::call::MethodDescriptor::new("Other", "Far", "Other/Far", 17);
    let error = now(server.call(Request::new(&FOREIGN, 0, b"".as_slice()))).unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
}
