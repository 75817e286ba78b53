//! Names, messages, oneofs, lists, maps and null.

use crate::{refused, taken};

#[test]
fn names() {
    taken(&[
        (
            "FieldNameInSnakeCase, FieldNameInLowerCamelCase",
            r#"{"fieldname1": 1, "fieldName2": 2, "FieldName3": 3, "fieldName4": 4}"#,
            r#"{"fieldname1": 1, "fieldName2": 2, "FieldName3": 3, "fieldName4": 4}"#,
        ),
        (
            "FieldNameWithNumbers",
            r#"{"field0name5": 5, "field0Name6": 6}"#,
            r#"{"field0name5": 5, "field0Name6": 6}"#,
        ),
        (
            "FieldNameWithMixedCases",
            r#"{"fieldName7": 7, "FieldName8": 8, "fieldName9": 9, "FieldName10": 10, "FIELDNAME11": 11, "FIELDName12": 12}"#,
            r#"{"fieldName7": 7, "FieldName8": 8, "fieldName9": 9, "FieldName10": 10, "FIELDNAME11": 11, "FIELDName12": 12}"#,
        ),
        (
            "FieldNameWithDoubleUnderscores",
            r#"{"FieldName13": 13, "FieldName14": 14, "fieldName15": 15, "fieldName16": 16, "fieldName17": 17, "FieldName18": 18}"#,
            r#"{"FieldName13": 13, "FieldName14": 14, "fieldName15": 15, "fieldName16": 16, "fieldName17": 17, "FieldName18": 18}"#,
        ),
        (
            "OriginalProtoFieldName",
            r#"{"fieldname1": 1, "field_name2": 2, "_field_name3": 3, "field__name4_": 4, "field0name5": 5,
                "field_0_name6": 6, "fieldName7": 7, "FieldName8": 8, "field_Name9": 9, "Field_Name10": 10,
                "FIELD_NAME11": 11, "FIELD_name12": 12, "__field_name13": 13, "__Field_name14": 14,
                "field__name15": 15, "field__Name16": 16, "field_name17__": 17, "Field_name18__": 18}"#,
            r#"{"fieldname1": 1, "fieldName2": 2, "FieldName3": 3, "fieldName4": 4, "field0name5": 5,
                "field0Name6": 6, "fieldName7": 7, "FieldName8": 8, "fieldName9": 9, "FieldName10": 10,
                "FIELDNAME11": 11, "FIELDName12": 12, "FieldName13": 13, "FieldName14": 14,
                "fieldName15": 15, "fieldName16": 16, "fieldName17": 17, "FieldName18": 18}"#,
        ),
        ("FieldNameEscaped", r#"{"fieldn\u0061me1": 1}"#, r#"{"fieldname1": 1}"#),
    ]);
    refused(&[
        ("FieldNameDuplicate", r#"{"optionalNestedMessage": {"a": 1}, "optionalNestedMessage": {}}"#),
        (
            "FieldNameDuplicateDifferentCasing1",
            r#"{"optional_nested_message": {"a": 1}, "optionalNestedMessage": {}}"#,
        ),
        (
            "FieldNameDuplicateDifferentCasing2",
            r#"{"optionalNestedMessage": {"a": 1}, "optional_nested_message": {}}"#,
        ),
        ("FieldNameDuplicate, also where one is null", r#"{"optionalInt32": 1, "optionalInt32": null}"#),
    ]);
}

#[test]
fn messages() {
    taken(&[
        (
            "MessageField",
            r#"{"optionalNestedMessage": {"a": 1234}}"#,
            r#"{"optionalNestedMessage": {"a": 1234}}"#,
        ),
        ("MessageField, empty", r#"{"optionalNestedMessage": {}}"#, r#"{"optionalNestedMessage": {}}"#),
        (
            "MessageField, recursive",
            r#"{"recursiveMessage": {"optionalInt32": 1, "recursiveMessage": {}}}"#,
            r#"{"recursiveMessage": {"optionalInt32": 1, "recursiveMessage": {}}}"#,
        ),
        (
            "SkipsDefaultPrimitive",
            r#"{"optionalInt32": 0, "optionalString": "", "optionalBool": false}"#,
            "{}",
        ),
        (
            "StoresDefaultPrimitive",
            r#"{"presenceInt32": 0, "presenceString": "", "presenceEnum": "FOO"}"#,
            r#"{"presenceInt32": 0, "presenceString": "", "presenceEnum": "FOO"}"#,
        ),
    ]);
    refused(&[
        ("MessageField as a list", r#"{"optionalNestedMessage": []}"#),
        ("MessageField as a string", r#"{"optionalNestedMessage": "a"}"#),
        ("MessageField as a number", r#"{"optionalNestedMessage": 1}"#),
    ]);
}

#[test]
fn oneofs() {
    let same = |name: &'static str, text: &'static str| taken(&[(name, text, text)]);
    same("OneofZeroUint32", r#"{"oneofUint32": 0}"#);
    same("OneofZeroMessage", r#"{"oneofNestedMessage": {}}"#);
    same("OneofZeroString", r#"{"oneofString": ""}"#);
    same("OneofZeroBytes", r#"{"oneofBytes": ""}"#);
    same("OneofZeroBool", r#"{"oneofBool": false}"#);
    same("OneofZeroUint64", r#"{"oneofUint64": "0"}"#);
    same("OneofZeroFloat", r#"{"oneofFloat": 0.0}"#);
    same("OneofZeroDouble", r#"{"oneofDouble": 0.0}"#);
    same("OneofZeroEnum", r#"{"oneofEnum": "FOO"}"#);
    taken(&[
        ("OneofZeroUint64, not quoted", r#"{"oneofUint64": 0}"#, r#"{"oneofUint64": "0"}"#),
        (
            "OneofFieldNullFirst",
            r#"{"oneofUint32": null, "oneofString": "test"}"#,
            r#"{"oneofString": "test"}"#,
        ),
        (
            "OneofFieldNullSecond",
            r#"{"oneofString": "test", "oneofUint32": null}"#,
            r#"{"oneofString": "test"}"#,
        ),
        (
            "NullValueInOtherOneofOldFormat",
            r#"{"oneofNullValue": "NULL_VALUE"}"#,
            r#"{"oneofNullValue": null}"#,
        ),
        ("NullValueInOtherOneofNewFormat", r#"{"oneofNullValue": null}"#, r#"{"oneofNullValue": null}"#),
    ]);
    refused(&[
        ("OneofFieldDuplicate", r#"{"oneofUint32": 1, "oneofString": "test"}"#),
        ("OneofFieldDuplicate, with null as a value", r#"{"oneofUint32": 1, "oneofNullValue": null}"#),
    ]);
}

#[test]
fn lists() {
    taken(&[
        (
            "PrimitiveRepeatedField",
            r#"{"repeatedInt32": [1, 2, 3, 4]}"#,
            r#"{"repeatedInt32": [1, 2, 3, 4]}"#,
        ),
        (
            "StringRepeatedField",
            r#"{"repeatedString": ["Hello", "world"]}"#,
            r#"{"repeatedString": ["Hello", "world"]}"#,
        ),
        (
            "BytesRepeatedField",
            r#"{"repeatedBytes": ["AAEC", "AQI="]}"#,
            r#"{"repeatedBytes": ["AAEC", "AQI="]}"#,
        ),
        (
            "MessageRepeatedField",
            r#"{"repeatedNestedMessage": [{"a": 1234}, {"a": 5678}, {}]}"#,
            r#"{"repeatedNestedMessage": [{"a": 1234}, {"a": 5678}, {}]}"#,
        ),
        ("RepeatedField, empty", r#"{"repeatedInt32": []}"#, "{}"),
    ]);
    refused(&[
        ("RepeatedFieldWrongElementTypeExpectingIntegersGotBool", r#"{"repeatedInt32": [1, false, 3, 4]}"#),
        (
            "RepeatedFieldWrongElementTypeExpectingIntegersGotString",
            r#"{"repeatedInt32": [1, 2, "name", 4]}"#,
        ),
        (
            "RepeatedFieldWrongElementTypeExpectingIntegersGotMessage",
            r#"{"repeatedInt32": [1, 2, 3, {"a": 4}]}"#,
        ),
        ("RepeatedFieldWrongElementTypeExpectingStringsGotInt", r#"{"repeatedString": ["1", 2, "3", "4"]}"#),
        (
            "RepeatedFieldWrongElementTypeExpectingStringsGotBool",
            r#"{"repeatedString": ["1", "2", false, "4"]}"#,
        ),
        (
            "RepeatedFieldWrongElementTypeExpectingStringsGotMessage",
            r#"{"repeatedString": ["1", 2, "3", {"a": 4}]}"#,
        ),
        (
            "RepeatedFieldWrongElementTypeExpectingMessagesGotInt",
            r#"{"repeatedNestedMessage": [{"a": 1}, 2]}"#,
        ),
        (
            "RepeatedFieldWrongElementTypeExpectingMessagesGotBool",
            r#"{"repeatedNestedMessage": [{"a": 1}, false]}"#,
        ),
        (
            "RepeatedFieldWrongElementTypeExpectingMessagesGotString",
            r#"{"repeatedNestedMessage": [{"a": 1}, "2"]}"#,
        ),
        ("RepeatedFieldTrailingComma", r#"{"repeatedInt32": [1, 2, 3, 4,]}"#),
        ("RepeatedFieldTrailingCommaWithSpace", r#"{"repeatedInt32": [1, 2, 3, 4 ,]}"#),
        ("RepeatedFieldTrailingCommaWithSpaceCommaSpace", r#"{"repeatedInt32": [1, 2, 3, 4 , ]}"#),
        ("RepeatedFieldTrailingCommaWithNewlines", "{\"repeatedInt32\": [1,\n 2,\n]}"),
        ("RepeatedFieldPrimitiveElementIsNull", r#"{"repeatedInt32": [1, null, 2]}"#),
        ("RepeatedFieldMessageElementIsNull", r#"{"repeatedNestedMessage": [{"a": 1}, null]}"#),
        ("RepeatedField, of enums, null", r#"{"repeatedNestedEnum": [null]}"#),
        ("RepeatedField, not a list", r#"{"repeatedInt32": 1}"#),
        ("RepeatedField, nested list", r#"{"repeatedInt32": [[1]]}"#),
    ]);
}

#[test]
fn maps() {
    taken(&[
        ("Int32MapField", r#"{"mapInt32Int32": {"1": 2, "3": 4}}"#, r#"{"mapInt32Int32": {"1": 2, "3": 4}}"#),
        ("Uint32MapField", r#"{"mapUint32Uint32": {"1": 2}}"#, r#"{"mapUint32Uint32": {"1": 2}}"#),
        ("Int64MapField", r#"{"mapInt64Int64": {"1": 2}}"#, r#"{"mapInt64Int64": {"1": "2"}}"#),
        ("Uint64MapField", r#"{"mapUint64Uint64": {"1": 2}}"#, r#"{"mapUint64Uint64": {"1": "2"}}"#),
        (
            "BoolMapField",
            r#"{"mapBoolBool": {"true": true, "false": false}}"#,
            r#"{"mapBoolBool": {"true": true, "false": false}}"#,
        ),
        ("Int32MapEscapedKey", r#"{"mapInt32Int32": {"\u0031": 2}}"#, r#"{"mapInt32Int32": {"1": 2}}"#),
        ("Int64MapEscapedKey", r#"{"mapInt64Int64": {"\u0031": 2}}"#, r#"{"mapInt64Int64": {"1": "2"}}"#),
        (
            "BoolMapEscapedKey",
            r#"{"mapBoolBool": {"tr\u0075e": true}}"#,
            r#"{"mapBoolBool": {"true": true}}"#,
        ),
        (
            "MessageMapField",
            r#"{"mapStringNestedMessage": {"hello": {"a": 1234}, "world": {}}}"#,
            r#"{"mapStringNestedMessage": {"hello": {"a": 1234}, "world": {}}}"#,
        ),
        (
            "Enum map",
            r#"{"mapStringNestedEnum": {"a": "BAR", "b": 0}}"#,
            r#"{"mapStringNestedEnum": {"a": "BAR", "b": "FOO"}}"#,
        ),
        (
            "Map of others",
            r#"{"mapInt32Float": {"-1": "NaN"}, "mapStringBytes": {"": "AQ"}}"#,
            r#"{"mapInt32Float": {"-1": "NaN"}, "mapStringBytes": {"": "AQ=="}}"#,
        ),
        ("Map, empty", r#"{"mapInt32Int32": {}}"#, "{}"),
    ]);
    refused(&[
        ("Int32MapFieldKeyNotQuoted", r#"{"mapInt32Int32": {1: 2}}"#),
        ("Uint32MapFieldKeyNotQuoted", r#"{"mapUint32Uint32": {1: 2}}"#),
        ("Int64MapFieldKeyNotQuoted", r#"{"mapInt64Int64": {1: 2}}"#),
        ("Uint64MapFieldKeyNotQuoted", r#"{"mapUint64Uint64": {1: 2}}"#),
        ("BoolMapFieldKeyNotQuoted", r#"{"mapBoolBool": {true: true}}"#),
        ("MapFieldKeyIsNull", r#"{"mapInt32Int32": {null: 1}}"#),
        ("MapFieldValueIsNull", r#"{"mapInt32Int32": {"0": null}}"#),
        ("Map key out of range", r#"{"mapInt32Int32": {"2147483648": 1}}"#),
        ("Map key that is no number", r#"{"mapInt32Int32": {"x": 1}}"#),
        ("Map key that is no bool", r#"{"mapBoolBool": {"1": true}}"#),
        ("Map as a list", r#"{"mapInt32Int32": [1]}"#),
        ("Map key twice", r#"{"mapInt32Int32": {"1": 1, "1": 2}}"#),
    ]);
}

#[test]
fn null_is_absence() {
    taken(&[
        (
            "AllFieldAcceptNull",
            r#"{
                "optionalInt32": null, "optionalInt64": null, "optionalUint32": null, "optionalUint64": null,
                "optionalBool": null, "optionalString": null, "optionalBytes": null, "optionalNestedEnum": null,
                "optionalNestedMessage": null, "repeatedInt32": null, "repeatedInt64": null,
                "repeatedUint32": null, "repeatedUint64": null, "repeatedBool": null, "repeatedString": null,
                "repeatedBytes": null, "repeatedNestedEnum": null, "repeatedNestedMessage": null,
                "mapInt32Int32": null, "mapBoolBool": null, "mapStringNestedMessage": null,
                "optionalSint32": null, "optionalSint64": null, "optionalFixed32": null, "optionalFixed64": null,
                "optionalSfixed32": null, "optionalSfixed64": null, "optionalFloat": null, "optionalDouble": null,
                "repeatedSint32": null, "repeatedSint64": null, "repeatedFixed32": null, "repeatedFixed64": null,
                "repeatedSfixed32": null, "repeatedSfixed64": null, "repeatedFloat": null, "repeatedDouble": null,
                "presenceInt32": null
            }"#,
            "{}",
        ),
        (
            "WrapperTypesWithNullValue",
            r#"{
                "optionalBoolWrapper": null, "optionalInt32Wrapper": null, "optionalUint32Wrapper": null,
                "optionalInt64Wrapper": null, "optionalUint64Wrapper": null, "optionalFloatWrapper": null,
                "optionalDoubleWrapper": null, "optionalStringWrapper": null, "optionalBytesWrapper": null,
                "repeatedBoolWrapper": null, "repeatedInt32Wrapper": null, "repeatedUint32Wrapper": null,
                "repeatedInt64Wrapper": null, "repeatedUint64Wrapper": null, "repeatedFloatWrapper": null,
                "repeatedDoubleWrapper": null, "repeatedStringWrapper": null, "repeatedBytesWrapper": null
            }"#,
            "{}",
        ),
        ("NullValueInNormalMessage", r#"{"optionalNullValue": null}"#, "{}"),
    ]);
}
