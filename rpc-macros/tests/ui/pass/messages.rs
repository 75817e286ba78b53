//! Every shape of request and reply.

#![deny(warnings, missing_debug_implementations)]

use std::collections::{BTreeMap, HashMap};

use rpc_core::{Method, Status, message, service};

#[message]
#[derive(Debug, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

#[service]
pub trait Shapes {
    async fn nothing(&self) -> Result<(), Status>;
    async fn body(&self, point: Point) -> Result<Point, Status>;
    async fn scalar(&self, on: bool) -> Result<u64, Status>;
    async fn many(&self, point: Point, name: String, weight: f32) -> core::result::Result<String, Status>;
    async fn list(&self, points: Vec<Point>) -> Result<Vec<Point>, Status>;
    async fn option(&self, point: Option<Point>) -> Result<Option<Point>, Status>;
    async fn map(&self, points: HashMap<String, Point>) -> Result<BTreeMap<i32, String>, Status>;
    async fn bytes(&self, data: Vec<u8>) -> Result<Vec<u8>, Status>;
    // Names that the generated code uses as well.
    async fn names(&self, message: String, request: u32, service: bool, channel: i64) -> Result<(), Status>;
}

// A service without methods is of no use, and does no harm: one may be on its way.
#[service]
pub trait Empty {}

// In a macro, where the tokens of a type are in an invisible group.
macro_rules! store {
    ($name:ident, $ty:ty, $result:ty) => {
        #[service]
        pub trait $name {
            async fn put(&self, value: $ty) -> $result;
        }
    };
}
store!(Strings, String, Result<String, Status>);
store!(Points, Point, Result<Option<Point>, Status>);

fn is_body<M: Method<Request = Point, Reply = Point, Output = Point, Error = Status>>() {}
fn gives<M: Method<Output = T>, T>() {}

fn main() {
    is_body::<shapes::Body>();
    gives::<shapes::Nothing, ()>();
    gives::<shapes::Option, Option<Point>>();
    gives::<shapes::Many, String>();
    gives::<strings::Put, String>();
    gives::<points::Put, Option<Point>>();
    assert_eq!(shapes::DESCRIPTOR.methods.len(), 9);
    assert!(empty::DESCRIPTOR.methods.is_empty());
}
