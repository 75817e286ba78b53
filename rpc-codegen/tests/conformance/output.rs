//! From messages to JSON: what has a form, and what has none.

use rpc_core::proto::prost::Message;
use rpc_core::proto::{Any, Duration, FieldMask, Timestamp, Value, value};

use crate::TestAllTypes;
use crate::generated::conformance::test_all_types::OneofField;

fn written(message: &TestAllTypes) -> Result<String, String> {
    serde_json::to_string(message).map_err(|error| error.to_string())
}

#[test]
fn what_has_no_form_is_refused() {
    let none = |name: &str, message: TestAllTypes| {
        if let Ok(text) = written(&message) {
            panic!("{name} is written, as {text}");
        }
    };
    let mask = |path: &str| TestAllTypes {
        optional_field_mask: Some(FieldMask { paths: vec![path.to_owned()] }),
        ..Default::default()
    };
    none("FieldMaskNumbersDontRoundTrip", mask("foo_3_bar"));
    none("FieldMaskPathsDontRoundTrip", mask("fooBar"));
    none("FieldMaskTooManyUnderscore", mask("foo__bar"));
    none("FieldMask, trailing underscore", mask("foo_"));

    let duration = |seconds, nanos| TestAllTypes {
        optional_duration: Some(Duration { seconds, nanos }),
        ..Default::default()
    };
    none("DurationProtoInputTooSmall", duration(-315_576_000_001, 0));
    none("DurationProtoInputTooLarge", duration(315_576_000_001, 0));
    none("DurationProtoNanosTooSmall", duration(1, -1_000_000_000));
    none("DurationProtoNanosTooLarge", duration(1, 1_000_000_000));
    none("DurationProtoNanosWrongSign", duration(1, -1));
    none("DurationProtoNanosWrongSignNegativeSecs", duration(-1, 1));

    let timestamp = |seconds, nanos| TestAllTypes {
        optional_timestamp: Some(Timestamp { seconds, nanos }),
        ..Default::default()
    };
    none("TimestampProtoInputTooSmall", timestamp(-62_135_596_801, 0));
    none("TimestampProtoInputTooLarge", timestamp(253_402_300_800, 0));
    none("TimestampProtoNegativeNanos", timestamp(0, -1));
    none("TimestampProtoNanoTooLarge", timestamp(0, 1_000_000_000));

    let value = |kind| TestAllTypes { optional_value: Some(Value { kind }), ..Default::default() };
    none("ValueRejectNanNumberValue", value(Some(value::Kind::NumberValue(f64::NAN))));
    none("ValueRejectInfNumberValue", value(Some(value::Kind::NumberValue(f64::INFINITY))));
    none("Value of nothing", value(None));

    let any = |url: &str, value: &[u8]| TestAllTypes {
        optional_any: Some(Any { type_url: url.to_owned(), value: value.to_vec() }),
        ..Default::default()
    };
    none("Any of an unknown type", any("type.googleapis.com/no.such.Type", b""));
    none("Any without a type", any("", b"\x08\x01"));
    none("Any with bytes of another type", any("type.googleapis.com/google.protobuf.Duration", b"\xff"));
}

#[test]
fn what_is_at_its_default_is_left_out_and_what_is_set_is_not() {
    assert_eq!(written(&TestAllTypes::default()).unwrap(), "{}");
    let message = TestAllTypes {
        presence_int32: Some(0),
        optional_int32_wrapper: Some(0),
        oneof_field: Some(OneofField::OneofNullValue(0)),
        optional_double: -0.0,
        ..Default::default()
    };
    assert_eq!(
        written(&message).unwrap(),
        r#"{"optionalDouble":-0.0,"optionalInt32Wrapper":0,"presenceInt32":0,"oneofNullValue":null}"#
    );
}

#[test]
fn floats_are_as_short_as_they_can_be() {
    let message = TestAllTypes { optional_float: 0.1, optional_double: 0.1, ..Default::default() };
    assert_eq!(written(&message).unwrap(), r#"{"optionalFloat":0.1,"optionalDouble":0.1}"#);
}

#[test]
fn the_largest_floats_go_there_and_back() {
    let message = TestAllTypes { optional_float: f32::MAX, optional_double: f64::MIN, ..Default::default() };
    assert_eq!(crate::read(&written(&message).unwrap()).unwrap(), message);
}

#[test]
fn depth_is_limited_on_the_way_in() {
    let deep =
        |depth: usize| format!("{}{}{}", "{\"recursiveMessage\":".repeat(depth), "{}", "}".repeat(depth));
    assert!(crate::read(&deep(120)).is_ok());
    assert!(crate::read(&deep(10_000)).is_err());
    let any = |depth: usize| {
        let open = r#"{"@type":"x/google.protobuf.Any","value":"#.repeat(depth);
        format!("{{\"optionalAny\":{open}{{}}{}}}", "}".repeat(depth))
    };
    assert!(crate::read(&any(16)).is_ok());
    assert!(crate::read(&any(18)).is_err());
    assert!(crate::read(&any(10_000)).is_err());
}

#[test]
fn depth_is_limited_on_the_way_out() {
    // An `Any` holds bytes, so protobuf's own limit does not see what is in it.
    let mut any = Any::pack(&TestAllTypes::default());
    for depth in 1..=10_000 {
        any = Any { type_url: "x/google.protobuf.Any".to_owned(), value: any.encode_to_vec() };
        if depth <= 15 {
            rpc_core::proto::register::<TestAllTypes>();
            assert!(serde_json::to_string(&any).is_ok(), "{depth}");
        }
    }
    let error = serde_json::to_string(&any).unwrap_err().to_string();
    assert!(error.contains("16"), "{error}");
}

#[test]
fn every_nan_is_the_one_nan() {
    let bits = [
        ("FloatFieldNormalizeQuietNan", f32::from_bits(0x7fa1_2345)),
        ("FloatFieldNormalizeSignalingNan", f32::from_bits(0xffb5_4321)),
    ];
    for (name, optional_float) in bits {
        let message = TestAllTypes { optional_float, ..Default::default() };
        assert_eq!(written(&message).unwrap(), r#"{"optionalFloat":"NaN"}"#, "{name}");
        // As it comes in protobuf, too.
        let message = TestAllTypes::decode(message.encode_to_vec().as_slice()).unwrap();
        assert_eq!(written(&message).unwrap(), r#"{"optionalFloat":"NaN"}"#, "{name}");
    }
    let bits = [
        ("DoubleFieldNormalizeQuietNan", f64::from_bits(0x7ffa_1234_5678_9abc)),
        ("DoubleFieldNormalizeSignalingNan", f64::from_bits(0xfffb_cba9_8765_4321)),
    ];
    for (name, optional_double) in bits {
        let message = TestAllTypes { optional_double, ..Default::default() };
        assert_eq!(written(&message).unwrap(), r#"{"optionalDouble":"NaN"}"#, "{name}");
        let message = TestAllTypes::decode(message.encode_to_vec().as_slice()).unwrap();
        assert_eq!(written(&message).unwrap(), r#"{"optionalDouble":"NaN"}"#, "{name}");
    }
}
