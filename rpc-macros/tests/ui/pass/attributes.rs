//! What the attributes say arrives in the description; what the user wrote beside them stays.

#![deny(warnings)]

use std::time::Duration;

use rpc_core::codec::{Codec, CodecError};
use rpc_core::{Status, service};

/// A codec of the user's, under a name that is ours: a longer path is the user's.
mod packed {
    use bytes::{Bytes, BytesMut};

    use super::{Codec, CodecError};

    pub struct Json;

    impl<T> Codec<T> for Json {
        const ID: u8 = 70;
        const NAME: &'static str = "packed";

        fn encode(_: &T, _: &mut BytesMut) -> Result<(), CodecError> {
            Ok(())
        }

        fn decode(_: Bytes) -> Result<T, CodecError> {
            Err(CodecError::new("never"))
        }
    }

    #[allow(dead_code)]
    pub struct Protobuf;
}
#[allow(unused_imports)]
use packed::Protobuf;

/// Greets.
///
/// In many words.
#[service(name = "demo.v1.Greeter", codecs(Json, Protobuf, packed::Json))]
#[allow(clippy::too_many_arguments)]
pub trait Greeter {
    /// Says hello.
    #[rpc(name = "SayHello", idempotent)]
    #[rpc(timeout = "200ms")]
    async fn hello(&self, name: String) -> Result<String, Status>;

    #[rpc(oneway, spawn, idempotent, timeout = "2m")]
    async fn note(&self, text: String) -> Result<(), Status>;

    #[deprecated = "say hello"]
    async fn hi(&self) -> Result<(), Status>;
}

/// All of these the client has for itself.
#[service(codecs(Json))]
pub trait Awkward {
    async fn new(&self) -> Result<(), Status>;
    async fn connect(&self, target: String) -> Result<(), Status>;
    async fn local(&self) -> Result<(), Status>;
    async fn channel(&self) -> Result<(), Status>;
    async fn clone(&self) -> Result<(), Status>;
}

fn awkward(client: &AwkwardClient) {
    let _call = client.new_();
    let _call = client.connect_("here".into());
    let _call = (client.local_(), client.channel_(), client.clone_());
    let _same = Clone::clone(client);
    let _future = Awkward::new(client);
}

fn main() {
    let _ = awkward;
    let greeter = &greeter::DESCRIPTOR;
    assert_eq!((greeter.name, greeter.docs), ("demo.v1.Greeter", "Greets.\n\nIn many words."));
    let codecs: Vec<_> = greeter.codecs.iter().map(|codec| (codec.id, codec.name)).collect();
    assert_eq!(codecs, [(1, "json"), (0, "protobuf"), (70, "packed")]);

    let hello = greeter.method("SayHello").unwrap();
    assert_eq!((hello.path, hello.index), ("demo.v1.Greeter/SayHello", 0));
    assert_eq!((hello.idempotent, hello.oneway, hello.spawn), (true, false, false));
    assert_eq!(hello.timeout, Some(Duration::from_millis(200)));

    let note = greeter.method("Note").unwrap();
    assert_eq!((note.idempotent, note.oneway, note.spawn), (true, true, true));
    assert_eq!((note.index, note.timeout), (1, Some(Duration::from_secs(120))));
}
