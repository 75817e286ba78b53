//! What is absent and has no default is an error that names it; what is unknown is kept where a variant takes it.

use std::collections::HashMap;

use rpc_core::message;
use rpc_core::message::{Empty, Message};

use crate::types::{Color, Everything, Point, Scalars, Shape};
use crate::{decode, encode};

#[message]
#[derive(Debug, PartialEq)]
struct Outer {
    inner: Inner,
    named: HashMap<String, Point>,
}

#[message]
#[derive(Debug, PartialEq)]
struct Inner {
    point: Point,
}

/// No variant has the number 0.
#[message]
#[derive(Debug, PartialEq)]
enum Level {
    Low = 1,
    High = 2,
}

#[message]
#[derive(Debug, PartialEq)]
struct Alarm {
    level: Level,
}

#[message]
struct Alarms {
    by_name: HashMap<String, Alarm>,
}

#[message]
#[derive(Debug, PartialEq)]
enum Weather {
    #[message(other)]
    Unknown,
    Sun,
    Rain = 7,
}

#[message]
#[derive(Debug, PartialEq)]
struct Report {
    weather: Weather,
}

#[message]
#[derive(Debug, PartialEq)]
enum Event {
    Started(String),
    #[message(other)]
    Unknown,
    Stopped,
}

fn error<T: Message>(bytes: &[u8]) -> Option<String> {
    decode::<T>(bytes).err().map(|error| error.to_string())
}

fn json_error<T: serde::de::DeserializeOwned>(json: &str) -> Option<String> {
    serde_json::from_str::<T>(json).err().map(|error| error.to_string())
}

#[test]
fn an_absent_message_is_named_with_its_type() {
    let absent = |place| Some(format!("{place}: the field is absent, and its type has no default"));
    assert_eq!(error::<Outer>(&[]), absent("Outer.inner"));
    assert_eq!(error::<Outer>(&[0x0a, 0]), absent("Outer.inner: Inner.point"));
    assert_eq!(error::<Everything>(&[0x22, 0]), absent("Everything.children: Everything.origin"));
    assert_eq!(error::<Alarms>(&[0x0a, 0]), absent("Alarms.by_name: entry.value: Alarm.level"));
    assert_eq!(error::<Alarm>(&[]), absent("Alarm.level"));
    assert_eq!(error::<Shape>(&[0x1a, 2, 0x08, 1]), absent("Shape.rect: Shape::Rect.corner"));

    let at_end = |place, column| {
        Some(format!("{place}: the field is absent, and its type has no default at line 1 column {column}"))
    };
    assert_eq!(json_error::<Outer>("{}"), at_end("Outer.inner", 2));
    assert_eq!(json_error::<Outer>(r#"{"inner":{"point":null}}"#), at_end("Inner.point", 23));
    assert_eq!(json_error::<Alarm>("{}"), at_end("Alarm.level", 2));
}

#[test]
fn an_absent_value_in_a_map_is_a_message_without_fields() {
    let outer = decode::<Outer>([0x0a, 2, 0x0a, 0, 0x12, 3, 0x0a, 1, b'a']);
    assert_eq!(outer.map(|outer| outer.named["a"].x), Ok(0.0));
}

#[test]
fn an_absent_oneof_is_named() {
    let text = "Shape: none of the members is present, of which one must be";
    assert_eq!(error::<Shape>(&[]).as_deref(), Some(text));
    assert_eq!(error::<Shape>(&[0x7a, 0]).as_deref(), Some(text), "a member that is unknown is none");
    for json in ["{}", r#"{"circle":null}"#, r#"{"triangle":{}}"#] {
        let error = json_error::<Shape>(json).unwrap_or_default();
        assert!(error.starts_with("Shape: the object has none of the members"), "{error}");
    }
}

#[test]
fn scalars_and_lists_are_their_defaults() {
    assert_eq!(decode::<Scalars>([]), Ok(Scalars::default()));
    assert!(encode(&Scalars::default()).is_empty());
    assert_eq!(serde_json::to_string(&Scalars::default()).ok().as_deref(), Some("{}"));
}

#[test]
fn an_unknown_number_is_refused_unless_a_variant_takes_it() {
    let text = "Alarm.level: 9 is no value of the enum Level";
    assert_eq!(error::<Alarm>(&[0x08, 9]).as_deref(), Some(text));
    assert!(json_error::<Alarm>(r#"{"level":9}"#).is_some());
    assert!(json_error::<Alarm>(r#"{"level":"LEVEL_NONE"}"#).is_some());
    assert_eq!(decode::<Alarm>([0x08, 2]), Ok(Alarm { level: Level::High }));

    // One that keeps the number, in JSON too.
    let json = serde_json::to_string(&Shape::Tinted(Color::Other(77))).unwrap_or_default();
    assert_eq!(json, r#"{"tinted":77}"#);
    assert_eq!(serde_json::from_str::<Shape>(&json).ok(), Some(Shape::Tinted(Color::Other(77))));
    assert_eq!(decode::<Shape>([0x28, 77]), Ok(Shape::Tinted(Color::Other(77))));
    assert!(json_error::<Shape>(r#"{"tinted":"COLOR_PINK"}"#).is_some(), "a name has no number to keep");

    // One that forgets it.
    assert_eq!(decode::<Report>([0x08, 9]), Ok(Report { weather: Weather::Unknown }));
    assert_eq!(decode::<Report>([]), Ok(Report { weather: Weather::Unknown }));
    let hail = serde_json::from_str::<Report>(r#"{"weather":"WEATHER_HAIL"}"#);
    assert_eq!(hail.ok(), Some(Report { weather: Weather::Unknown }));
    assert_eq!(decode::<Report>([0x08, 7]), Ok(Report { weather: Weather::Rain }));
    assert_eq!(decode::<Report>([0x08, 1]), Ok(Report { weather: Weather::Sun }));
}

#[test]
fn an_unknown_member_is_refused_unless_a_variant_takes_it() {
    assert_eq!(decode::<Event>([]), Ok(Event::Unknown));
    assert_eq!(decode::<Event>([0x7a, 0]), Ok(Event::Unknown));
    // It takes no tag of its own.
    assert_eq!(encode(&Event::Stopped)[..], [0x12, 0]);
    assert!(encode(&Event::Unknown).is_empty());
    assert_eq!(serde_json::to_string(&Event::Unknown).ok().as_deref(), Some("{}"));
    assert_eq!(serde_json::from_str::<Event>(r#"{"paused":{}}"#).ok(), Some(Event::Unknown));
    assert_eq!(serde_json::from_str::<Event>(r#"{"started":"x"}"#).ok(), Some(Event::Started("x".into())));
}

#[test]
fn the_empty_message_is_nothing() {
    assert!(encode(&Empty).is_empty());
    assert_eq!(decode::<Empty>([0x08, 1]), Ok(Empty));
    assert!(decode::<Empty>([0x08]).is_err());
    assert_eq!(serde_json::to_string(&Empty).ok().as_deref(), Some("{}"));
    assert_eq!(serde_json::from_str::<Empty>(r#"{"a":[1,{}]}"#).ok(), Some(Empty));
    assert!(serde_json::from_str::<Empty>("[]").is_err());
    assert_eq!(Empty::from(()), Empty);
}
