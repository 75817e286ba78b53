//! A client of the one calls a server of the other, both ways, in both codecs.

use std::collections::{BTreeMap, HashMap};

use rpc_core::codec::{Json, Protobuf};
use rpc_core::{Channel, Code, Server, Status, Streaming};
use tokio::sync::mpsc;

use crate::contract::{self, Point, Record, Shape};
use crate::generated::round::{place, v1};
use crate::values::full;

/// The trait, by hand.
struct ByHand(mpsc::UnboundedSender<String>);

impl contract::Everything for ByHand {
    async fn nothing(&self) -> Result<(), Status> {
        Ok(())
    }

    async fn echo(&self, record: Record) -> Result<Record, Status> {
        Ok(record)
    }

    async fn join(
        &self,
        words: Vec<String>,
        count: u32,
        by: Option<i64>,
        raw: Vec<u8>,
        flags: BTreeMap<bool, u64>,
    ) -> Result<String, Status> {
        Ok(format!("{words:?} {count} {by:?} {raw:?} {flags:?}"))
    }

    async fn divide_by_two(&self, value: i64) -> Result<Option<f64>, Status> {
        Ok((value != 0).then_some(value as f64 / 2.0))
    }

    async fn turn(&self, shape: Shape) -> Result<Shape, Status> {
        Ok(shape)
    }

    async fn tell(&self, text: String) -> Result<(), Status> {
        self.0.send(text).map_err(|_| Status::internal("nobody listens"))
    }

