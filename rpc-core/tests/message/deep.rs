//! Messages that stand in themselves: up to the limit they are read, beyond it there is an error, and never does a thread
//! run out of stack, in a build without optimizations either.

use std::collections::BTreeMap;

use bytes::Bytes;
use rpc_core::message;
use rpc_core::message::Message;
use serde::de::DeserializeOwned;

use crate::{decode, encode};

/// A message that can hold itself in every way there is, with other fields beside, which make it large.
macro_rules! node {
    ($name:ident, $kind:ident: $($field:ident)*; $fields:ty) => {
        #[message]
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(crate) struct $name {
            pub(crate) next: Option<Box<$name>>,
            pub(crate) list: Vec<$name>,
            pub(crate) map: BTreeMap<String, $name>,
            pub(crate) kind: Option<Box<$kind>>,
            $(pub(crate) $field: $fields,)*
        }

        #[message]
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum $kind {
            Node(Box<$name>),
            Fields { node: Box<$name>, number: i32 },
        }
    };
}
node! { Small, SmallKind:; () }
node! { Medium, MediumKind: a0 a1 a2 a3 a4 a5 a6 a7; String }
node! { Large, LargeKind: a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 e0 e1 e2 e3 e4 e5 e6 e7 e8 e9 f0 f1 f2 f3 f4 f5 f6 f7 f8 f9 g0 g1 g2 g3 g4 g5 g6 g7 g8 g9 h0 h1 h2 h3 h4 h5 h6 h7 h8 h9; String }
node! { Huge, HugeKind: a b c d e; Option<Fields> }

macro_rules! fields {
    ($($field:ident)*) => {
        /// Two kilobytes, without what is in the strings.
        #[message]
        #[derive(Clone, Debug, Default, PartialEq)]
        pub(crate) struct Fields {
            $(pub(crate) $field: String,)*
        }
    };
}
fields! { a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 b0 b1 b2 b3 b4 b5 b6 b7 b8 b9 c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 d0 d1 d2 d3 d4 d5 d6 d7 d8 d9 e0 e1 e2 e3 e4 e5 e6 e7 e8 e9 f0 f1 f2 f3 f4 f5 f6 f7 f8 f9 g0 g1 g2 g3 g4 g5 g6 g7 g8 g9 h0 h1 h2 h3 h4 h5 h6 h7 h8 h9 }

