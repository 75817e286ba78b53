//! Inputs that people and programs send: which are taken, as what, and which are refused. prost-reflect has to agree,
//! but where it is told that and why it does not.

use crate::corpus::scalars::{Choices, Lists, Maps, Optionals, Scalars};
use crate::corpus::well::known::Everything;
use crate::{Typed, dynamic, oracle, plain};

/// Both take the text, and as the same.
fn taken<M: Typed>(text: &str) {
    let ours: M = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let theirs = oracle::<M>(text, false).unwrap_or_else(|error| panic!("{text}: the oracle says {error}"));
    assert_eq!(plain(&dynamic(&ours)), plain(&theirs), "{text}");
}

/// Both refuse the text.
fn refused<M: Typed>(text: &str) {
    assert!(serde_json::from_str::<M>(text).is_err(), "{text} is taken");
    assert!(oracle::<M>(text, true).is_err(), "{text} is taken by the oracle");
}

/// We refuse the text; the oracle does not.
fn refused_by_us<M: Typed>(text: &str) {
    assert!(serde_json::from_str::<M>(text).is_err(), "{text} is taken");
    assert!(oracle::<M>(text, true).is_ok(), "{text} is refused by the oracle too: use `refused`");
}

/// We take the text as what the second text is; the oracle refuses it.
fn taken_by_us<M: Typed>(text: &str, same: &str) {
    let ours: M = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(plain(&dynamic(&ours)), plain(&oracle::<M>(same, true).unwrap()), "{text}");
    assert!(oracle::<M>(text, true).is_err(), "{text} is taken by the oracle too: use `taken`");
}

#[test]
fn numbers() {
    for number in ["0", "1", "-1", "\"7\"", "\"-7\"", "1.0", "1e3", "2147483647", "-2147483648", "null", "-0"]
    {
        taken::<Scalars>(&format!("{{\"int32\":{number}}}"));
        taken::<Scalars>(&format!("{{\"int64\":{number}}}"));
        taken::<Scalars>(&format!("{{\"sfixed64\":{number}}}"));
    }
    for number in [
        "1.5",
        "\"\"",
        "\" 1\"",
        "\"1 \"",
        "\"0x1\"",
        "true",
        "[]",
        "{}",
        "1e30",
        "\"NaN\"",
        "\"Infinity\"",
        "NaN",
        "01",
    ] {
        refused::<Scalars>(&format!("{{\"int32\":{number}}}"));
        refused::<Scalars>(&format!("{{\"int64\":{number}}}"));
        refused::<Scalars>(&format!("{{\"uint64\":{number}}}"));
    }
    // Rust parses a plus, and JSON does not know it.
    refused_by_us::<Scalars>("{\"int32\":\"+1\"}");
    // The specification takes what is an integer in any spelling of JSON's numbers, in quotes too.
    taken_by_us::<Scalars>("{\"int32\":\"1.0\"}", "{\"int32\":1}");
    taken_by_us::<Scalars>("{\"int64\":\"1e3\"}", "{\"int64\":1000}");
    refused::<Scalars>("{\"int32\":2147483648}");
    refused::<Scalars>("{\"uint32\":-1}");
    refused::<Scalars>("{\"uint32\":4294967296}");
    taken::<Scalars>("{\"uint64\":18446744073709551615}");
    taken::<Scalars>("{\"uint64\":\"18446744073709551615\"}");
    refused::<Scalars>("{\"uint64\":\"18446744073709551616\"}");
    taken::<Scalars>("{\"int64\":\"-9223372036854775808\"}");
    refused::<Scalars>("{\"int64\":\"9223372036854775808\"}");
}

