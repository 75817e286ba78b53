//! `#[message]`: what it writes must agree with prost, with proto3's JSON, and with itself, and must bear any bytes.
//!
//! | file | what it asks |
//! |---|---|
//! | `types` | the messages, their twins in prost, and how to make arbitrary ones |
//! | `round_trip` | does every value come back, in each codec? |
//! | `compatible` | do prost and we read each other? |
//! | `hostile` | what do wrong bytes do? |
//! | `deep` | what do messages in messages in messages do? |
//! | `absent` | what does a missing field say? |
//! | `json` | which JSON is read, and which is written? |
//! | `schema` | does the description fit? |
//! | `places` | where may a message be declared? |

mod absent;
mod compatible;
mod deep;
mod hostile;
mod json;
mod places;
mod round_trip;
mod schema;
mod types;

use bytes::{Bytes, BytesMut};
use rpc_core::message::{DecodeError, Message};

fn encode<T: Message>(value: &T) -> Bytes {
    let mut out = BytesMut::new();
    value.encode(&mut out);
    assert_eq!(out.len(), value.encoded_len(), "the length is known beforehand");
    out.freeze()
}

fn decode<T: Message>(bytes: impl AsRef<[u8]>) -> Result<T, DecodeError> {
    T::decode(Bytes::copy_from_slice(bytes.as_ref()))
}
