//! prost and we read each other, of the same schema.

use bytes::Bytes;
use proptest::prelude::*;
use rpc_core::message::Message;

use crate::types::{
    Color, Everything, EverythingTwin, PointTwin, RectTwin, Scalars, ScalarsTwin, Shape, ShapeKind,
    ShapeTwin, bare, everything, scalars, shape,
};
use crate::{decode, encode};

/// Our bytes through prost and back; and where no map's order matters, the same bytes.
fn through<T: Message + PartialEq + std::fmt::Debug, P: prost::Message + Default>(
    value: &T,
) -> Result<P, TestCaseError> {
    let twin = P::decode(encode(value))?;
    let back = T::decode(Bytes::from(twin.encode_to_vec()))?;
    prop_assert_eq!(value, &back);
    prop_assert_eq!(value.encoded_len(), prost::Message::encoded_len(&twin));
    Ok(twin)
}

proptest! {
    #[test]
    fn scalars_are_prosts(value in scalars()) {
        // prost leaves out a minus zero, which protobuf does not.
        prop_assume!(value.ratio.to_bits() != (-0f32).to_bits() && value.exact.to_bits() != (-0f64).to_bits());
        let twin: ScalarsTwin = through(&value)?;
        prop_assert_eq!(encode(&value), encode(&twin));
        prop_assert_eq!(value.large, twin.large);
        prop_assert_eq!(value.display_name, twin.display_name);
    }

    #[test]
    fn shapes_are_prosts(value in shape()) {
        let twin = ShapeTwin::decode(encode(&value))?;
        prop_assert_eq!(value, decode(encode(&twin))?);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everything_is_prosts(value in everything()) {
        let twin = EverythingTwin::decode(encode(&value))?;
        prop_assert_eq!(value, decode(encode(&twin))?);
    }
}

#[test]
fn each_variant_is_the_member_of_its_name() {
    let of = |shape: &Shape| ShapeTwin::decode(encode(shape)).map(|twin| twin.kind);
    assert_eq!(of(&Shape::Text(String::new())), Ok(Some(ShapeKind::Text(String::new()))));
    assert_eq!(of(&Shape::Nothing), Ok(Some(ShapeKind::Nothing(()))));
    assert_eq!(of(&Shape::Tinted(Color::Red)), Ok(Some(ShapeKind::Tinted(0))));
    let rect = Shape::Rect { w: 0, h: 7, corner: crate::types::Point { x: 1.0, y: 0.0 } };
    let twin = RectTwin { w: 0, h: 7, corner: Some(PointTwin { x: 1.0, y: 0.0 }) };
    assert_eq!(of(&rect), Ok(Some(ShapeKind::Rect(twin))));
}

#[test]
fn bytes_are_a_slice_of_the_input() -> Result<(), rpc_core::message::DecodeError> {
    let input = encode(&Scalars { shared: Bytes::from(vec![7; 100]), ..Scalars::default() });
    let message = Scalars::decode(input.clone())?;
    assert!(input.as_ptr_range().contains(&message.shared.as_ptr()), "nothing was copied");
    Ok(())
}

#[test]
fn lists_are_read_packed_and_not_even_mixed() -> Result<(), rpc_core::message::DecodeError> {
    // numbers = 1; numbers = [2, 3]; numbers = 4, after the point that must be there.
    let message: Everything = decode([0x0a, 0, 0x28, 1, 0x2a, 2, 2, 3, 0x28, 4])?;
    assert_eq!(message.numbers, [1, 2, 3, 4]);
    let message: Everything = decode([0x0a, 0, 0x3d, 0, 0, 0x80, 0x3f, 0x3a, 4, 0, 0, 0, 0x40])?;
    assert_eq!(message.floats, [1.0, 2.0]);
    Ok(())
}

#[test]
fn a_message_that_comes_twice_is_merged() -> Result<(), rpc_core::message::DecodeError> {
    // origin = { x: 1 }, origin = { y: 2 }; parent = { numbers: 1 }, parent = { origin: {}, numbers: 2 }.
    let (x, y) = (1f64.to_le_bytes(), 2f64.to_le_bytes());
    let bytes =
        [&[0x0a, 9, 0x09][..], &x, &[0x0a, 9, 0x11], &y, &[0x1a, 2, 0x28, 1], &[0x1a, 4, 0x0a, 0, 0x28, 2]]
            .concat();
    let message: Everything = decode(&bytes)?;
    assert_eq!((message.origin.x, message.origin.y), (1.0, 2.0));
    let parent = message.parent.clone().expect("it came");
    assert_eq!(parent.numbers, [1, 2], "what must be there may be in either half");

    // prost agrees.
    let twin = <EverythingTwin as prost::Message>::decode(&bytes[..])
        .map_err(rpc_core::message::DecodeError::from)?;
    assert_eq!(message, decode(encode(&twin))?);
    Ok(())
}

#[test]
fn the_last_scalar_and_the_last_member_win() -> Result<(), rpc_core::message::DecodeError> {
    assert_eq!(decode::<Scalars>([0x10, 1, 0x10, 2])?.small, 2);
    // circle, then text, then circle again: nothing of the first circle is left.
    let x = 1f64.to_le_bytes();
    let bytes = [&[0x0a, 9, 0x09][..], &x, &[0x12, 1, b'a'], &[0x0a, 0]].concat();
    assert_eq!(decode::<Shape>(bytes)?, Shape::Circle(crate::types::Point { x: 0.0, y: 0.0 }));
    Ok(())
}

#[test]
fn unknown_fields_and_groups_are_passed_over() -> Result<(), rpc_core::message::DecodeError> {
    let fields = [
        &[0x0a, 0][..],                           // origin
        &[0xf8, 7, 0x81, 1],                      // 127: varint
        &[0xf9, 7, 1, 2, 3, 4, 5, 6, 7, 8],       // 127: eight bytes
        &[0xfd, 7, 1, 2, 3, 4],                   // 127: four bytes
        &[0xfa, 7, 2, 0xff, 0xff],                // 127: two bytes
        &[0xfb, 7, 0x08, 1, 0x13, 0x14, 0xfc, 7], // 127: a group with a group in it
    ];
    assert_eq!(decode::<Everything>(fields.concat())?, bare());
    Ok(())
}

/// A message that is nothing but bytes takes the input as it is; whoever wrote it in another way is read all the same.
#[test]
fn bytes_that_are_alone_are_the_input_or_read_like_any() {
    #[rpc_core::message]
    #[derive(Clone, PartialEq, Debug)]
    struct Low {
        shared: Bytes,
    }

    #[rpc_core::message]
    #[derive(Clone, PartialEq, Debug)]
    struct High {
        #[message(tag = 16)]
        shared: Option<Bytes>,
    }

    for len in [0, 1, 100, 127, 128, 20_000] {
        let shared = Bytes::from(vec![7; len]);
        let input = encode(&Low { shared: shared.clone() });
        let back = Low::decode(input.clone()).unwrap();
        assert_eq!(back.shared, shared);
        assert!(len == 0 || back.shared.as_ptr_range().end == input.as_ptr_range().end, "{len} were copied");
        let high = High { shared: Some(shared) };
        assert_eq!(decode(encode(&high)), Ok(high));
    }
    assert_eq!(decode([]), Ok(High { shared: None }));

    let low = |input: &[u8]| decode::<Low>(input).ok().map(|low| low.shared.to_vec());
    assert_eq!(low(b"\x0a\x82\x00ab"), Some(b"ab".to_vec()), "a length that is longer than it need be");
    assert_eq!(low(b"\x0a\x01a\x0a\x02bc"), Some(b"bc".to_vec()), "the last one counts");
    assert_eq!(low(b"\x0a\x01a\x10\x07"), Some(b"a".to_vec()), "something unknown follows");
    assert_eq!(low(b"\x12\x01a"), Some(Vec::new()), "only something unknown");
    assert_eq!(low(b"\x0a"), None);
    assert_eq!(low(b"\x0a\x02a"), None);
    assert_eq!(low(b"\x0a\x80"), None);
    assert_eq!(low(b"\x08\x01"), None, "a number");
    let high = |input: &[u8]| decode::<High>(input).ok().map(|high| high.shared);
    assert_eq!(high(b"\x82\x01\x01a"), Some(Some(Bytes::from_static(b"a"))));
    assert_eq!(high(b"\x82\x02\x01a"), Some(None), "the first byte of the key alone says nothing");
}
