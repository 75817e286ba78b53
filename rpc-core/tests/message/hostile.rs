//! Wrong bytes are an error that says what is wrong: never a panic, never memory for a length that was only claimed.

use proptest::collection::vec;
use proptest::prelude::*;
use rpc_core::codec::{Codec, Json};
use rpc_core::message::Message;

use crate::types::{Everything, Scalars, Shape, everything};
use crate::{decode, encode};

fn error<T: Message>(bytes: impl AsRef<[u8]>) -> String {
    match decode::<T>(bytes) {
        Ok(_) => panic!("these bytes must not pass"),
        Err(error) => error.to_string(),
    }
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..200)) {
        let _ = decode::<Everything>(&bytes);
        let _ = decode::<Scalars>(&bytes);
        let _ = decode::<Shape>(&bytes);
        let _ = <Json as Codec<Everything>>::decode(bytes.into());
    }

    #[test]
    fn plausible_keys_with_random_values_do_no_harm(
        fields in vec((1u8..22, 0u8..8, vec(any::<u8>(), 0..12)), 0..20)
    ) {
        let mut bytes = Vec::new();
        for (tag, wire, value) in fields {
            bytes.extend([(tag << 3 | wire) | if tag > 15 { 0x80 } else { 0 }, tag >> 4]);
            bytes.extend(value);
        }
        let _ = decode::<Everything>(&bytes);
        let _ = decode::<Scalars>(&bytes);
        let _ = decode::<Shape>(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn cut_and_flipped_messages_do_no_harm(value in everything(), at in any::<prop::sample::Index>(), mask in 1u8..) {
        let bytes = encode(&value);
        for end in 0..bytes.len() {
            let _ = Everything::decode(bytes.slice(..end));
        }
        let mut flipped = bytes.to_vec();
        let at = at.index(flipped.len());
        flipped[at] ^= mask;
        let _ = decode::<Everything>(flipped);

        let json = serde_json::to_vec(&value)?;
        for end in (0..json.len()).step_by(7) {
            prop_assert!(serde_json::from_slice::<Everything>(&json[..end]).is_err());
        }
    }
}

#[test]
fn a_cut_value_says_so() {
    assert_eq!(error::<Scalars>([0x10]), "Scalars.small: the bytes end within a value");
    assert_eq!(error::<Scalars>([0x10, 0x80]), "Scalars.small: the bytes end within a value");
    assert_eq!(error::<Scalars>([0x35, 1, 2, 3]), "Scalars.ratio: the bytes end within a value");
    assert_eq!(error::<Scalars>([0x80]), "Scalars: the bytes end within a value");
}

#[test]
fn a_length_is_held_against_what_is_there() {
    assert_eq!(
        error::<Scalars>([0x42, 3, b'a']),
        "Scalars.display_name: a value of 3 bytes, but only 1 are left"
    );
    // 2^64 - 1, as a string, as a list and as a message.
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    for (key, field) in
        [(0x22, "children"), (0x2a, "numbers"), (0x4a, "words"), (0x52, "blobs"), (0x0a, "origin")]
    {
        let text = error::<Everything>([&[key][..], &huge].concat());
        assert_eq!(text, format!("Everything.{field}: a value of {} bytes, but only 0 are left", u64::MAX));
    }
}

#[test]
fn keys_and_varints_out_of_range_are_refused() {
    assert_eq!(error::<Scalars>([0x00]), "Scalars: 0 is no field number");
    assert_eq!(error::<Scalars>([0x0e]), "Scalars: 6 is no wire type");
    assert_eq!(error::<Scalars>([0x80, 0x80, 0x80, 0x80, 0x10]), "Scalars: 536870912 is no field number");
    let eleven = [&[0x10][..], &[0xff; 10], &[1]].concat();
    assert_eq!(error::<Scalars>(eleven), "Scalars.small: a varint of more than 64 bits");
    let ten = [&[0x10][..], &[0xff; 9], &[2]].concat();
    assert_eq!(error::<Scalars>(ten), "Scalars.small: a varint of more than 64 bits");
}

#[test]
fn wrong_types_are_named() {
    assert_eq!(error::<Scalars>([0x12, 0]), "Scalars.small: wire type Len where the type has Varint");
    assert_eq!(error::<Scalars>([0x40, 0]), "Scalars.display_name: wire type Varint where the type has Len");
    assert_eq!(
        error::<Everything>([0x2d, 0, 0, 0, 0]),
        "Everything.numbers: wire type Fixed32 where the type has Varint"
    );
    assert_eq!(error::<Shape>([0x08, 0]), "Shape.circle: wire type Varint where the type has Len");
}

#[test]
fn text_is_utf8() {
    assert!(
        error::<Scalars>([0x42, 1, 0xff]).starts_with("Scalars.display_name: a string that is not UTF-8: ")
    );
}

#[test]
fn groups_must_close() {
    assert_eq!(error::<Scalars>([0xfb, 7]), "Scalars: the bytes end within a value");
    assert_eq!(error::<Scalars>([0xfc, 7]), "Scalars: group 127 ends here, but is not open");
    assert_eq!(error::<Scalars>([0xfb, 7, 0x0c]), "Scalars: group 1 ends here, but is not open");
}

#[test]
fn depth_is_bounded() {
    // A message in `parent` in `parent`, each with the origin that must be there.
    let nested = |depth: usize| {
        (0..depth).fold(vec![0x0a, 0], |inner, _| {
            let mut outer = vec![0x0a, 0, 0x1a];
            prost::encoding::encode_varint(inner.len() as u64, &mut outer);
            outer.extend(inner);
            outer
        })
    };
    assert!(decode::<Everything>(nested(99)).is_ok());
    assert!(error::<Everything>(nested(100)).ends_with("messages stand in each other more than 100 deep"));
    assert!(error::<Everything>(nested(5_000)).ends_with("messages stand in each other more than 100 deep"));

    // Open groups, which are only skipped, a million deep.
    let groups = [0xfb, 7].repeat(1_000_000);
    assert!(error::<Scalars>(groups).ends_with("messages stand in each other more than 100 deep"));

    let json = format!("{}{}", r#"{"origin":{},"parent":"#.repeat(5_000), "}".repeat(5_000));
    assert!(serde_json::from_str::<Everything>(&json).is_err());
}

#[test]
fn a_message_in_many_parts_costs_no_more_than_its_bytes() {
    // Half a million occurrences of one field: merging them pairwise would take minutes.
    let mut bytes = vec![0x0a, 0];
    bytes.extend([0x1a, 2, 0x28, 1].repeat(500_000));
    bytes.extend([0x1a, 2, 0x0a, 0]);
    let message: Everything = decode(bytes).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(message.parent.map(|parent| parent.numbers.len()), Some(500_000));
}
