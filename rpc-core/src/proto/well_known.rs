//! The well-known types whose JSON is not that of their fields.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{self, SystemTime, UNIX_EPOCH};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};

use super::time as text;

const NANOS: i32 = 1_000_000_000;

/// A point in time, since the start of 1970 in UTC. JSON: `"2026-01-31T12:00:00.500Z"`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message)]
pub struct Timestamp {
    /// Whole seconds since 1970-01-01T00:00:00Z; may be negative.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds that count forward from there, 0 to 999,999,999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A span of time, forward or back. JSON: `"1.500s"`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Duration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds, with the sign of the seconds if those are not 0.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// Which fields of a message are meant. JSON: `"user.displayName,photo"`.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FieldMask {
    /// Names as in the .proto, with dots between them.
    #[prost(string, repeated, tag = "1")]
    pub paths: Vec<String>,
}

/// A JSON object.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Struct {
    /// Its members.
    #[prost(btree_map = "string, message", tag = "1")]
    pub fields: BTreeMap<String, Value>,
}

/// Any JSON value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// What it is; one that is nothing cannot be written as JSON.
    #[prost(oneof = "value::Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<value::Kind>,
}

/// What is nested in [`Value`].
pub mod value {
    /// What a JSON value is.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// `null`.
        #[prost(enumeration = "super::NullValue", tag = "1")]
        NullValue(i32),
        /// A number; it must be finite to be written as JSON.
        #[prost(double, tag = "2")]
        NumberValue(f64),
        /// A string.
        #[prost(string, tag = "3")]
        StringValue(String),
        /// `true` or `false`.
        #[prost(bool, tag = "4")]
        BoolValue(bool),
        /// An object.
        #[prost(message, tag = "5")]
        StructValue(super::Struct),
        /// A list.
        #[prost(message, tag = "6")]
        ListValue(super::ListValue),
    }
}

/// A JSON list.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListValue {
    /// Its elements.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// JSON's `null`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum NullValue {
    /// The one that there is.
    NullValue = 0,
}

impl NullValue {
    /// The name in the .proto.
    pub fn as_str_name(&self) -> &'static str {
        "NULL_VALUE"
    }

    /// The value with this name in the .proto.
    pub fn from_str_name(value: &str) -> Option<Self> {
        (value == "NULL_VALUE").then_some(Self::NullValue)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(at: SystemTime) -> Self {
        match at.duration_since(UNIX_EPOCH) {
            Ok(after) => Self { seconds: after.as_secs() as i64, nanos: after.subsec_nanos() as i32 },
            Err(before) => {
                let before = before.duration();
                let (seconds, nanos) = (-(before.as_secs() as i64), before.subsec_nanos() as i32);
                match nanos {
                    0 => Self { seconds, nanos },
                    nanos => Self { seconds: seconds - 1, nanos: NANOS - nanos },
                }
            }
        }
    }
}

impl TryFrom<Timestamp> for SystemTime {
    type Error = OutOfRange;

    fn try_from(at: Timestamp) -> Result<Self, OutOfRange> {
        let nanos = u32::try_from(at.nanos).ok().filter(|nanos| *nanos < NANOS as u32).ok_or(OutOfRange)?;
        let seconds = time::Duration::from_secs(at.seconds.unsigned_abs());
        let whole =
            if at.seconds < 0 { UNIX_EPOCH.checked_sub(seconds) } else { UNIX_EPOCH.checked_add(seconds) };
        whole.and_then(|whole| whole.checked_add(time::Duration::new(0, nanos))).ok_or(OutOfRange)
    }
}

impl TryFrom<time::Duration> for Duration {
    type Error = OutOfRange;

    fn try_from(span: time::Duration) -> Result<Self, OutOfRange> {
        let seconds = i64::try_from(span.as_secs()).map_err(|_| OutOfRange)?;
        Ok(Self { seconds, nanos: span.subsec_nanos() as i32 })
    }
}

impl TryFrom<Duration> for time::Duration {
    type Error = OutOfRange;

    fn try_from(span: Duration) -> Result<Self, OutOfRange> {
        let seconds = u64::try_from(span.seconds).map_err(|_| OutOfRange)?;
        let nanos = u32::try_from(span.nanos).ok().filter(|nanos| *nanos < NANOS as u32).ok_or(OutOfRange)?;
        Ok(Self::new(seconds, nanos))
    }
}

/// A time that the other type has no value for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time is out of range")
    }
}

impl std::error::Error for OutOfRange {}

