//! What one side writes the other reads, in both codecs.

use std::collections::{BTreeMap, HashMap};

use bytes::{Bytes, BytesMut};
use rpc_core::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::contract::{Level, Point, Record, Shape};
use crate::generated::round::v1;

/// A record with something in every field.
pub(crate) fn full(depth: usize) -> Record {
    let point = Point { x: 1.5, y: f64::INFINITY };
    let shapes = || {
        vec![
            Shape::Circle { center: Point { x: 0.0, y: 1.0 }, radius: 0.0 },
            Shape::Text(String::new()),
            Shape::At(Point::default()),
            Shape::Nothing,
            Shape::Level(Level::Low),
            Shape::Both(Box::default()),
        ]
    };
    Record {
        flag: true,
        small: i32::MIN,
        large: i64::MIN,
        count: u32::MAX,
        total: u64::MAX,
        ratio: 0.1,
        exact: -1e300,
        display_name: "ü \"quoted\" 🦀".into(),
        shared: Bytes::from_static(b"\xff\xfe\x00"),
        owned: vec![1, 2, 3],
        far: 1,
        local_name: "here".into(),
        r#type: "of it".into(),
        maybe_flag: Some(false),
        maybe_small: Some(0),
        maybe_text: Some(String::new()),
        maybe_bytes: Some(vec![]),
        maybe_level: Some(Level::Unset),
        numbers: vec![0, -1, i32::MAX],
        floats: vec![0.0, f32::NEG_INFINITY],
        flags: vec![false, true],
        words: vec![String::new(), "a".into()],
        blobs: vec![Bytes::new(), Bytes::from_static(b"b")],
        levels: vec![Level::High, Level::Low, Level::Unset],
        points: vec![Point::default(), point.clone()],
        shapes: shapes(),
        by_name: HashMap::from([(String::new(), point.clone()), ("x".into(), Point::default())]),
        by_number: BTreeMap::from([(i64::MIN, "min".into()), (0, String::new())]),
        by_flag: BTreeMap::from([(false, vec![]), (true, vec![9])]),
        leveled: BTreeMap::from([(0, Level::High), (1, Level::Unset)]),
        level: Level::High,
        point,
        shape: shapes().pop(),
        parent: (depth > 0).then(|| Box::new(full(depth - 1))),
        children: if depth > 0 { vec![full(depth - 1), Record::default()] } else { vec![] },
    }
}

fn protobuf<A: Message, B: Message>(value: &A) -> B {
    let mut bytes = BytesMut::new();
    value.encode(&mut bytes);
    B::decode(bytes.freeze()).unwrap()
}

fn json<A: Serialize, B: DeserializeOwned>(value: &A) -> B {
    let text = serde_json::to_string(value).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn records_go_there_and_back() {
    for record in [Record::default(), full(0), full(2)] {
        let by_protobuf: v1::Record = protobuf(&record);
        let by_json: v1::Record = json(&record);
        assert_eq!(by_protobuf, by_json);
        assert_eq!(record, protobuf(&by_protobuf));
        assert_eq!(record, json(&by_json));
    }
}

#[test]
fn shapes_go_there_and_back() {
    for shape in full(0).shapes {
        let by_protobuf: v1::Shape = protobuf(&shape);
        let by_json: v1::Shape = json(&shape);
        assert_eq!(by_protobuf, by_json);
        assert_eq!(shape, protobuf(&by_protobuf));
        assert_eq!(shape, json(&by_json));
    }
}
