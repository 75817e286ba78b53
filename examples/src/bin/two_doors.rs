//! One service, once as a trait and once from a `.proto`: a program of the one calls a program of the other.
//!
//! The trait takes arguments where the `.proto` has messages; on the wire they are the same. It also goes the other way
//! round: a trait says all that a `.proto` would, so the framework writes it down, for other languages.
//!
//! ```text
//! cargo run --bin two_doors
//! ```

use rpc_core::codec::{Json, Protobuf};
use rpc_core::{Channel, Server, Status, Streaming};

/// The first door: a trait, by hand.
pub mod by_hand {
    use rpc_core::{Status, Streaming, message, service};

    /// The same as in `proto/route/v1/route_guide.proto`, without the half of it.
    #[service(name = "route.v1.RouteGuide")]
    pub trait RouteGuide {
        /// The feature at a point.
        #[rpc(idempotent, timeout = "500ms")]
        async fn get_feature(&self, latitude: i32, longitude: i32) -> Result<Feature, Status>;

        /// The features between two corners.
        #[rpc(idempotent)]
        async fn list_features(&self, lo: Point, hi: Point) -> Result<Streaming<Feature>, Status>;
    }

    /// A point, in degrees times ten million.
    #[message]
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Point {
        /// North.
        pub latitude: i32,
        /// East.
        pub longitude: i32,
    }

    /// A named place.
    #[message]
    #[derive(Clone, Debug, PartialEq)]
    pub struct Feature {
        /// What it is called.
        pub name: String,
        /// Where it is; there may be none.
        pub location: Option<Point>,
    }
}

/// The second door: the trait that `build.rs` made of the `.proto`.
pub mod from_proto {
    include!(concat!(env!("OUT_DIR"), "/mod.rs"));

    pub use route::v1::*;
}

/// Serves the trait. It has one feature, and gives it to everybody.
struct ByHand;

impl by_hand::RouteGuide for ByHand {
    async fn get_feature(&self, latitude: i32, longitude: i32) -> Result<by_hand::Feature, Status> {
        let location = Some(by_hand::Point { latitude, longitude });
        Ok(by_hand::Feature { name: "by hand".into(), location })
    }

    async fn list_features(
        &self,
        lo: by_hand::Point,
        hi: by_hand::Point,
    ) -> Result<Streaming<by_hand::Feature>, Status> {
        let feature = |location| by_hand::Feature { name: "by hand".into(), location: Some(location) };
        Ok(Streaming::iter([lo, hi].map(feature)))
    }
}

/// Serves what came from the `.proto`, with the two methods that the trait knows.
struct FromProto;

impl from_proto::RouteGuide for FromProto {
    async fn get_feature(&self, request: from_proto::Point) -> Result<from_proto::Feature, Status> {
        Ok(from_proto::Feature { name: "from a .proto".into(), location: Some(request) })
    }

    async fn list_features(
        &self,
        request: from_proto::Rectangle,
    ) -> Result<Streaming<from_proto::Feature>, Status> {
        let feature = |location| from_proto::Feature { name: "from a .proto".into(), location };
        Ok(Streaming::iter([request.lo, request.hi].map(feature)))
    }

    async fn record_route(
        &self,
        _: Streaming<from_proto::Point>,
    ) -> Result<from_proto::RouteSummary, Status> {
        Err(Status::unimplemented("the trait does not know this one"))
    }

    async fn route_chat(
        &self,
        _: Streaming<from_proto::RouteNote>,
    ) -> Result<Streaming<from_proto::RouteNote>, Status> {
        Err(Status::unimplemented("nor this one"))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let by_hand = by_hand::RouteGuideServer::new(ByHand);
    let by_hand = Server::builder().service(by_hand).bind("127.0.0.1:0").await?;
    let from_proto = from_proto::RouteGuideServer::new(FromProto);
    let from_proto = Server::builder().service(from_proto).bind("127.0.0.1:0").await?;

    for codec in ["protobuf", "json"] {
        let channel = |server: &Server| match codec {
            "json" => Channel::builder(server.local_addr()).codec::<Json>().build(),
            _ => Channel::builder(server.local_addr()).codec::<Protobuf>().build(),
        };

        println!("{codec}: a client of the trait, a server from the .proto");
        let client = by_hand::RouteGuideClient::new(channel(&from_proto)?);
        let feature = client.get_feature(7, -7).await?;
        println!("  {feature:?}");
        assert_eq!(feature.name, "from a .proto");
        assert_eq!(feature.location, Some(by_hand::Point { latitude: 7, longitude: -7 }));
        let (lo, hi) =
            (by_hand::Point { latitude: 1, longitude: 2 }, by_hand::Point { latitude: 3, longitude: 4 });
        let mut features = client.list_features(lo, hi).await?;
        assert_eq!(features.next().await.transpose()?.and_then(|it| it.location), Some(lo));
        assert_eq!(features.next().await.transpose()?.and_then(|it| it.location), Some(hi));
        assert!(features.next().await.is_none());

        println!("{codec}: a client from the .proto, a server of the trait");
        let client = from_proto::RouteGuideClient::new(channel(&by_hand)?);
        let point = from_proto::Point { latitude: 7, longitude: -7 };
        let feature = client.get_feature(point).await?;
        println!("  {feature:?}");
        assert_eq!(feature, from_proto::Feature { name: "by hand".into(), location: Some(point) });
        let rectangle = from_proto::Rectangle { lo: Some(point), hi: Some(point) };
        let mut features = client.list_features(rectangle).await?;
        assert_eq!(features.next().await.transpose()?, Some(feature));
    }

    println!("and the trait as a .proto:");
    let files = rpc_core::export::proto_files([&by_hand::route_guide::DESCRIPTOR])?;
    for file in &files {
        println!("--- {}", file.path);
    }
    println!("{}", files[0].text);
    assert_eq!(files[0].path, "route/v1/route_guide.proto");
    assert!(files[0].text.contains("rpc ListFeatures(ListFeaturesRequest) returns (stream Feature) {"));
    Ok(())
}
