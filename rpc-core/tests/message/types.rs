//! The messages, their twins in prost, and how to make arbitrary ones.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use proptest::collection::{btree_map, hash_map, vec};
use proptest::option;
use proptest::prelude::*;
use rpc_core::message;

#[message]
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Scalars {
    pub flag: bool,
    pub small: i32,
    pub large: i64,
    pub count: u32,
    pub total: u64,
    pub ratio: f32,
    pub exact: f64,
    pub display_name: String,
    pub shared: Bytes,
    #[message(tag = 20)]
    pub owned: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ScalarsTwin {
    #[prost(bool, tag = "1")]
    pub flag: bool,
    #[prost(int32, tag = "2")]
    pub small: i32,
    #[prost(int64, tag = "3")]
    pub large: i64,
    #[prost(uint32, tag = "4")]
    pub count: u32,
    #[prost(uint64, tag = "5")]
    pub total: u64,
    #[prost(float, tag = "6")]
    pub ratio: f32,
    #[prost(double, tag = "7")]
    pub exact: f64,
    #[prost(string, tag = "8")]
    pub display_name: String,
    #[prost(bytes = "bytes", tag = "9")]
    pub shared: Bytes,
    #[prost(bytes = "vec", tag = "20")]
    pub owned: Vec<u8>,
}

#[message]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Color {
    Red,
    DarkBlue = 5,
    Minus = -2,
    #[message(other)]
    Other(i32),
}

#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub x: f64,
    pub y: f64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct PointTwin {
    #[prost(double, tag = "1")]
    pub x: f64,
    #[prost(double, tag = "2")]
    pub y: f64,
}

#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Circle(Point),
    Text(String),
    Rect { w: u32, h: u32, corner: Point },
    Nothing,
    Tinted(Color),
    Group(Box<Everything>),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ShapeTwin {
    #[prost(oneof = "ShapeKind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<ShapeKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum ShapeKind {
    #[prost(message, tag = "1")]
    Circle(PointTwin),
    #[prost(string, tag = "2")]
    Text(String),
    #[prost(message, tag = "3")]
    Rect(RectTwin),
    #[prost(message, tag = "4")]
    Nothing(()),
    #[prost(int32, tag = "5")]
    Tinted(i32),
    #[prost(message, tag = "6")]
    Group(Box<EverythingTwin>),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct RectTwin {
    #[prost(uint32, tag = "1")]
    pub w: u32,
    #[prost(uint32, tag = "2")]
    pub h: u32,
    #[prost(message, optional, tag = "3")]
    pub corner: Option<PointTwin>,
}

#[message(name = "test.v1.Everything")]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Everything {
    pub origin: Point,
    pub maybe: Option<Point>,
    pub parent: Option<Box<Self>>,
    pub children: Vec<Self>,
    pub numbers: Vec<i32>,
    pub longs: Vec<u64>,
    pub floats: Vec<f32>,
    pub flags: Vec<bool>,
    pub words: Vec<String>,
    pub blobs: Vec<Bytes>,
    pub colors: Vec<Color>,
    pub color: Color,
    pub maybe_color: Option<Color>,
    pub shapes: Vec<Shape>,
    pub maybe_text: Option<String>,
    pub maybe_number: Option<i64>,
    pub maybe_bytes: Option<Vec<u8>>,
    pub by_name: HashMap<String, Point>,
    pub by_number: BTreeMap<i64, String>,
    pub by_flag: BTreeMap<bool, Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct EverythingTwin {
    #[prost(message, optional, tag = "1")]
    pub origin: Option<PointTwin>,
    #[prost(message, optional, tag = "2")]
    pub maybe: Option<PointTwin>,
    #[prost(message, optional, boxed, tag = "3")]
    pub parent: Option<Box<Self>>,
    #[prost(message, repeated, tag = "4")]
    pub children: Vec<Self>,
    #[prost(int32, repeated, tag = "5")]
    pub numbers: Vec<i32>,
    #[prost(uint64, repeated, tag = "6")]
    pub longs: Vec<u64>,
    #[prost(float, repeated, tag = "7")]
    pub floats: Vec<f32>,
    #[prost(bool, repeated, tag = "8")]
    pub flags: Vec<bool>,
    #[prost(string, repeated, tag = "9")]
    pub words: Vec<String>,
    #[prost(bytes = "bytes", repeated, tag = "10")]
    pub blobs: Vec<Bytes>,
    #[prost(int32, repeated, tag = "11")]
    pub colors: Vec<i32>,
    #[prost(int32, tag = "12")]
    pub color: i32,
    #[prost(int32, optional, tag = "13")]
    pub maybe_color: Option<i32>,
    #[prost(message, repeated, tag = "14")]
    pub shapes: Vec<ShapeTwin>,
    #[prost(string, optional, tag = "15")]
    pub maybe_text: Option<String>,
    #[prost(int64, optional, tag = "16")]
    pub maybe_number: Option<i64>,
    #[prost(bytes = "vec", optional, tag = "17")]
    pub maybe_bytes: Option<Vec<u8>>,
    #[prost(map = "string, message", tag = "18")]
    pub by_name: HashMap<String, PointTwin>,
    #[prost(btree_map = "int64, string", tag = "19")]
    pub by_number: BTreeMap<i64, String>,
    #[prost(btree_map = "bool, bytes", tag = "20")]
    pub by_flag: BTreeMap<bool, Vec<u8>>,
}

pub(crate) fn scalars() -> impl Strategy<Value = Scalars> {
    let numbers = (any::<bool>(), number(), any::<i64>(), any::<u32>(), any::<u64>());
    // Not NaN, which is unequal to itself; `json` has it.
    let floats = (any::<f32>(), any::<f64>());
    (numbers, floats, any::<String>(), blob(), blob()).prop_map(
        |(numbers, floats, display_name, shared, owned)| {
            let (flag, small, large, count, total) = numbers;
            let (ratio, exact) = floats;
            Scalars {
                flag,
                small,
                large,
                count,
                total,
                ratio,
                exact,
                display_name,
                shared,
                owned: owned.to_vec(),
            }
        },
    )
}

/// Small ones too, where a varint is short, and the default often.
fn number() -> impl Strategy<Value = i32> {
    prop_oneof![Just(0), -3..300, any::<i32>()]
}

fn blob() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..40).prop_map(Bytes::from)
}

