//! Codecs: protobuf, JSON, and one of the user's, from the same trait.

use bytes::{BufMut, Bytes, BytesMut};
use rpc_core::codec::{Codec, CodecError, Json, Protobuf};
use rpc_core::{Certainty, Channel, Code, Request, Server, Status, message, service};
use serde::{Deserialize, Serialize};

use crate::support::{Bed, LabClient, bench, drained, quiet};

/// MessagePack: a codec of the user's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pack;

impl<T: Serialize + for<'de> Deserialize<'de>> Codec<T> for Pack {
    const ID: u8 = 64;
    const NAME: &'static str = "msgpack";

    fn encode(value: &T, out: &mut BytesMut) -> Result<(), CodecError> {
        rmp_serde::encode::write_named(&mut out.writer(), value).map_err(CodecError::new)
    }

    fn decode(bytes: Bytes) -> Result<T, CodecError> {
        rmp_serde::from_slice(&bytes).map_err(CodecError::new)
    }
}

#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Parcel {
    pub(crate) parcel_id: u64,
    pub(crate) seal: Vec<u8>,
    pub(crate) size: Size,
    pub(crate) label: Option<String>,
}

#[message]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Size {
    Unspecified,
    Small,
    VeryLarge,
}

/// Speaks all three.
#[service(name = "test.Post", codecs(Protobuf, Json, Pack))]
pub(crate) trait Post {
    async fn send(&self, parcel: Parcel) -> Result<Parcel, Status>;
    async fn count(&self, parcels: u32, weight: f64) -> Result<u64, Status>;
    #[rpc(oneway)]
    async fn lose(&self, parcel: Parcel) -> Result<(), Status>;
}

/// Speaks only its own.
#[service(name = "test.Packed", codecs(Pack))]
pub(crate) trait Packed {
    async fn add(&self, a: i64, b: i64) -> Result<i64, Status>;
    #[rpc(oneway)]
    async fn forget(&self, a: i64) -> Result<(), Status>;
}

struct Office;

impl Post for Office {
    async fn send(&self, parcel: Parcel) -> Result<Parcel, Status> {
        Ok(parcel)
    }

    async fn count(&self, parcels: u32, weight: f64) -> Result<u64, Status> {
        Ok(u64::from(parcels) * weight as u64)
    }

    async fn lose(&self, _: Parcel) -> Result<(), Status> {
        Ok(())
    }
}

impl Packed for Office {
    async fn add(&self, a: i64, b: i64) -> Result<i64, Status> {
        Ok(a + b)
    }

    async fn forget(&self, _: i64) -> Result<(), Status> {
        Ok(())
    }
}

fn parcel() -> Parcel {
    Parcel {
        parcel_id: u64::MAX,
        seal: vec![0, 255, 7],
        size: Size::VeryLarge,
        label: Some("fragile".into()),
    }
}

#[test]
fn one_trait_speaks_every_codec_by_call_and_by_channel() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(PostServer::new(Office))).await;
        let post = PostClient::connect(server.local_addr()).await.unwrap();
        assert_eq!(post.send(parcel()).await.unwrap(), parcel());
        assert_eq!(post.send(parcel()).codec::<Protobuf>().await.unwrap(), parcel());
        assert_eq!(post.send(parcel()).codec::<Json>().await.unwrap(), parcel());
        assert_eq!(post.send(parcel()).codec::<Pack>().await.unwrap(), parcel());
        assert_eq!(post.count(3, 2.5).codec::<Pack>().await.unwrap(), 6);

        let json = PostClient::new(Channel::builder(server.local_addr()).codec::<Json>().build().unwrap());
        let pack = PostClient::new(Channel::builder(server.local_addr()).codec::<Pack>().build().unwrap());
        for post in [json, pack] {
            assert_eq!(post.send(parcel()).await.unwrap(), parcel());
            assert_eq!(post.count(3, 2.0).await.unwrap(), 6);
            post.lose(parcel()).await.unwrap();
            quiet(&server, post.channel()).await;
        }
        drop(post);
        drained(server).await;
    });
}

#[test]
fn a_service_may_speak_nothing_but_a_codec_of_the_users() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(PackedServer::new(Office))).await;
        let packed = PackedClient::connect(server.local_addr()).await.unwrap();
        assert_eq!(packed.add(-2, 5).await.unwrap(), 3);
        packed.forget(1).await.unwrap();
        quiet(&server, packed.channel()).await;
        drop(packed);
        drained(server).await;
    });
}

#[test]
fn a_codec_that_the_server_does_not_have_is_answered_with_those_it_has() {
    bench(async |bench| {
        let pair = bench.pair(Bed::echoing()).await;
        // A call names its codec, whatever the client's description of the service says.
        let status = pair.client.echo("x".into()).codec::<Pack>().await.unwrap_err();
        assert_eq!(
            (status.code(), status.certainty()),
            (Code::Unimplemented, Certainty::NotExecuted),
            "{status}"
        );
        assert!(status.message().contains("protobuf, json"), "{status}");

        // A channel's codec is looked for in the description, which does not have it.
        let channel = Channel::builder(pair.server.local_addr()).codec::<Pack>().build().unwrap();
        let status = LabClient::new(channel).echo("x".into()).await.unwrap_err();
        assert_eq!(
            (status.code(), status.certainty()),
            (Code::Unimplemented, Certainty::NotSent),
            "{status}"
        );
        assert!(status.message().contains("protobuf, json"), "{status}");
        pair.finish().await;
    });
}

#[test]
fn json_on_the_wire_is_that_of_proto3() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(PostServer::new(Office))).await;
        let channel = Channel::connect(server.local_addr()).await.unwrap();
        let send = |method: &'static str, body: &'static str| {
            let method = post::DESCRIPTOR.method(method).unwrap();
            channel.send(Request::new(method, 1, body))
        };
        let body =
            r#"{"parcelId":"18446744073709551615","seal":"AP8H","size":"SIZE_VERY_LARGE","label":"fragile"}"#;
        let reply = send("Send", body).await.unwrap();
        assert_eq!(std::str::from_utf8(reply.body()).unwrap(), body);

        // Numbers for 64-bit fields, names as the proto has them, and unknown fields are read, too.
        let reply = send("Send", r#"{"parcel_id":7,"size":"SIZE_SMALL","new":[1]}"#).await.unwrap();
        let text = std::str::from_utf8(reply.body()).unwrap();
        assert!(text.contains(r#""parcelId":"7""#) && text.contains(r#""size":"SIZE_SMALL""#), "{text}");

        let reply = send("Count", r#"{"parcels":3,"weight":2}"#).await.unwrap();
        assert_eq!(reply.body(), r#"{"value":"6"}"#);

        let status = send("Send", "{").await.unwrap_err();
        assert_eq!((status.code(), status.certainty()), (Code::InvalidArgument, Certainty::NotExecuted));
        quiet(&server, &channel).await;
        drop(channel);
        drained(server).await;
    });
}
