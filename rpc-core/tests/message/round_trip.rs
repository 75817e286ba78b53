//! Every value comes back, in each codec.

use std::fmt::Debug;

use proptest::prelude::*;
use rpc_core::codec::{Codec, Json, Protobuf};
use rpc_core::message::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::types::{everything, scalars, shape};

fn comes_back<T>(value: &T) -> Result<(), TestCaseError>
where
    T: Message + Serialize + DeserializeOwned + Debug + PartialEq,
{
    let mut out = bytes::BytesMut::new();
    Protobuf::encode(value, &mut out)?;
    prop_assert_eq!(out.len(), value.encoded_len());
    prop_assert_eq!(value, &<Protobuf as Codec<T>>::decode(out.freeze())?);

    let mut out = bytes::BytesMut::new();
    Json::encode(value, &mut out)?;
    let back = <Json as Codec<T>>::decode(out.clone().freeze());
    prop_assert_eq!(value, &back?, "{}", String::from_utf8_lossy(&out));

    // A format of someone else's, over the same traits of serde.
    let pack = rmp_serde::to_vec(value)?;
    prop_assert_eq!(value, &rmp_serde::from_slice(&pack)?);
    Ok(())
}

proptest! {
    #[test]
    fn scalars_come_back(value in scalars()) {
        comes_back(&value)?;
    }

    #[test]
    fn shapes_come_back(value in shape()) {
        comes_back(&value)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn everything_comes_back(value in everything()) {
        comes_back(&value)?;
    }
}
