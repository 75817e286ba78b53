//! The description fits the type, and a type that holds itself is described too.

use rpc_core::message;
use rpc_core::message::Message;
use rpc_core::message::schema::{Label, Type};

use crate::types::{Everything, Shape};

/// A place on a map.
///
/// In degrees.
#[message(name = "demo.v1.Place", reserved(2, 3))]
#[derive(Debug)]
struct Place {
    /// North.
    #[message(name = "lat")]
    latitude: f64,
    #[message(tag = 7)]
    longitude: f64,
    label: String,
}

#[test]
fn names_numbers_and_docs_are_told() {
    let schema = Place::schema().expect("it has one");
    assert_eq!((schema.name, schema.docs), ("demo.v1.Place", "A place on a map.\n\nIn degrees."));
    assert_eq!(schema.reserved, [2, 3]);
    let fields: Vec<_> = schema.fields.iter().map(|it| (it.name, it.tag, it.docs)).collect();
    assert_eq!(fields, [("lat", 1, "North."), ("longitude", 7, ""), ("label", 8, "")]);
    let _ = Place { latitude: 1.0, longitude: 2.0, label: String::new() };
}

#[test]
fn types_and_labels_are_told() {
    let schema = Everything::schema().expect("it has one");
    let field = |name: &str| schema.fields.iter().find(|it| it.name == name).map(|it| (it.label, it.ty));
    assert_eq!(field("numbers"), Some((Label::Repeated, Type::Int32)));
    assert_eq!(field("maybe_bytes"), Some((Label::Optional, Type::Bytes)));
    assert_eq!(field("by_number"), Some((Label::Map(&Type::Int64), Type::String)));
    let Some((Label::Optional, Type::Message(parent))) = field("parent") else { panic!("a message") };
    assert_eq!(parent().map(|it| it.name), Some("test.v1.Everything"), "it holds itself");
    let Some((Label::Single, Type::Enum(color))) = field("color") else { panic!("an enum") };
    assert_eq!(color().values, [("COLOR_RED", 0), ("COLOR_DARK_BLUE", 5), ("COLOR_MINUS", -2)]);
}

#[test]
fn a_oneof_has_members() {
    let schema = Shape::schema().expect("it has one");
    assert!(schema.fields.iter().all(|it| it.label == Label::Member));
    let names: Vec<_> = schema.fields.iter().map(|it| it.name).collect();
    assert_eq!(names, ["circle", "text", "rect", "nothing", "tinted", "group"]);
    let Type::Message(rect) = schema.fields[2].ty else { panic!("a message") };
    let rect = rect().expect("it has one");
    assert_eq!((rect.name, rect.fields.len()), ("Shape.Rect", 3));
}

#[test]
fn prosts_messages_have_none() {
    assert!(crate::types::PointTwin::schema().is_none());
}
