//! Services as traits, with fields of all kinds.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use rpc_core::{Status, Streaming, message, service};

/// Methods of all kinds.
#[service(name = "round.v1.Everything")]
pub trait Everything {
    async fn nothing(&self) -> Result<(), Status>;

    /// A message as it is.
    async fn echo(&self, record: Record) -> Result<Record, Status>;

    /// Several arguments.
    #[rpc(idempotent, timeout = "2s")]
    async fn join(
        &self,
        words: Vec<String>,
        count: u32,
        by: Option<i64>,
        raw: Vec<u8>,
        flags: BTreeMap<bool, u64>,
    ) -> Result<String, Status>;

    /// Scalars, with a name of its own on the wire.
    #[rpc(name = "Half")]
    async fn divide_by_two(&self, value: i64) -> Result<Option<f64>, Status>;

    async fn turn(&self, shape: Shape) -> Result<Shape, Status>;

    #[rpc(oneway)]
    async fn tell(&self, text: String) -> Result<(), Status>;

    async fn connect(&self, r#type: String) -> Result<Vec<Point>, Status>;

    /// Many to one.
    async fn up(&self, points: Streaming<Point>) -> Result<Record, Status>;

    /// One to many, of several arguments.
    #[rpc(idempotent)]
    async fn down(&self, from: Point, count: u32) -> Result<Streaming<Point>, Status>;

    /// Many to many.
    async fn both(&self, shapes: Streaming<Shape>) -> Result<Streaming<Shape>, Status>;

    /// Streams of what is no message by itself.
    async fn words(&self, words: Streaming<String>) -> Result<Streaming<Option<u64>>, Status>;

    /// Streams of nothing.
    async fn pulse(&self, beats: Streaming<()>) -> Result<Streaming<()>, Status>;
}

/// Fields of all kinds.
#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    pub flag: bool,
    pub small: i32,
    pub large: i64,
    pub count: u32,
    pub total: u64,
    pub ratio: f32,
    pub exact: f64,
    pub display_name: String,
    pub shared: Bytes,
    pub owned: Vec<u8>,
    #[message(tag = 100)]
    pub far: u32,
    #[message(name = "renamed_field")]
    pub local_name: String,
    pub r#type: String,
    pub maybe_flag: Option<bool>,
    pub maybe_small: Option<i32>,
    pub maybe_text: Option<String>,
    pub maybe_bytes: Option<Vec<u8>>,
    pub maybe_level: Option<Level>,
    pub numbers: Vec<i32>,
    pub floats: Vec<f32>,
    pub flags: Vec<bool>,
    pub words: Vec<String>,
    pub blobs: Vec<Bytes>,
    pub levels: Vec<Level>,
    pub points: Vec<Point>,
    pub shapes: Vec<Shape>,
    pub by_name: HashMap<String, Point>,
    pub by_number: BTreeMap<i64, String>,
    pub by_flag: BTreeMap<bool, Vec<u8>>,
    pub leveled: BTreeMap<u32, Level>,
    pub level: Level,
    pub point: Point,
    pub shape: Option<Shape>,
    pub parent: Option<Box<Self>>,
    pub children: Vec<Self>,
}

/// Where something is.
#[message(name = "round.place.Point")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

/// One of several.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Round.
    Circle {
        center: Point,
        radius: f64,
    },
    Text(String),
    At(Point),
    Nothing,
    Level(Level),
    Both(Box<Record>),
}

/// Names for numbers.
#[message]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Level {
    High = 7,
    #[default]
    Unset = 0,
    Low = -3,
}

/// Names that protobuf has for its own, or finds elsewhere first.
pub mod odd {
    use super::{Point, Status, Streaming, message, service};

    #[message]
    #[derive(Debug)]
    #[expect(non_camel_case_types, reason = "what protobuf calls a scalar")]
    pub struct string {
        pub string: String,
    }

    // Within `odd.round`, `round` is not the outermost one.
    #[message(name = "odd.round.v1.Far")]
    #[derive(Debug)]
    pub struct Far {
        pub point: Point,
    }

    #[message]
    #[derive(Debug)]
    pub enum Kind {
        Kind(bool),
        Other { kind: i32 },
    }

    #[message]
    #[derive(Debug)]
    pub enum Late {
        First = 1,
        Second = 2,
    }

    /// Methods with odd names.
    #[service(name = "odd.round.Odd")]
    pub trait Odd {
        async fn message(&self, string: string, rpc: Late) -> Result<Kind, Status>;
        async fn r#return(&self, kind: Kind) -> Result<Far, Status>;
        // On the wire it has the name of a message, which protobuf would take for the method.
        async fn kind(&self, kind: Kind) -> Result<Streaming<Kind>, Status>;
    }
}