#[test]
fn floats() {
    for number in
        ["0", "1.5", "-1.5e-3", "\"1.5\"", "\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "1", "null", "-0.0"]
    {
        taken::<Scalars>(&format!("{{\"double\":{number}}}"));
        taken::<Scalars>(&format!("{{\"float\":{number}}}"));
    }
    for number in ["\"\"", "\"1.5 \"", "true", "[]"] {
        refused::<Scalars>(&format!("{{\"double\":{number}}}"));
        refused::<Scalars>(&format!("{{\"float\":{number}}}"));
    }
    // Names that Rust parses, and JSON does not know.
    for name in ["nan", "inf", "+Infinity", "infinity"] {
        refused_by_us::<Scalars>(&format!("{{\"double\":\"{name}\"}}"));
    }
    refused::<Scalars>("{\"double\":1e400}");
    refused::<Scalars>("{\"float\":3.5e38}");
}

#[test]
fn texts_and_bytes() {
    taken::<Scalars>("{\"string\":\"\\u00fc \\ud83e\\udd80\"}");
    refused::<Scalars>("{\"string\":\"\\ud83e\"}");
    refused::<Scalars>("{\"string\":1}");
    for bytes in ["\"\"", "\"AQI=\"", "\"AQI\"", "\"-_8=\"", "\"-_8\"", "\"+/8=\"", "null"] {
        taken::<Scalars>(&format!("{{\"bytes\":{bytes}}}"));
    }
    refused::<Scalars>("{\"bytes\":\"?\"}");
    refused::<Scalars>("{\"bytes\":[1,2]}");
    taken::<Scalars>("{\"bool\":true}");
    for flag in ["\"true\"", "1", "0", "\"\""] {
        refused::<Scalars>(&format!("{{\"bool\":{flag}}}"));
    }
}

#[test]
fn enums() {
    for value in
        ["\"COLOR_RED\"", "\"COLOR_CRIMSON\"", "1", "-1", "77", "0", "null", "\"COLOR_ULTRA_VIOLET\""]
    {
        taken::<Scalars>(&format!("{{\"color\":{value}}}"));
        taken::<Optionals>(&format!("{{\"color\":{value}}}"));
    }
    for value in ["\"RED\"", "\"color_red\"", "\"Red\"", "1.5", "\"\"", "2147483648", "true", "{}"] {
        refused::<Scalars>(&format!("{{\"color\":{value}}}"));
    }
    taken::<Lists>("{\"color\":[\"COLOR_RED\",2,77]}");
    taken::<Maps>("{\"color\":{\"a\":\"COLOR_RED\",\"b\":77}}");
}

#[test]
fn names() {
    taken::<Choices>("{\"otherString\":\"x\"}");
    taken::<Choices>("{\"other_string\":\"x\"}");
    taken::<Choices>("{\"@custom-name\":1.0}".replace("1.0", "\"1\"").as_str());
    taken::<Choices>("{\"custom\":\"1\"}");
    taken::<Choices>("{\"withDigit1\":1}");
    taken::<Scalars>("{\"nothing\":[{\"at\":\"all\"}],\"int32\":1}");
    refused_by_us::<Scalars>("{\"int32\":1,\"int32\":2}");
    refused::<Scalars>("{\"int32\":1,}");
    refused::<Scalars>("[]");
    refused::<Scalars>("null");
    refused::<Scalars>("");
    refused::<Scalars>("{} {}");
    refused::<Choices>("{\"otherString\":\"x\",\"other_string\":\"y\"}");
}

#[test]
fn oneofs() {
    taken::<Choices>("{\"int32\":0}");
    taken::<Choices>("{\"int32\":null}");
    taken::<Choices>("{\"int32\":null,\"string\":\"x\"}");
    refused::<Choices>("{\"int32\":1,\"string\":\"x\"}");
    refused::<Choices>("{\"strangeName\":1,\"withDigit1\":1}");
    taken::<Choices>("{\"int32\":1,\"withDigit1\":1}");
}

#[test]
fn lists_and_maps() {
    taken::<Lists>("{\"int32\":null,\"string\":[],\"scalars\":[{},{\"int32\":1}]}");
    refused::<Lists>("{\"int32\":[1,null]}");
    refused::<Lists>("{\"string\":[null]}");
    refused::<Lists>("{\"scalars\":[null]}");
    refused::<Lists>("{\"int32\":1}");
    refused::<Lists>("{\"int32\":{}}");
    taken::<Maps>(
        "{\"string\":{\"a\":\"b\"},\"int32\":{\"-1\":2},\"bool\":{\"true\":false},\"uint64\":{\"1\":\"2\"}}",
    );
    taken::<Maps>("{\"string\":null}");
    refused::<Maps>("{\"string\":{\"a\":null}}");
    refused::<Maps>("{\"bool\":{\"1\":false}}");
    refused::<Maps>("{\"int32\":{\"x\":1}}");
    refused::<Maps>("{\"int32\":{\"2147483648\":1}}");
    refused::<Maps>("{\"string\":[]}");
    // The later one wins there. Two values for one key are a mistake of the sender, or an attack.
    refused_by_us::<Maps>("{\"string\":{\"a\":\"b\",\"a\":\"c\"}}");
}

#[test]
fn times() {
    for text in ["1970-01-01T00:00:00Z", "2000-02-29T23:59:59.999999999Z", "1970-01-01T00:00:00.1+01:00"] {
        taken::<Everything>(&format!("{{\"timestamp\":\"{text}\"}}"));
    }
    for text in ["1970-01-01", "1970-01-01T00:00:00", "0000-01-01T00:00:00Z", "1970-02-30T00:00:00Z", ""] {
        refused::<Everything>(&format!("{{\"timestamp\":\"{text}\"}}"));
    }
    for text in ["1s", "-1.5s", "0.000000001s", "-0.5s", "315576000000s"] {
        taken::<Everything>(&format!("{{\"duration\":\"{text}\"}}"));
    }
    for text in ["1", "s", "315576000001s", "1e3s", "", "1.5"] {
        refused::<Everything>(&format!("{{\"duration\":\"{text}\"}}"));
    }
    refused::<Everything>("{\"timestamp\":0}");
    refused::<Everything>("{\"duration\":1}");
}

#[test]
fn well_known_types() {
    for text in [
        "{\"any\":null,\"empty\":null,\"mask\":null,\"struct\":null,\"list\":null}",
        "{\"value\":null}",
        "{\"value\":[null,1,\"a\",{\"b\":null}]}",
        "{\"null\":null}",
        "{\"none\":null}",
        "{\"anything\":null}",
        "{\"null\":\"NULL_VALUE\"}",
        "{\"list\":[null]}",
        "{\"values\":{\"a\":null}}",
        "{\"struct\":{\"a\":{\"b\":[1]}}}",
        "{\"mask\":\"a.bC,dE\"}",
        "{\"mask\":\"\"}",
        "{\"empty\":{}}",
        "{\"nothing\":{}}",
        "{\"text\":\"\"}",
        "{\"text\":null}",
        "{\"int64\":\"7\"}",
        "{\"int64\":0}",
        "{\"float\":\"NaN\"}",
        "{\"blob\":\"AQ==\"}",
        "{\"texts\":[\"\"]}",
        "{\"numbers\":{\"1\":\"0\"}}",
        "{\"wrapped\":\"\"}",
        "{\"long\":\"0s\"}",
        "{\"timestamps\":[]}",
        "{\"any\":{\"@type\":\"type.googleapis.com/google.protobuf.Duration\",\"value\":\"1s\"}}",
        "{\"any\":{\"value\":\"1s\",\"@type\":\"type.googleapis.com/google.protobuf.Duration\"}}",
        "{\"any\":{\"@type\":\"x/google.protobuf.Int64Value\",\"value\":\"1\"}}",
        "{\"any\":{\"@type\":\"x/google.protobuf.Any\",\"value\":{\"@type\":\"x/google.protobuf.Empty\",\"value\":{}}}}",
    ] {
        taken::<Everything>(text);
    }
    for text in [
        "{\"mask\":\"a_b\"}",
        "{\"empty\":[]}",
        "{\"struct\":[]}",
        "{\"list\":{}}",
        "{\"text\":1}",
        "{\"texts\":[null]}",
        "{\"nothing\":{},\"wrapped\":\"\"}",
        "{\"any\":{\"a\":1}}",
        "{\"any\":{\"@type\":1}}",
        "{\"any\":{\"@type\":\"\"}}",
        "{\"any\":{\"@type\":\"x/no.such.Type\"}}",
        "{\"any\":{\"@type\":\"x/google.protobuf.Duration\"}}",
        "{\"timestamps\":[null]}",
        "{\"numbers\":{\"1\":null}}",
    ] {
        refused::<Everything>(text);
    }
}

#[test]
fn what_has_no_json_is_refused_on_the_way_out() {
    use rpc_core::proto::{Any, Duration, FieldMask, Timestamp, Value, value};

    let refused = |message: Everything| assert!(serde_json::to_string(&message).is_err(), "{message:?}");
    refused(Everything { timestamp: Some(Timestamp { seconds: i64::MAX, nanos: 0 }), ..Default::default() });
    refused(Everything { duration: Some(Duration { seconds: 1, nanos: -1 }), ..Default::default() });
    refused(Everything { mask: Some(FieldMask { paths: vec!["aB".to_owned()] }), ..Default::default() });
    refused(Everything { value: Some(Value { kind: None }), ..Default::default() });
    let number = value::Kind::NumberValue(f64::NAN);
    refused(Everything { value: Some(Value { kind: Some(number) }), ..Default::default() });
    let any = Any { type_url: "x/no.such.Type".to_owned(), value: vec![] };
    refused(Everything { any: Some(any), ..Default::default() });
}

#[test]
fn depth_is_limited() {
    let deep = |depth: usize| format!("{}{}", "{\"left\":".repeat(depth) + "{}", "}".repeat(depth));
    assert!(serde_json::from_str::<crate::corpus::recursive::Tree>(&deep(60)).is_ok());
    assert!(serde_json::from_str::<crate::corpus::recursive::Tree>(&deep(100_000)).is_err());
}