fn point() -> impl Strategy<Value = Point> {
    (any::<f64>(), any::<f64>()).prop_map(|(x, y)| Point { x, y })
}

fn color() -> impl Strategy<Value = Color> {
    prop_oneof![
        Just(Color::Red),
        Just(Color::DarkBlue),
        Just(Color::Minus),
        (6..i32::MAX).prop_map(Color::Other)
    ]
}

pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        point().prop_map(Shape::Circle),
        any::<String>().prop_map(Shape::Text),
        (any::<u32>(), any::<u32>(), point()).prop_map(|(w, h, corner)| Shape::Rect { w, h, corner }),
        Just(Shape::Nothing),
        color().prop_map(Shape::Tinted),
    ]
}

pub(crate) fn everything() -> impl Strategy<Value = Everything> {
    let flat = (
        (point(), option::of(point()), color(), option::of(color()), vec(color(), 0..4), vec(shape(), 0..4)),
        (vec(number(), 0..5), vec(any::<u64>(), 0..5), vec(any::<f32>(), 0..5), vec(any::<bool>(), 0..5)),
        (vec(any::<String>(), 0..3), vec(blob(), 0..3)),
        (option::of(any::<String>()), option::of(any::<i64>()), option::of(vec(any::<u8>(), 0..9))),
        hash_map(any::<String>(), point(), 0..3),
        btree_map(any::<i64>(), any::<String>(), 0..3),
        btree_map(any::<bool>(), vec(any::<u8>(), 0..5), 0..3),
    );
    let flat = flat.prop_map(|(messages, numbers, texts, options, by_name, by_number, by_flag)| {
        let (origin, maybe, color, maybe_color, colors, shapes) = messages;
        let (numbers, longs, floats, flags) = numbers;
        let (words, blobs) = texts;
        let (maybe_text, maybe_number, maybe_bytes) = options;
        Everything {
            origin,
            maybe,
            parent: None,
            children: Vec::new(),
            numbers,
            longs,
            floats,
            flags,
            words,
            blobs,
            colors,
            color,
            maybe_color,
            shapes,
            maybe_text,
            maybe_number,
            maybe_bytes,
            by_name,
            by_number,
            by_flag,
        }
    });
    flat.prop_recursive(3, 8, 2, |inner| {
        (inner.clone(), vec(inner.clone(), 0..2), option::of(inner)).prop_map(
            |(mut outer, children, parent)| {
                outer.shapes.extend(parent.clone().map(|it| Shape::Group(Box::new(it))));
                outer.children = children;
                outer.parent = parent.map(Box::new);
                outer
            },
        )
    })
}

/// Nothing but what must be there.
pub(crate) fn bare() -> Everything {
    crate::decode([0x0a, 0]).unwrap_or_else(|error| panic!("{error}"))
}
