//! Where a message may be declared, and what may stand beside it.

use rpc_core::message;
use rpc_core::message::{DecodeError, Message};

use crate::{decode, encode};

#[test]
fn in_a_function() {
    #[message]
    struct Local {
        inner: Nested,
        nothing: Unit,
    }

    #[message]
    struct Nested {
        value: u32,
    }

    #[message]
    struct Unit;

    #[message]
    enum Choice {
        Local { it: Local, others: Vec<Self> },
        Empty {},
    }

    let value = Choice::Local {
        it: Local { inner: Nested { value: 7 }, nothing: Unit },
        others: vec![Choice::Empty {}],
    };
    match decode::<Choice>(encode(&value)) {
        Ok(Choice::Local { it, others }) => assert_eq!((it.inner.value, others.len()), (7, 1)),
        _ => panic!("another came back"),
    }
}

/// Names that the standard library also has mean what they mean here.
mod shadowed {
    #![allow(dead_code, reason = "they are there to be in the way")]

    use super::message;

    pub(super) struct Option;
    pub(super) struct Result;
    pub(super) struct Some;
    pub(super) struct String;
    pub(super) trait Default {}

    #[message]
    pub(super) struct Plain {
        pub(super) out: u32,
        pub(super) map: u32,
        pub(super) reader: std::string::String,
        pub(super) inner: std::option::Option<Box<Self>>,
    }

    #[message]
    pub(super) enum Either {
        Ok { out: u32, lives: bool },
        Err(Plain),
        None,
    }
}

#[test]
fn among_names_of_the_same_spelling() {
    use shadowed::{Either, Plain};
    let plain = Plain { out: 1, map: 2, reader: "a".into(), inner: None };
    match decode(encode(&Either::Err(plain))) {
        Ok(Either::Err(plain)) => assert_eq!((plain.out, plain.map), (1, 2)),
        _ => panic!("another came back"),
    }
    assert!(matches!(
        decode(encode(&Either::Ok { out: 0, lives: true })),
        Ok(Either::Ok { lives: true, .. })
    ));
    assert!(matches!(decode(encode(&Either::None)), Ok(Either::None)));
}

/// A message of prost's with serde's traits becomes a field by one line, which generated code holds.
#[derive(Clone, PartialEq, prost::Message, serde::Serialize, serde::Deserialize)]
struct Foreign {
    #[prost(int32, repeated, tag = "1")]
    numbers: Vec<i32>,
}
rpc_core::private::field::message_field!(Foreign);

#[message]
struct Holder {
    one: Foreign,
    many: Vec<Foreign>,
}

#[test]
fn around_messages_of_prosts() -> Result<(), DecodeError> {
    let value = Holder { one: Foreign { numbers: vec![1, 2] }, many: vec![Foreign::default()] };
    let back = Holder::decode(encode(&value))?;
    assert_eq!((back.one.numbers, back.many.len()), (vec![1, 2], 1));
    // In two parts, which prost gets as one.
    let back = decode::<Holder>([0x0a, 2, 0x08, 1, 0x0a, 2, 0x08, 2])?;
    assert_eq!(back.one.numbers, [1, 2]);
    Ok(())
}

/// Derives may stand above as well as below.
#[derive(Clone, Debug, Default, PartialEq)]
#[message]
struct Above {
    #[message(tag = 2)]
    r#type: u32,
    kind: Option<Raw>,
}

/// Any number at all.
#[message]
#[derive(Clone, Debug, PartialEq)]
enum Raw {
    #[message(other)]
    Number(i32),
}

/// Numbers with a layout of their own.
#[message]
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(u8)]
enum Byte {
    r#False,
    r#True = 200,
}

#[message]
#[derive(Debug, PartialEq)]
enum Keyword {
    r#Match { r#type: Byte, r#fn: Raw },
}

#[test]
fn among_other_attributes() {
    let above = Above { r#type: 3, kind: Some(Raw::Number(-5)) };
    assert_eq!(decode(encode(&above)), Ok(above.clone()));
    let json = serde_json::to_string(&above).unwrap_or_default();
    assert_eq!(json, r#"{"type":3,"kind":-5}"#);
    let keyword = Keyword::r#Match { r#type: Byte::r#True, r#fn: Raw::Number(0) };
    assert_eq!(decode(encode(&keyword)), Ok(Keyword::r#Match { r#type: Byte::r#True, r#fn: Raw::Number(0) }));
    assert_eq!(serde_json::to_string(&keyword).ok().as_deref(), Some(r#"{"match":{"type":"BYTE_TRUE"}}"#));
    assert_eq!(Byte::r#True as u8, 200);
}
