//! Which JSON is read, and which is written: proto3's mapping, case by case.

use rpc_core::message;

use crate::types::{Color, Everything, Point, Scalars, Shape, bare};

/// The scalars that a JSON object is read as.
fn scalars(json: &str) -> Result<Scalars, serde_json::Error> {
    serde_json::from_str(json)
}

#[test]
fn what_is_written() -> serde_json::Result<()> {
    let value = Scalars {
        flag: true,
        small: -1,
        large: i64::MIN,
        count: u32::MAX,
        total: u64::MAX,
        ratio: 0.1,
        exact: -0.0,
        display_name: "\u{e9}\n".into(),
        shared: vec![0xfb, 0xff].into(),
        owned: b"a".to_vec(),
    };
    let expected = r#"{"flag":true,"small":-1,"large":"-9223372036854775808","count":4294967295,"total":"18446744073709551615","ratio":0.1,"exact":-0.0,"displayName":"é\n","shared":"+/8=","owned":"YQ=="}"#;
    assert_eq!(serde_json::to_string(&value)?, expected);
    assert_eq!(scalars(expected)?, value);
    assert_eq!(scalars(expected)?.exact.to_bits(), (-0f64).to_bits());
    Ok(())
}

#[test]
fn what_is_read() -> serde_json::Result<()> {
    let with = |change: fn(&mut Scalars)| {
        let mut value = Scalars::default();
        change(&mut value);
        value
    };
    let table = [
        (r#"{}"#, with(|_| {})),
        (r#"{"small":null,"displayName":null,"owned":null,"flag":null}"#, with(|_| {})),
        (r#"{"unknown":{"deep":[1,null]},"small":1}"#, with(|it| it.small = 1)),
        (r#"{"displayName":"a"}"#, with(|it| it.display_name = "a".into())),
        (r#"{"display_name":"a"}"#, with(|it| it.display_name = "a".into())),
        (r#"{"small":"-12"}"#, with(|it| it.small = -12)),
        (r#"{"small":1.0}"#, with(|it| it.small = 1)),
        (r#"{"small":1e3}"#, with(|it| it.small = 1000)),
        (r#"{"small":"1e3"}"#, with(|it| it.small = 1000)),
        (r#"{"small":-2147483648}"#, with(|it| it.small = i32::MIN)),
        (r#"{"large":-5}"#, with(|it| it.large = -5)),
        (r#"{"large":"9223372036854775807"}"#, with(|it| it.large = i64::MAX)),
        (r#"{"large":1e18}"#, with(|it| it.large = 1_000_000_000_000_000_000)),
        (r#"{"total":18446744073709551615}"#, with(|it| it.total = u64::MAX)),
        (r#"{"count":"4294967295"}"#, with(|it| it.count = u32::MAX)),
        (r#"{"ratio":1}"#, with(|it| it.ratio = 1.0)),
        (r#"{"ratio":"1.5"}"#, with(|it| it.ratio = 1.5)),
        (r#"{"ratio":"Infinity"}"#, with(|it| it.ratio = f32::INFINITY)),
        (r#"{"exact":"-Infinity"}"#, with(|it| it.exact = f64::NEG_INFINITY)),
        (r#"{"exact":"-1.5e2"}"#, with(|it| it.exact = -150.0)),
        (r#"{"shared":"+/8="}"#, with(|it| it.shared = vec![0xfb, 0xff].into())),
        (r#"{"shared":"+/8"}"#, with(|it| it.shared = vec![0xfb, 0xff].into())),
        (r#"{"owned":"-_8="}"#, with(|it| it.owned = vec![0xfb, 0xff])),
        (r#"{"owned":"-_8"}"#, with(|it| it.owned = vec![0xfb, 0xff])),
    ];
    for (json, expected) in table {
        assert_eq!(scalars(json).map_err(|error| format!("{json}: {error}")), Ok(expected), "{json}");
    }
    assert!(scalars(r#"{"exact":"NaN"}"#)?.exact.is_nan());
    let nan = Scalars { ratio: f32::NAN, exact: f64::INFINITY, ..Scalars::default() };
    assert_eq!(serde_json::to_string(&nan)?, r#"{"ratio":"NaN","exact":"Infinity"}"#);
    Ok(())
}

#[test]
fn what_is_refused() {
    let table = [
        r#"[]"#,
        r#"null"#,
        r#""x""#,
        r#"{"small":1,"small":2}"#,
        r#"{"displayName":"a","display_name":"b"}"#,
        r#"{"small":null,"small":1}"#,
        r#"{"small":2147483648}"#,
        r#"{"small":-2147483649}"#,
        r#"{"small":1.5}"#,
        r#"{"small":"1.5"}"#,
        r#"{"small":""}"#,
        r#"{"small":" 1"}"#,
        r#"{"small":"+1"}"#,
        r#"{"small":"0x1"}"#,
        r#"{"small":true}"#,
        r#"{"small":"NaN"}"#,
        r#"{"small":1e300}"#,
        r#"{"count":-1}"#,
        r#"{"count":4294967296}"#,
        r#"{"large":"9223372036854775808"}"#,
        r#"{"large":9.3e18}"#,
        r#"{"total":-1}"#,
        r#"{"total":"-1"}"#,
        r#"{"ratio":1e39}"#,
        r#"{"ratio":"1e39"}"#,
        r#"{"exact":1e999}"#,
        r#"{"exact":"1e999"}"#,
        r#"{"exact":"inf"}"#,
        r#"{"exact":"nan"}"#,
        r#"{"exact":"+1"}"#,
        r#"{"exact":""}"#,
        r#"{"flag":"true"}"#,
        r#"{"flag":1}"#,
        r#"{"displayName":1}"#,
        r#"{"owned":"?"}"#,
        r#"{"owned":"a"}"#,
        r#"{"owned":[1]}"#,
    ];
    for json in table {
        assert!(scalars(json).is_err(), "{json} was read");
    }
}

#[test]
fn lists_maps_and_options() -> serde_json::Result<()> {
    let read = |rest: &str| serde_json::from_str::<Everything>(&format!(r#"{{"origin":{{}},{rest}}}"#));
    assert_eq!(read(r#""numbers":[1,"2",3.0]"#)?.numbers, [1, 2, 3]);
    assert_eq!(read(r#""longs":["1",2]"#)?.longs, [1, 2]);
    assert_eq!(read(r#""byNumber":{"-1":"a","5":"b"}"#)?.by_number[&-1], "a");
    assert_eq!(read(r#""byFlag":{"true":"YQ"}"#)?.by_flag[&true], b"a");
    assert_eq!(read(r#""byName":{"":{"x":1}}"#)?.by_name[""].x, 1.0);
    assert_eq!(read(r#""maybeNumber":"0""#)?.maybe_number, Some(0));
    assert_eq!(read(r#""maybeNumber":null,"maybeText":null,"parent":null,"numbers":null"#)?, bare());
    for wrong in [
        r#""numbers":[null]"#,
        r#""numbers":{}"#,
        r#""children":[null]"#,
        r#""byNumber":{"1":"a","1":"b"}"#,
        r#""byNumber":{"x":"a"}"#,
        r#""byFlag":{"yes":""}"#,
        r#""byNumber":{"1":null}"#,
        r#""byName":[]"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong} was read");
    }

    let value = Everything { maybe_number: Some(0), maybe_text: Some(String::new()), ..bare() };
    assert_eq!(serde_json::to_string(&value)?, r#"{"origin":{},"maybeText":"","maybeNumber":"0"}"#);
    Ok(())
}

#[test]
fn enums_go_by_name() -> serde_json::Result<()> {
    let read = |json: &str| serde_json::from_str::<Color>(json);
    for json in [r#""COLOR_DARK_BLUE""#, r#""DARK_BLUE""#, "5", "5.0"] {
        assert_eq!(read(json)?, Color::DarkBlue, "{json}");
    }
    assert_eq!(read("-2")?, Color::Minus);
    assert_eq!(serde_json::to_string(&Color::DarkBlue)?, r#""COLOR_DARK_BLUE""#);
    for wrong in [r#""DarkBlue""#, r#""COLOR_""#, "1.5", "4294967296", "null", "{}"] {
        assert!(read(wrong).is_err(), "{wrong} was read");
    }
    Ok(())
}

#[test]
fn oneofs_are_an_object_with_one_member() -> serde_json::Result<()> {
    let table = [
        (r#"{"circle":{"x":1.0}}"#, Shape::Circle(Point { x: 1.0, y: 0.0 })),
        (r#"{"text":""}"#, Shape::Text(String::new())),
        (r#"{"rect":{"w":1,"corner":{}}}"#, Shape::Rect { w: 1, h: 0, corner: Point { x: 0.0, y: 0.0 } }),
        (r#"{"nothing":{}}"#, Shape::Nothing),
        (r#"{"tinted":"COLOR_RED"}"#, Shape::Tinted(Color::Red)),
    ];
    for (json, shape) in table {
        assert_eq!(serde_json::to_string(&shape)?, json);
        assert_eq!(serde_json::from_str::<Shape>(json)?, shape);
    }
    let text = Shape::Text("a".into());
    assert_eq!(serde_json::from_str::<Shape>(r#"{"circle":null,"x":1,"text":"a"}"#)?, text);
    for wrong in
        [r#"{"text":"a","nothing":{}}"#, r#"{"text":"a","text":"b"}"#, r#"{"nothing":1}"#, r#""text""#]
    {
        assert!(serde_json::from_str::<Shape>(wrong).is_err(), "{wrong} was read");
    }
    Ok(())
}

/// Names as they are given, and as Rust must spell them.
#[message]
#[derive(Debug, PartialEq)]
struct Named {
    r#type: u32,
    #[message(name = "user_id")]
    id: u32,
    http2_ok: bool,
    kind: Kind,
}

#[message(name = "test.v1.Kind")]
#[derive(Debug, PartialEq)]
enum Kind {
    #[message(name = "NONE")]
    Nothing,
    Some,
}

#[test]
fn names_can_be_given() -> serde_json::Result<()> {
    let value = Named { r#type: 1, id: 2, http2_ok: true, kind: Kind::Some };
    let json = r#"{"type":1,"userId":2,"http2Ok":true,"kind":"KIND_SOME"}"#;
    assert_eq!(serde_json::to_string(&value)?, json);
    assert_eq!(serde_json::from_str::<Named>(json)?, value);
    let value = serde_json::from_str::<Named>(r#"{"user_id":2,"kind":"NONE","id":9}"#)?;
    assert_eq!(value, Named { r#type: 0, id: 2, http2_ok: false, kind: Kind::Nothing });
    Ok(())
}
