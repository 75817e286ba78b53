//! Names that the schema does not have: passed over or refused, by the rule.

use rpc_core::proto::json::Unknown;

use crate::{read, refused, taken};

const FIELDS: [(&str, &str); 6] = [
    ("IgnoreUnknownJsonNumber", r#"{"unknown": 1}"#),
    ("IgnoreUnknownJsonString", r#"{"unknown": "a"}"#),
    ("IgnoreUnknownJsonTrue", r#"{"unknown": true}"#),
    ("IgnoreUnknownJsonFalse", r#"{"unknown": false}"#),
    ("IgnoreUnknownJsonNull", r#"{"unknown": null}"#),
    ("IgnoreUnknownJsonObject", r#"{"unknown": {"a": [1, {}]}}"#),
];

const NAMES: [(&str, &str, &str); 5] = [
    ("UnknownEnumStringValueInOptionalField", r#"{"optionalNestedEnum": "UNKNOWN_ENUM_VALUE"}"#, "{}"),
    (
        "UnknownEnumStringValueInRepeatedField",
        r#"{"repeatedNestedEnum": ["FOO", "UNKNOWN_ENUM_VALUE", "BAR"]}"#,
        r#"{"repeatedNestedEnum": ["FOO", "BAR"]}"#,
    ),
    (
        "UnknownEnumStringValueInMapValue",
        r#"{"mapStringNestedEnum": {"key1": "FOO", "key2": "UNKNOWN_ENUM_VALUE"}}"#,
        r#"{"mapStringNestedEnum": {"key1": "FOO"}}"#,
    ),
    ("UnknownEnumStringValueInOneof", r#"{"oneofEnum": "UNKNOWN_ENUM_VALUE"}"#, "{}"),
    (
        "UnknownEnumStringValueInRepeatedPart",
        r#"{"repeatedNestedEnum": ["UNKNOWN_ENUM_VALUE"], "optionalInt32": 1}"#,
        r#"{"optionalInt32": 1}"#,
    ),
];

#[test]
fn without_a_word_fields_are_passed_over_and_names_of_enums_refused() {
    taken(&FIELDS.map(|(name, text)| (name, text, "{}")));
    refused(&NAMES.map(|(name, text, _)| (name, text)));
}

#[test]
fn all_that_is_unknown_can_be_passed_over() {
    Unknown::All.during(|| {
        taken(&FIELDS.map(|(name, text)| (name, text, "{}")));
        taken(&NAMES);
        // The rule is about names, not about what is no enum at all.
        refused(&[("a bool", r#"{"optionalNestedEnum": true}"#)]);
    });
    assert!(read(NAMES[0].1).is_err(), "the rule ends with its closure");
}

#[test]
fn all_that_is_unknown_can_be_refused() {
    Unknown::Refuse.during(|| {
        refused(&FIELDS);
        refused(&NAMES.map(|(name, text, _)| (name, text)));
        refused(&[
            ("in a message within", r#"{"optionalNestedMessage": {"unknown": 1}}"#),
            ("in Empty", r#"{"optionalEmpty": {"unknown": 1}}"#),
            (
                "in Any",
                r#"{"optionalAny": {"@type": "type.googleapis.com/conformance.TestAllTypes", "unknown": 1}}"#,
            ),
        ]);
        taken(&[("a number", r#"{"optionalNestedEnum": 123}"#, r#"{"optionalNestedEnum": 123}"#)]);
    });
    let error = Unknown::Refuse.during(|| read(FIELDS[0].1)).unwrap_err();
    assert!(error.to_string().starts_with("conformance.TestAllTypes has no field `unknown`"), "{error}");
}

#[test]
fn the_rule_comes_back_after_a_panic() {
    let result = std::panic::catch_unwind(|| Unknown::All.during(|| panic!("on purpose")));
    assert!(result.is_err());
    assert!(read(NAMES[0].1).is_err());
}
