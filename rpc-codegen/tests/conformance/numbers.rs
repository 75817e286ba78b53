//! Numbers, `bool` and enums.

use crate::{refused, taken};

#[test]
fn integers() {
    taken(&[
        ("Int32FieldMaxValue", r#"{"optionalInt32": 2147483647}"#, r#"{"optionalInt32": 2147483647}"#),
        ("Int32FieldMinValue", r#"{"optionalInt32": -2147483648}"#, r#"{"optionalInt32": -2147483648}"#),
        ("Uint32FieldMaxValue", r#"{"optionalUint32": 4294967295}"#, r#"{"optionalUint32": 4294967295}"#),
        (
            "Int64FieldMaxValue",
            r#"{"optionalInt64": "9223372036854775807"}"#,
            r#"{"optionalInt64": "9223372036854775807"}"#,
        ),
        (
            "Int64FieldMinValue",
            r#"{"optionalInt64": "-9223372036854775808"}"#,
            r#"{"optionalInt64": "-9223372036854775808"}"#,
        ),
        (
            "Uint64FieldMaxValue",
            r#"{"optionalUint64": "18446744073709551615"}"#,
            r#"{"optionalUint64": "18446744073709551615"}"#,
        ),
        (
            "Int64FieldMaxValueNotQuoted",
            r#"{"optionalInt64": 9223372036854774784}"#,
            r#"{"optionalInt64": "9223372036854774784"}"#,
        ),
        (
            "Int64FieldMinValueNotQuoted",
            r#"{"optionalInt64": -9223372036854775808}"#,
            r#"{"optionalInt64": "-9223372036854775808"}"#,
        ),
        (
            "Uint64FieldMaxValueNotQuoted",
            r#"{"optionalUint64": 18446744073709549568}"#,
            r#"{"optionalUint64": "18446744073709549568"}"#,
        ),
        ("Int32FieldStringValue", r#"{"optionalInt32": "2147483647"}"#, r#"{"optionalInt32": 2147483647}"#),
        (
            "Int32FieldStringValueEscaped",
            r#"{"optionalInt32": "2\u003147483647"}"#,
            r#"{"optionalInt32": 2147483647}"#,
        ),
        ("Int32FieldStringValueZero", r#"{"optionalInt32": "0"}"#, "{}"),
        ("Int32FieldFloatTrailingZero", r#"{"optionalInt32": 100000.000}"#, r#"{"optionalInt32": 100000}"#),
        ("Int32FieldExponentialFormat", r#"{"optionalInt32": 1e5}"#, r#"{"optionalInt32": 100000}"#),
        (
            "Int32FieldMaxFloatValue",
            r#"{"optionalInt32": 2.147483647e9}"#,
            r#"{"optionalInt32": 2147483647}"#,
        ),
        (
            "Int32FieldMinFloatValue",
            r#"{"optionalInt32": -2.147483648e9}"#,
            r#"{"optionalInt32": -2147483648}"#,
        ),
        (
            "Uint32FieldMaxFloatValue",
            r#"{"optionalUint32": 4.294967295e9}"#,
            r#"{"optionalUint32": 4294967295}"#,
        ),
        ("Int32FieldQuotedExponentialValue", r#"{"optionalInt32": "1e5"}"#, r#"{"optionalInt32": 100000}"#),
        ("Int64FieldExponentialFormat", r#"{"optionalInt64": 1.5e3}"#, r#"{"optionalInt64": "1500"}"#),
        (
            "Int64Field, more digits than a float has",
            r#"{"optionalInt64": "9007199254740993.000"}"#,
            r#"{"optionalInt64": "9007199254740993"}"#,
        ),
        (
            "Uint64Field, with an exponent below zero",
            r#"{"optionalUint64": "184467440737095516150e-1"}"#,
            r#"{"optionalUint64": "18446744073709551615"}"#,
        ),
        ("Int64FieldBeString", r#"{"optionalInt64": 1234}"#, r#"{"optionalInt64": "1234"}"#),
        ("Uint64FieldBeString", r#"{"optionalUint64": 1234}"#, r#"{"optionalUint64": "1234"}"#),
        (
            "Sint32, Sfixed32",
            r#"{"optionalSint32": -1, "optionalSfixed32": -2}"#,
            r#"{"optionalSint32": -1, "optionalSfixed32": -2}"#,
        ),
        (
            "Sint64, Sfixed64",
            r#"{"optionalSint64": -1, "optionalSfixed64": -2}"#,
            r#"{"optionalSint64": "-1", "optionalSfixed64": "-2"}"#,
        ),
        (
            "Fixed32, Fixed64",
            r#"{"optionalFixed32": 1, "optionalFixed64": 2}"#,
            r#"{"optionalFixed32": 1, "optionalFixed64": "2"}"#,
        ),
        ("Negative zero of an integer", r#"{"optionalInt32": -0}"#, "{}"),
    ]);
    refused(&[
        ("Int32FieldTooLarge", r#"{"optionalInt32": 2147483648}"#),
        ("Int32FieldTooSmall", r#"{"optionalInt32": -2147483649}"#),
        ("Uint32FieldTooLarge", r#"{"optionalUint32": 4294967296}"#),
        ("Int64FieldTooLarge", r#"{"optionalInt64": "9223372036854775808"}"#),
        ("Int64FieldTooSmall", r#"{"optionalInt64": "-9223372036854775809"}"#),
        ("Uint64FieldTooLarge", r#"{"optionalUint64": "18446744073709551616"}"#),
        ("Int64FieldTooLarge, as a float", r#"{"optionalInt64": 9.3e18}"#),
        (
            "Int64FieldNotInteger, far behind the point",
            r#"{"optionalInt64": "1.00000000000000000000000000000001"}"#,
        ),
        ("Int64FieldTooLarge, as a quoted exponent", r#"{"optionalInt64": "1e19"}"#),
        ("Int64FieldTooLarge, by far", r#"{"optionalInt64": "1e999999999999999999999"}"#),
        ("Int64Field, no digits", r#"{"optionalInt64": "."}"#),
        ("Int64Field, no digits behind the point", r#"{"optionalInt64": "1."}"#),
        ("Int64Field, no exponent", r#"{"optionalInt64": "1e"}"#),
        ("Int64Field, leading zero before a point", r#"{"optionalInt64": "01.0"}"#),
        ("Uint64 below zero", r#"{"optionalUint64": "-1"}"#),
        ("Int32FieldNotInteger", r#"{"optionalInt32": 0.5}"#),
        ("Uint32FieldNotInteger", r#"{"optionalUint32": 0.5}"#),
        ("Int64FieldNotInteger", r#"{"optionalInt64": "0.5"}"#),
        ("Uint64FieldNotInteger", r#"{"optionalUint64": "0.5"}"#),
        ("Int32FieldNotNumber", r#"{"optionalInt32": "3x3"}"#),
        ("Uint32FieldNotNumber", r#"{"optionalUint32": "3x3"}"#),
        ("Int64FieldNotNumber", r#"{"optionalInt64": "3x3"}"#),
        ("Uint64FieldNotNumber", r#"{"optionalUint64": "3x3"}"#),
        ("Int32FieldStringValuePartiallyNumeric", r#"{"optionalInt32": "12abc"}"#),
        ("Int32FieldStringValueNonNumeric", r#"{"optionalInt32": "abc"}"#),
        ("Int32FieldEmptyString", r#"{"optionalInt32": ""}"#),
        ("Int32FieldLeadingZero", r#"{"optionalInt32": 01}"#),
        ("Int32FieldNegativeWithLeadingZero", r#"{"optionalInt32": -01}"#),
        ("Int32FieldPlusSign", r#"{"optionalInt32": +1}"#),
        ("Int32FieldPlusSign, quoted", r#"{"optionalInt32": "+1"}"#),
        ("Int32FieldLeadingSpace", r#"{"optionalInt32": " 1"}"#),
        ("Int32FieldTrailingSpace", r#"{"optionalInt32": "1 "}"#),
        ("Int32FieldQuoted hexadecimal", r#"{"optionalInt32": "0x1"}"#),
        ("Int32 as a bool", r#"{"optionalInt32": true}"#),
        ("Int32 as a message", r#"{"optionalInt32": {}}"#),
    ]);
}

#[test]
fn bools() {
    taken(&[
        ("BoolFieldTrue", r#"{"optionalBool": true}"#, r#"{"optionalBool": true}"#),
        ("BoolFieldFalse", r#"{"optionalBool": false}"#, "{}"),
    ]);
    refused(&[
        ("BoolFieldIntegerZero", r#"{"optionalBool": 0}"#),
        ("BoolFieldIntegerOne", r#"{"optionalBool": 1}"#),
        ("BoolFieldCamelCaseTrue", r#"{"optionalBool": True}"#),
        ("BoolFieldCamelCaseFalse", r#"{"optionalBool": False}"#),
        ("BoolFieldAllCapitalTrue", r#"{"optionalBool": TRUE}"#),
        ("BoolFieldAllCapitalFalse", r#"{"optionalBool": FALSE}"#),
        ("BoolFieldDoubleQuotedTrue", r#"{"optionalBool": "true"}"#),
        ("BoolFieldDoubleQuotedFalse", r#"{"optionalBool": "false"}"#),
    ]);
}

#[test]
fn floats() {
    taken(&[
        (
            "FloatFieldMinPositiveValue",
            r#"{"optionalFloat": 1.175494e-38}"#,
            r#"{"optionalFloat": 1.175494e-38}"#,
        ),
        (
            "FloatFieldMaxNegativeValue",
            r#"{"optionalFloat": -1.175494e-38}"#,
            r#"{"optionalFloat": -1.175494e-38}"#,
        ),
        (
            "FloatFieldMaxPositiveValue",
            r#"{"optionalFloat": 3.402823e+38}"#,
            r#"{"optionalFloat": 3.402823e+38}"#,
        ),
        (
            "FloatFieldMinNegativeValue",
            r#"{"optionalFloat": -3.402823e+38}"#,
            r#"{"optionalFloat": -3.402823e+38}"#,
        ),
        ("FloatFieldQuotedValue", r#"{"optionalFloat": "1"}"#, r#"{"optionalFloat": 1.0}"#),
        (
            "FloatFieldQuotedExponentialValue",
            r#"{"optionalFloat": "1.175494e-38"}"#,
            r#"{"optionalFloat": 1.175494e-38}"#,
        ),
        ("FloatFieldNan", r#"{"optionalFloat": "NaN"}"#, r#"{"optionalFloat": "NaN"}"#),
        ("FloatFieldInfinity", r#"{"optionalFloat": "Infinity"}"#, r#"{"optionalFloat": "Infinity"}"#),
        (
            "FloatFieldNegativeInfinity",
            r#"{"optionalFloat": "-Infinity"}"#,
            r#"{"optionalFloat": "-Infinity"}"#,
        ),
        (
            "DoubleFieldMinPositiveValue",
            r#"{"optionalDouble": 2.22507e-308}"#,
            r#"{"optionalDouble": 2.22507e-308}"#,
        ),
        (
            "DoubleFieldMaxNegativeValue",
            r#"{"optionalDouble": -2.22507e-308}"#,
            r#"{"optionalDouble": -2.22507e-308}"#,
        ),
        (
            "DoubleFieldMaxPositiveValue",
            r#"{"optionalDouble": 1.79769e+308}"#,
            r#"{"optionalDouble": 1.79769e+308}"#,
        ),
        (
            "DoubleFieldMinNegativeValue",
            r#"{"optionalDouble": -1.79769e+308}"#,
            r#"{"optionalDouble": -1.79769e+308}"#,
        ),
        ("DoubleFieldQuotedValue", r#"{"optionalDouble": "1"}"#, r#"{"optionalDouble": 1.0}"#),
        (
            "DoubleFieldQuotedExponentialValue",
            r#"{"optionalDouble": "2.22507e-308"}"#,
            r#"{"optionalDouble": 2.22507e-308}"#,
        ),
        ("DoubleFieldNan", r#"{"optionalDouble": "NaN"}"#, r#"{"optionalDouble": "NaN"}"#),
        ("DoubleFieldInfinity", r#"{"optionalDouble": "Infinity"}"#, r#"{"optionalDouble": "Infinity"}"#),
        (
            "DoubleFieldNegativeInfinity",
            r#"{"optionalDouble": "-Infinity"}"#,
            r#"{"optionalDouble": "-Infinity"}"#,
        ),
    ]);
    refused(&[
        ("FloatFieldNanNotQuoted", r#"{"optionalFloat": NaN}"#),
        ("FloatFieldInfinityNotQuoted", r#"{"optionalFloat": Infinity}"#),
        ("FloatFieldNegativeInfinityNotQuoted", r#"{"optionalFloat": -Infinity}"#),
        ("FloatFieldTooSmall", r#"{"optionalFloat": -3.502823e+38}"#),
        ("FloatFieldTooLarge", r#"{"optionalFloat": 3.502823e+38}"#),
        ("FloatFieldTooLarge, quoted", r#"{"optionalFloat": "3.502823e+38"}"#),
        ("FloatFieldEmptyString", r#"{"optionalFloat": ""}"#),
        ("DoubleFieldNanNotQuoted", r#"{"optionalDouble": NaN}"#),
        ("DoubleFieldInfinityNotQuoted", r#"{"optionalDouble": Infinity}"#),
        ("DoubleFieldNegativeInfinityNotQuoted", r#"{"optionalDouble": -Infinity}"#),
        ("DoubleFieldTooSmall", r#"{"optionalDouble": -1.89769e+308}"#),
        ("DoubleFieldTooLarge", r#"{"optionalDouble": +1.89769e+308}"#),
        ("DoubleFieldTooLarge, without a sign", r#"{"optionalDouble": 1.89769e+308}"#),
        ("DoubleFieldTooLarge, quoted", r#"{"optionalDouble": "1.89769e+308"}"#),
        ("DoubleFieldNotNumber", r#"{"optionalDouble": "3x3"}"#),
    ]);
}

#[test]
fn enums() {
    taken(&[
        ("EnumField", r#"{"optionalNestedEnum": "FOO"}"#, "{}"),
        (
            "EnumField, not the default",
            r#"{"optionalNestedEnum": "BAR"}"#,
            r#"{"optionalNestedEnum": "BAR"}"#,
        ),
        (
            "EnumFieldWithAlias",
            r#"{"optionalAliasedEnum": "ALIAS_BAZ"}"#,
            r#"{"optionalAliasedEnum": "ALIAS_BAZ"}"#,
        ),
        (
            "EnumFieldWithAliasUseAlias",
            r#"{"optionalAliasedEnum": "MOO"}"#,
            r#"{"optionalAliasedEnum": "ALIAS_BAZ"}"#,
        ),
        (
            "EnumFieldWithAliasLowerCase",
            r#"{"optionalAliasedEnum": "moo"}"#,
            r#"{"optionalAliasedEnum": "ALIAS_BAZ"}"#,
        ),
        (
            "EnumFieldWithAliasDifferentCase",
            r#"{"optionalAliasedEnum": "bAz"}"#,
            r#"{"optionalAliasedEnum": "ALIAS_BAZ"}"#,
        ),
        ("EnumFieldNumericValueZero", r#"{"optionalNestedEnum": 0}"#, "{}"),
        ("EnumFieldNumericValueNonZero", r#"{"optionalNestedEnum": 1}"#, r#"{"optionalNestedEnum": "BAR"}"#),
        ("EnumFieldUnknownValue", r#"{"optionalNestedEnum": 123}"#, r#"{"optionalNestedEnum": 123}"#),
        ("Enum below zero", r#"{"optionalNestedEnum": -1}"#, r#"{"optionalNestedEnum": "NEG"}"#),
        (
            "EnumRepeatedField",
            r#"{"repeatedNestedEnum": ["FOO", "BAR", 2, 7]}"#,
            r#"{"repeatedNestedEnum": ["FOO", "BAR", "BAZ", 7]}"#,
        ),
    ]);
    refused(&[
        ("EnumFieldNotQuoted", r#"{"optionalNestedEnum": FOO}"#),
        ("EnumField, in another case", r#"{"optionalNestedEnum": "foo"}"#),
        ("EnumField, quoted number", r#"{"optionalNestedEnum": "1"}"#),
        ("EnumField, not whole", r#"{"optionalNestedEnum": 1.5}"#),
        ("EnumField, too large", r#"{"optionalNestedEnum": 2147483648}"#),
        ("EnumField, bool", r#"{"optionalNestedEnum": true}"#),
    ]);
}