/// How a message holds the next one: the JSON before and behind it, and the keys in protobuf, the outer one first.
const WAYS: [(&str, &str, &[u8]); 5] = [
    (r#"{"next":"#, "}", &[0x0a]),
    (r#"{"list":["#, "]}", &[0x12]),
    (r#"{"map":{"":"#, "}}", &[0x1a, 0x12]),
    (r#"{"kind":{"node":"#, "}}", &[0x22, 0x0a]),
    (r#"{"kind":{"fields":{"node":"#, "}}}", &[0x22, 0x12, 0x0a]),
];

/// As many messages as this within an outermost one, in JSON.
fn json(way: usize, depth: usize) -> String {
    let (before, behind, _) = WAYS[way];
    format!("{}{{}}{}", before.repeat(depth), behind.repeat(depth))
}

/// The same in protobuf.
fn protobuf(way: usize, depth: usize) -> Vec<u8> {
    // From the innermost one, and turned round in the end.
    let (mut bytes, mut head) = (Vec::new(), Vec::new());
    for _ in 0..depth {
        for key in WAYS[way].2.iter().rev() {
            head.clear();
            head.push(*key);
            prost::encoding::encode_varint(bytes.len() as u64, &mut head);
            bytes.extend(head.iter().rev());
        }
    }
    bytes.reverse();
    bytes
}

fn from_json<T: DeserializeOwned>(way: usize, depth: usize) -> Result<T, String> {
    serde_json::from_str(&json(way, depth)).map_err(|error| error.to_string())
}

fn from_protobuf<T: Message>(way: usize, depth: usize) -> Result<T, String> {
    decode(protobuf(way, depth)).map_err(|error| error.to_string())
}

/// Runs it on a thread as large as those of tokio.
fn on_a_thread(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(test).unwrap();
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

const TOO_DEEP: &str = "messages stand in each other more than 100 deep";
const TOO_LARGE: &str = "messages of this size stand in each other deeper than the stack could hold";

#[test]
fn a_hundred_levels_are_read_and_one_more_is_refused() {
    on_a_thread(|| {
        let mut chain = Small::default();
        for _ in 0..100 {
            chain = Small { next: Some(Box::new(chain)), ..Small::default() };
        }
        // Twice: what was read does not count for what comes.
        for _ in 0..2 {
            assert_eq!(from_protobuf::<Small>(0, 100).unwrap(), chain);
            assert_eq!(from_json::<Small>(0, 100).unwrap(), chain);
            assert_eq!(decode::<Small>(encode(&chain)).unwrap(), chain);
            let error = from_json::<Small>(0, 101).unwrap_err();
            assert!(error.starts_with(TOO_DEEP), "{error}");
            let error = from_protobuf::<Small>(0, 101).unwrap_err();
            assert!(error.ends_with(TOO_DEEP), "{error}");
        }
        assert!(from_protobuf::<Small>(1, 100).is_ok());
        assert!(from_protobuf::<Small>(1, 101).unwrap_err().ends_with(TOO_DEEP));
        // An enum is a message too, and so is the variant that looks like one; in protobuf also the entry of a map.
        for (way, most) in [(2, 50), (3, 50), (4, 33)] {
            assert!(from_protobuf::<Small>(way, most).is_ok());
            assert!(from_protobuf::<Small>(way, most + 1).unwrap_err().ends_with(TOO_DEEP));
        }
        for (way, most) in [(3, 50), (4, 33)] {
            assert!(from_json::<Small>(way, most).is_ok());
            assert!(from_json::<Small>(way, most + 1).unwrap_err().starts_with(TOO_DEEP));
        }
        // Lists and maps count for serde_json, which has lists and objects stand in each other 127 times.
        for way in [1, 2] {
            assert!(from_json::<Small>(way, 63).is_ok());
            let error = from_json::<Small>(way, 64).unwrap_err();
            assert!(error.starts_with("recursion limit exceeded at line 1"), "{error}");
        }
    });
}

#[test]
fn messages_side_by_side_are_not_deep() {
    on_a_thread(|| {
        let list = vec![Large { next: Some(Box::default()), ..Large::default() }; 1_000];
        let all = Large { list, ..Large::default() };
        assert_eq!(decode::<Large>(encode(&all)).unwrap(), all);
        assert_eq!(serde_json::from_str::<Large>(&serde_json::to_string(&all).unwrap()).unwrap(), all);
    });
}

fn is_clear(error: &str) -> bool {
    [TOO_DEEP, TOO_LARGE, "recursion limit exceeded"].iter().any(|what| error.contains(what))
        && error.len() < 1_000
}

/// Each depth is either read or refused, whatever the way.
fn bears<T: Message + DeserializeOwned + 'static>(at_least: usize) {
    on_a_thread(move || {
        for way in 0..WAYS.len() {
            for depth in (1..=130).chain([1_000]) {
                for result in [from_json::<T>(way, depth).err(), from_protobuf::<T>(way, depth).err()] {
                    match result {
                        None => assert!(depth <= 100),
                        Some(error) => {
                            assert!(depth > at_least, "way {way}, depth {depth}: {error}");
                            assert!(is_clear(&error), "{error}");
                        }
                    }
                }
            }
        }
    });
}

#[test]
fn no_depth_overflows_the_stack_whatever_the_size_of_the_message() {
    assert!(size_of::<Large>() > 1_900 && size_of::<Huge>() > 9_000);
    bears::<Small>(30);
    bears::<Medium>(30);
    bears::<Large>(10);
    bears::<Huge>(2);
}

#[test]
fn a_million_levels_are_refused() {
    fn refused<T: Message + DeserializeOwned + 'static>(json: &str, bytes: &Bytes) {
        for text in [json, &json[..json.len() / 2]] {
            assert!(is_clear(&serde_json::from_str::<T>(text).err().unwrap().to_string()));
        }
        assert!(is_clear(&T::decode(bytes.clone()).err().unwrap().to_string()));
    }
    on_a_thread(|| {
        for way in 0..WAYS.len() {
            let (json, bytes) = (json(way, 1_000_000), protobuf(way, 1_000_000).into());
            refused::<Small>(&json, &bytes);
            refused::<Medium>(&json, &bytes);
            refused::<Large>(&json, &bytes);
            refused::<Huge>(&json, &bytes);
        }
        // What the message does not have is passed over, however deep it is.
        let unknown = format!(r#"{{"unknown":{}1{}}}"#, "[".repeat(1_000_000), "]".repeat(1_000_000));
        assert_eq!(serde_json::from_str::<Small>(&unknown).unwrap(), Small::default());
    });
}
