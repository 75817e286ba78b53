//! Strings, bytes, and JSON's own syntax.

use crate::{refused, taken};

#[test]
fn strings() {
    taken(&[
        ("StringField", r#"{"optionalString": "Hello world!"}"#, r#"{"optionalString": "Hello world!"}"#),
        (
            "StringFieldEscape",
            r#"{"optionalString": "\"\\\/\b\f\n\r\t"}"#,
            r#"{"optionalString": "\"\\/\b\f\n\r\t"}"#,
        ),
        ("StringFieldUnicode", r#"{"optionalString": "谷歌"}"#, r#"{"optionalString": "谷歌"}"#),
        (
            "StringFieldUnicodeEscape",
            r#"{"optionalString": "\u8C37\u6B4C"}"#,
            r#"{"optionalString": "谷歌"}"#,
        ),
        (
            "StringFieldUnicodeEscapeWithLowercaseHexLetters",
            r#"{"optionalString": "\u8c37\u6b4c"}"#,
            r#"{"optionalString": "谷歌"}"#,
        ),
        ("StringFieldSurrogatePair", r#"{"optionalString": "\uD83D\uDE01"}"#, r#"{"optionalString": "😁"}"#),
        (
            "StringFieldEmbeddedNull",
            r#"{"optionalString": "Hello\u0000world"}"#,
            r#"{"optionalString": "Hello\u0000world"}"#,
        ),
    ]);
    refused(&[
        ("StringFieldNotAString", r#"{"optionalString": 12345}"#),
        ("StringFieldUppercaseEscapeLetter", r#"{"optionalString": "\U8C37\U6b4C"}"#),
        ("StringFieldInvalidEscape", r#"{"optionalString": "\uXXXX\u6B4C"}"#),
        ("StringFieldUnterminatedEscape", r#"{"optionalString": "\u8C3"}"#),
        ("StringFieldUnpairedHighSurrogate", r#"{"optionalString": "\uD800"}"#),
        ("StringFieldUnpairedLowSurrogate", r#"{"optionalString": "\uDC00"}"#),
        ("StringFieldSurrogateInWrongOrder", r#"{"optionalString": "\uDE01\uD83D"}"#),
        ("StringEndsWithEscapeChar", r#"{"optionalString": "abc\"#),
        ("StringFieldSingleQuoteKey", r#"{'optionalString': "Hello world!"}"#),
        ("StringFieldSingleQuoteValue", r#"{"optionalString": 'Hello world!'}"#),
        ("StringFieldSingleQuoteBoth", "{'optionalString': 'Hello world!'}"),
        ("StringField with a control character", "{\"optionalString\": \"a\nb\"}"),
    ]);
}

#[test]
fn bytes() {
    taken(&[
        ("BytesField", r#"{"optionalBytes": "AQI="}"#, r#"{"optionalBytes": "AQI="}"#),
        ("BytesFieldBase64Url", r#"{"optionalBytes": "-_"}"#, r#"{"optionalBytes": "+w=="}"#),
        (
            "BytesField, both alphabets' other signs",
            r#"{"optionalBytes": "+/+/"}"#,
            r#"{"optionalBytes": "+/+/"}"#,
        ),
        ("BytesField, of the web", r#"{"optionalBytes": "-_-_"}"#, r#"{"optionalBytes": "+/+/"}"#),
        ("BytesField, unpadded", r#"{"optionalBytes": "AQI"}"#, r#"{"optionalBytes": "AQI="}"#),
    ]);
    refused(&[
        ("BytesFieldInvalidBase64Characters", r#"{"optionalBytes": "-_=?"}"#),
        ("BytesField, spaces", r#"{"optionalBytes": "AQ I="}"#),
        ("BytesField, one sign", r#"{"optionalBytes": "A"}"#),
        ("BytesField, not a string", r#"{"optionalBytes": [1]}"#),
    ]);
}

#[test]
fn syntax() {
    taken(&[
        ("HelloWorld", r#"{"optionalString":"Hello, World!"}"#, r#"{"optionalString":"Hello, World!"}"#),
        (
            "OneLineNoSpaces",
            r#"{"optionalInt32":1,"optionalInt64":2}"#,
            r#"{"optionalInt32": 1, "optionalInt64": "2"}"#,
        ),
        (
            "OneLineWithSpaces",
            r#"{ "optionalInt32" : 1 , "optionalInt64" : 2 }"#,
            r#"{"optionalInt32": 1, "optionalInt64": "2"}"#,
        ),
        (
            "MultilineNoSpaces",
            "{\n\"optionalInt32\"\n:\n1\n,\n\"optionalInt64\"\n:\n2\n}",
            r#"{"optionalInt32": 1, "optionalInt64": "2"}"#,
        ),
        (
            "MultilineWithSpaces",
            "{\n  \"optionalInt32\"  :  1\n  ,\n  \"optionalInt64\"  :  2\n}\n",
            r#"{"optionalInt32": 1, "optionalInt64": "2"}"#,
        ),
        ("Spaces, tabs and new lines", "\t{\r\n \"optionalInt32\"\t:\n1 }\n", r#"{"optionalInt32": 1}"#),
    ]);
    refused(&[
        ("RejectTopLevelNull", "null"),
        ("Top level list", "[]"),
        ("Top level string", "\"\""),
        ("Nothing", ""),
        ("FieldNameNotQuoted", "{fieldname1: 1}"),
        ("TrailingCommaInAnObject", r#"{"fieldname1":1,}"#),
        ("TrailingCommaInAnObjectWithSpace", r#"{"fieldname1":1 ,}"#),
        ("TrailingCommaInAnObjectWithSpaceCommaSpace", r#"{"fieldname1":1 , }"#),
        ("TrailingCommaInAnObjectWithNewlines", "{\"fieldname1\":1,\n}"),
        ("JsonWithComments", "{ // comment\n \"fieldname1\": 1 }"),
        ("JsonWithComments, in blocks", "{ /* comment */ \"fieldname1\": 1 }"),
        ("MissingCommaOneline", r#"{ "optionalInt32": 1 "optionalInt64": 2 }"#),
        ("MissingCommaMultiline", "{ \"optionalInt32\": 1\n \"optionalInt64\": 2 }"),
        ("Missing brace", r#"{"optionalInt32": 1"#),
        ("More behind", r#"{"optionalInt32": 1} {}"#),
    ]);
}