    async fn connect(&self, r#type: String) -> Result<Vec<Point>, Status> {
        Ok(vec![Point { x: r#type.len() as f64, y: 0.0 }])
    }

    async fn up(&self, mut points: Streaming<Point>) -> Result<Record, Status> {
        let mut record = Record::default();
        while let Some(point) = points.next().await {
            record.points.push(point?);
        }
        Ok(record)
    }

    async fn down(&self, from: Point, count: u32) -> Result<Streaming<Point>, Status> {
        let points = (0..count).map(move |n| Ok(Point { x: from.x + f64::from(n), y: from.y }));
        Ok(Streaming::iter(points.chain([Err(Status::out_of_range("the end"))])))
    }

    async fn both(&self, shapes: Streaming<Shape>) -> Result<Streaming<Shape>, Status> {
        Ok(shapes)
    }

    async fn words(&self, mut words: Streaming<String>) -> Result<Streaming<Option<u64>>, Status> {
        let (sender, lengths) = Streaming::channel(1);
        rpc_core::spawn(async move {
            while let Some(word) = words.next().await {
                let length = word?.len() as u64;
                sender.send((length > 0).then_some(length)).await?;
            }
            Ok::<(), Status>(())
        });
        Ok(lengths)
    }

    async fn pulse(&self, beats: Streaming<()>) -> Result<Streaming<()>, Status> {
        Ok(beats)
    }
}

/// The trait that came from the .proto.
struct FromProto(mpsc::UnboundedSender<String>);

impl v1::Everything for FromProto {
    async fn nothing(&self) -> Result<(), Status> {
        Ok(())
    }

    async fn echo(&self, request: v1::Record) -> Result<v1::Record, Status> {
        Ok(request)
    }

    async fn join(&self, it: v1::JoinRequest) -> Result<v1::JoinReply, Status> {
        let flags: BTreeMap<_, _> = it.flags.into_iter().collect();
        let value = format!("{:?} {} {:?} {:?} {flags:?}", it.words, it.count, it.by, it.raw);
        Ok(v1::JoinReply { value })
    }

    async fn half(&self, request: v1::HalfRequest) -> Result<v1::HalfReply, Status> {
        Ok(v1::HalfReply { value: (request.value != 0).then_some(request.value as f64 / 2.0) })
    }

    async fn turn(&self, request: v1::Shape) -> Result<v1::Shape, Status> {
        Ok(request)
    }

    async fn tell(&self, request: v1::TellRequest) -> Result<(), Status> {
        self.0.send(request.text).map_err(|_| Status::internal("nobody listens"))
    }

    async fn connect(&self, request: v1::ConnectRequest) -> Result<v1::ConnectReply, Status> {
        Ok(v1::ConnectReply { value: vec![place::Point { x: request.r#type.len() as f64, y: 0.0 }] })
    }

    async fn up(&self, mut requests: Streaming<place::Point>) -> Result<v1::Record, Status> {
        // The trait says that `point` must be there.
        let mut record = v1::Record { point: Some(place::Point::default()), ..Default::default() };
        while let Some(point) = requests.next().await {
            record.points.push(point?);
        }
        Ok(record)
    }

    async fn down(&self, request: v1::DownRequest) -> Result<Streaming<place::Point>, Status> {
        let from = request.from.ok_or_else(|| Status::invalid_argument("from where?"))?;
        let points =
            (0..request.count).map(move |n| Ok(place::Point { x: from.x + f64::from(n), y: from.y }));
        Ok(Streaming::iter(points.chain([Err(Status::out_of_range("the end"))])))
    }

    async fn both(&self, requests: Streaming<v1::Shape>) -> Result<Streaming<v1::Shape>, Status> {
        Ok(requests)
    }

    async fn words(
        &self,
        mut requests: Streaming<v1::WordsRequest>,
    ) -> Result<Streaming<v1::WordsReply>, Status> {
        let (sender, lengths) = Streaming::channel(1);
        rpc_core::spawn(async move {
            while let Some(word) = requests.next().await {
                let length = word?.value.len() as u64;
                sender.send(v1::WordsReply { value: (length > 0).then_some(length) }).await?;
            }
            Ok::<(), Status>(())
        });
        Ok(lengths)
    }

    async fn pulse(&self, requests: Streaming<()>) -> Result<Streaming<()>, Status> {
        Ok(requests)
    }
}

/// The items of a stream, and its error if it ends with one.
async fn all<T>(mut items: Streaming<T>) -> (Vec<T>, Option<Status>) {
    let mut found = Vec::new();
    while let Some(item) = items.next().await {
        match item {
            Ok(item) => found.push(item),
            Err(error) => return (found, Some(error)),
        }
    }
    (found, None)
}

fn numbered<T>(count: u32, make: fn(f64, f64) -> T) -> Vec<T> {
    (0..count).map(|n| make(f64::from(n), -0.5)).collect()
}

/// Channels in each codec to what listens at the server's address.
fn channels(server: &Server) -> [Channel; 2] {
    [
        Channel::builder(server.local_addr()).codec::<Protobuf>().build().unwrap(),
        Channel::builder(server.local_addr()).codec::<Json>().build().unwrap(),
    ]
}

#[tokio::test]
async fn a_client_of_the_trait_calls_a_server_from_the_proto() {
    let (sender, mut told) = mpsc::unbounded_channel();
    let server = v1::EverythingServer::new(FromProto(sender));
    let server = Server::builder().service(server).bind("127.0.0.1:0").await.unwrap();
    for channel in channels(&server) {
        let client = contract::EverythingClient::new(channel);
        client.nothing().await.unwrap();
        assert_eq!(client.echo(full(1)).await.unwrap(), full(1));
        let words = vec!["a".to_owned(), String::new()];
        let joined = client.join(words, 7, Some(-1), vec![0, 255], BTreeMap::from([(false, 1), (true, 0)]));
        assert_eq!(joined.await.unwrap(), r#"["a", ""] 7 Some(-1) [0, 255] {false: 1, true: 0}"#);
        assert_eq!(client.divide_by_two(3).await.unwrap(), Some(1.5));
        assert_eq!(client.divide_by_two(0).await.unwrap(), None);
        for shape in full(0).shapes {
            assert_eq!(client.turn(shape.clone()).await.unwrap(), shape);
        }
        client.tell("psst".to_owned()).await.unwrap();
        assert_eq!(told.recv().await.as_deref(), Some("psst"));
        assert_eq!(client.connect_("four".to_owned()).await.unwrap(), [Point { x: 4.0, y: 0.0 }]);
    }
}

#[tokio::test]
async fn a_client_from_the_proto_calls_a_server_of_the_trait() {
    let (sender, mut told) = mpsc::unbounded_channel();
    let server = contract::EverythingServer::new(ByHand(sender));
    let server = Server::builder().service(server).bind("127.0.0.1:0").await.unwrap();
    for channel in channels(&server) {
        let client = v1::EverythingClient::new(channel);
        client.nothing().await.unwrap();
        let record = v1::Record {
            display_name: "Ann".to_owned(),
            shared: vec![1],
            level: v1::Level::High.into(),
            // The trait says that it must be there.
            point: Some(place::Point { x: 1.0, y: 2.0 }),
            by_name: HashMap::from([("a".to_owned(), place::Point::default())]),
            shape: Some(Box::new(v1::Shape { kind: Some(v1::shape::Kind::Nothing(())) })),
            ..Default::default()
        };
        assert_eq!(client.echo(record.clone()).await.unwrap(), record);
        let error = client.echo(v1::Record::default()).await.unwrap_err();
        assert!(error.message().contains("point"), "{error}");
        let request = v1::JoinRequest { words: vec!["a".to_owned()], by: None, ..Default::default() };
        assert_eq!(client.join(request).await.unwrap().value, r#"["a"] 0 None [] {}"#);
        assert_eq!(client.half(v1::HalfRequest { value: 5 }).await.unwrap().value, Some(2.5));
        client.tell(v1::TellRequest { text: "psst".to_owned() }).await.unwrap();
        assert_eq!(told.recv().await.as_deref(), Some("psst"));
        let request = v1::ConnectRequest { r#type: "four".to_owned() };
        assert_eq!(client.connect_(request).await.unwrap().value, [place::Point { x: 4.0, y: 0.0 }]);
    }
}

#[tokio::test]
async fn streams_of_the_trait_meet_streams_from_the_proto() {
    let server = v1::EverythingServer::new(FromProto(mpsc::unbounded_channel().0));
    let server = Server::builder().service(server).bind("127.0.0.1:0").await.unwrap();
    for channel in channels(&server) {
        let client = contract::EverythingClient::new(channel);
        let points = numbered(100, |x, y| Point { x, y });
        assert_eq!(client.up(Streaming::iter(points.clone())).await.unwrap().points, points);
        let (found, end) = all(client.down(points[0].clone(), 100).await.unwrap()).await;
        assert_eq!((found, end.map(|end| end.code())), (points, Some(Code::OutOfRange)));
        let shapes = full(0).shapes;
        let (found, end) = all(client.both(Streaming::iter(shapes.clone())).await.unwrap()).await;
        assert!(found == shapes && end.is_none(), "{end:?}");
        let words = Streaming::iter(["four", "", "üü"].map(str::to_owned));
        assert_eq!(all(client.words(words).await.unwrap()).await.0, [Some(4), None, Some(4)]);
        assert_eq!(all(client.pulse(Streaming::iter([(), ()])).await.unwrap()).await.0, [(), ()]);
    }
}

#[tokio::test]
async fn streams_from_the_proto_meet_streams_of_the_trait() {
    let server = contract::EverythingServer::new(ByHand(mpsc::unbounded_channel().0));
    let server = Server::builder().service(server).bind("127.0.0.1:0").await.unwrap();
    for channel in channels(&server) {
        let client = v1::EverythingClient::new(channel);
        let points = numbered(100, |x, y| place::Point { x, y });
        assert_eq!(client.up(Streaming::iter(points.clone())).await.unwrap().points, points);
        let request = v1::DownRequest { from: Some(points[0]), count: 100 };
        let (found, end) = all(client.down(request).await.unwrap()).await;
        assert_eq!((found, end.map(|end| end.code())), (points, Some(Code::OutOfRange)));
        // Without what the trait says must be there, the call does not begin.
        let end = match client.down(v1::DownRequest::default()).await {
            Ok(items) => all(items).await.1.unwrap(),
            Err(error) => error,
        };
        assert!(end.message().contains("from"), "{end}");
        let shapes = [v1::Shape { kind: Some(v1::shape::Kind::Text("t".to_owned())) }];
        let (found, end) = all(client.both(Streaming::iter(shapes.clone())).await.unwrap()).await;
        assert!(found == shapes && end.is_none(), "{end:?}");
        let words = Streaming::iter(["four", ""].map(|word| v1::WordsRequest { value: word.to_owned() }));
        let lengths: Vec<_> = all(client.words(words).await.unwrap()).await.0;
        assert_eq!(lengths, [Some(4), None].map(|value| v1::WordsReply { value }));
        assert_eq!(all(client.pulse(Streaming::iter([(), ()])).await.unwrap()).await.0, [(), ()]);
    }
}