/// A type that is one string in JSON.
struct Text<T>(&'static str, fn(&str) -> Option<T>);

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = text::timestamp(self.seconds, self.nanos);
        serializer.serialize_str(
            &text.ok_or_else(|| S::Error::custom("the timestamp is not in the years 1 to 9999"))?,
        )
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: &str| text::parse_timestamp(text).map(|(seconds, nanos)| Self { seconds, nanos });
        deserializer.deserialize_str(Text("a time of RFC 3339, as \"2026-01-31T12:00:00Z\"", parse))
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = text::duration(self.seconds, self.nanos);
        serializer.serialize_str(&text.ok_or_else(|| S::Error::custom("the duration is out of range"))?)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parse = |text: &str| text::parse_duration(text).map(|(seconds, nanos)| Self { seconds, nanos });
        deserializer.deserialize_str(Text("a duration in seconds, as \"1.5s\"", parse))
    }
}

impl Serialize for FieldMask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = String::new();
        for (index, path) in self.paths.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            let mut chars = path.chars();
            while let Some(c) = chars.next() {
                // Only what reading turns back into the same path.
                let next = match c {
                    '_' => chars.next().filter(char::is_ascii_lowercase).map(|c| c.to_ascii_uppercase()),
                    c => Some(c).filter(|c| !c.is_ascii_uppercase()),
                };
                out.push(
                    next.ok_or_else(|| S::Error::custom(format_args!("the path `{path}` has no JSON form")))?,
                );
            }
        }
        serializer.serialize_str(&out)
    }
}

impl<'de> Deserialize<'de> for FieldMask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn parse(text: &str) -> Option<FieldMask> {
            let path = |path: &str| {
                let mut out = String::with_capacity(path.len() + 4);
                for c in path.chars() {
                    match c {
                        '_' => return None,
                        c if c.is_ascii_uppercase() => out.extend(['_', c.to_ascii_lowercase()]),
                        c => out.push(c),
                    }
                }
                Some(out)
            };
            let paths = text.split(',').filter(|_| !text.is_empty()).map(path).collect::<Option<_>>()?;
            Some(FieldMask { paths })
        }
        deserializer.deserialize_str(Text("paths in lowerCamelCase with commas between them", parse))
    }
}

impl Serialize for Struct {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.fields)
    }
}

impl<'de> Deserialize<'de> for Struct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Struct;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Struct, A::Error> {
                object(map)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

fn object<'de, A: MapAccess<'de>>(mut map: A) -> Result<Struct, A::Error> {
    let mut fields = BTreeMap::new();
    while let Some((key, value)) = map.next_entry::<String, Value>()? {
        if fields.insert(key, value).is_some() {
            return Err(de::Error::custom("the object has the same key twice"));
        }
    }
    Ok(Struct { fields })
}

fn list<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<ListValue, A::Error> {
    let mut values = Vec::new();
    while let Some(value) = seq.next_element()? {
        values.push(value);
    }
    Ok(ListValue { values })
}

impl Serialize for ListValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.values)
    }
}

impl<'de> Deserialize<'de> for ListValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;

        impl<'de> Visitor<'de> for Elements {
            type Value = ListValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<ListValue, A::Error> {
                list(seq)
            }
        }

        deserializer.deserialize_seq(Elements)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use value::Kind;
        match &self.kind {
            None => Err(S::Error::custom("the value is nothing, not even null")),
            Some(Kind::NullValue(_)) => serializer.serialize_unit(),
            Some(Kind::NumberValue(number)) if !number.is_finite() => {
                Err(S::Error::custom("a value that is a number must be finite"))
            }
            Some(Kind::NumberValue(number)) => serializer.serialize_f64(*number),
            Some(Kind::StringValue(text)) => serializer.serialize_str(text),
            Some(Kind::BoolValue(flag)) => serializer.serialize_bool(*flag),
            Some(Kind::StructValue(object)) => object.serialize(serializer),
            Some(Kind::ListValue(list)) => list.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use value::Kind;
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Kind;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }

            fn visit_unit<E>(self) -> Result<Kind, E> {
                Ok(Kind::NullValue(0))
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Kind, E> {
                Ok(Kind::BoolValue(flag))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Kind, E> {
                Ok(Kind::NumberValue(number as f64))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Kind, E> {
                Ok(Kind::NumberValue(number as f64))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Kind, E> {
                Ok(Kind::NumberValue(number))
            }

            fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
                Ok(Kind::StringValue(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Kind, E> {
                Ok(Kind::StringValue(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Kind, A::Error> {
                list(seq).map(Kind::ListValue)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Kind, A::Error> {
                object(map).map(Kind::StructValue)
            }
        }

        deserializer.deserialize_any(Any).map(|kind| Self { kind: Some(kind) })
    }
}

/// An object without members: what `google.protobuf.Empty` is.
pub(super) fn write_empty<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_map(Some(0))?.end()
}
