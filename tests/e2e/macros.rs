//! The macros, end to end: every shape of argument and reply over a real connection, in both codecs.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use contract::{Item, Store, StoreClient, StoreServer};
use rpc_core::codec::{Json, Protobuf};
use rpc_core::{Channel, Code, RpcError, Server, Status, message, service};

use crate::support::{Bench, bench, drained, ms, quiet};

#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

#[message]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Colour {
    None,
    Red,
    DarkGreen,
}

/// One of several: a message with a oneof.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Circle { centre: Point, radius: f64 },
    Line { from: Point, to: Point },
    Text(String),
    Nothing,
}

#[message]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Drawing {
    pub(crate) name: String,
    pub(crate) colour: Colour,
    pub(crate) shapes: Vec<Shape>,
    pub(crate) layers: HashMap<String, Point>,
    pub(crate) parent: Option<Box<Self>>,
    pub(crate) raw: Bytes,
    pub(crate) version: i64,
    pub(crate) thumbnail: Option<Vec<u8>>,
}

/// Every shape of method.
#[service(name = "test.Studio", codecs(Protobuf, Json))]
#[allow(clippy::wrong_self_convention)] // A method may be called `new`, too.
pub(crate) trait Studio {
    async fn nothing(&self) -> Result<(), Status>;
    async fn body(&self, drawing: Drawing) -> Result<Drawing, Status>;
    async fn several(&self, name: String, size: u32, on: bool, scale: f32) -> Result<String, Status>;
    async fn numbers(&self, a: i32, b: i64, c: u32, d: u64) -> Result<u64, Status>;
    async fn option(&self, point: Option<Point>) -> Result<Option<Point>, Status>;
    async fn list(&self, shapes: Vec<Shape>) -> Result<Vec<Shape>, Status>;
    async fn map(&self, points: HashMap<String, Point>) -> Result<BTreeMap<i32, String>, Status>;
    async fn r#match(&self, r#type: String) -> Result<bool, Status>;
    async fn new(&self, name: String) -> Result<String, Status>;
    #[cfg(unix)]
    async fn here(&self) -> Result<u32, Status>;
    #[cfg(not(unix))]
    async fn elsewhere(&self) -> Result<Missing, Status>;
}

#[derive(Clone)]
struct Real;

impl Studio for Real {
    async fn nothing(&self) -> Result<(), Status> {
        Ok(())
    }

    async fn body(&self, drawing: Drawing) -> Result<Drawing, Status> {
        Ok(drawing)
    }

    async fn several(&self, name: String, size: u32, on: bool, scale: f32) -> Result<String, Status> {
        Ok(format!("{name} {size} {on} {scale}"))
    }

    async fn numbers(&self, a: i32, b: i64, c: u32, d: u64) -> Result<u64, Status> {
        assert_eq!((a, b, c), (i32::MIN, i64::MIN, u32::MAX));
        Ok(d)
    }

    async fn option(&self, point: Option<Point>) -> Result<Option<Point>, Status> {
        Ok(point)
    }

    async fn list(&self, shapes: Vec<Shape>) -> Result<Vec<Shape>, Status> {
        Ok(shapes)
    }

    async fn map(&self, points: HashMap<String, Point>) -> Result<BTreeMap<i32, String>, Status> {
        Ok(points.into_iter().map(|(name, point)| (point.x as i32, name)).collect())
    }

    async fn r#match(&self, r#type: String) -> Result<bool, Status> {
        Ok(r#type == "fn")
    }

    async fn new(&self, name: String) -> Result<String, Status> {
        Ok(format!("new {name}"))
    }

    #[cfg(unix)]
    async fn here(&self) -> Result<u32, Status> {
        Ok(7)
    }
}

fn drawing() -> Drawing {
    let centre = Point { x: -1.5, y: 0.0 };
    let inner = Drawing {
        name: String::new(),
        colour: Colour::None,
        shapes: vec![],
        layers: HashMap::new(),
        parent: None,
        raw: Bytes::new(),
        version: 0,
        thumbnail: None,
    };
    Drawing {
        name: "a \"drawing\" – ünïcode".into(),
        colour: Colour::DarkGreen,
        shapes: vec![
            Shape::Circle { centre: centre.clone(), radius: f64::INFINITY },
            Shape::Line { from: centre.clone(), to: Point { x: 0.1, y: 1e300 } },
            Shape::Text(String::new()),
            Shape::Nothing,
        ],
        layers: [("back".to_owned(), centre)].into(),
        parent: Some(Box::new(inner)),
        raw: Bytes::from_static(&[0, 1, 0xfe, 0xff]),
        version: i64::MIN,
        thumbnail: Some(vec![]),
    }
}

async fn both(bench: &Bench) -> (Server, [StudioClient; 2]) {
    let server = bench.serve(Server::builder().service(StudioServer::new(Real))).await;
    let builder = || Channel::builder(server.local_addr());
    let clients = [builder().codec::<Protobuf>().build(), builder().codec::<Json>().build()];
    (server, clients.map(|channel| StudioClient::new(channel.unwrap())))
}

#[test]
fn every_shape_of_method_works_in_both_codecs() {
    bench(async |bench| {
        let (server, clients) = both(&bench).await;
        for client in clients {
            client.nothing().await.unwrap();
            assert_eq!(client.body(drawing()).await.unwrap(), drawing());
            assert_eq!(client.several("n".into(), 3, true, 0.5).await.unwrap(), "n 3 true 0.5");
            assert_eq!(client.numbers(i32::MIN, i64::MIN, u32::MAX, u64::MAX).await.unwrap(), u64::MAX);
            for point in [None, Some(Point { x: 0.0, y: 0.0 }), Some(Point { x: 1.0, y: -2.0 })] {
                assert_eq!(client.option(point.clone()).await.unwrap(), point);
            }
            assert_eq!(client.list(drawing().shapes).await.unwrap(), drawing().shapes);
            assert_eq!(client.list(vec![]).await.unwrap(), []);
            let points =
                [("a".to_owned(), Point { x: 1.0, y: 0.0 }), ("b".to_owned(), Point { x: -2.0, y: 0.0 })];
            let names = [(1, "a".to_owned()), (-2, "b".to_owned())];
            assert_eq!(client.map(points.into()).await.unwrap(), names.into());
            assert!(
                client.r#match("fn".into()).await.unwrap() && !client.r#match(String::new()).await.unwrap()
            );
            assert_eq!(client.new_("thing".into()).await.unwrap(), "new thing");
            #[cfg(unix)]
            assert_eq!(client.here().await.unwrap(), 7);
            quiet(&server, client.channel()).await;
        }
        drained(server).await;
    });
}

#[test]
fn a_client_is_its_trait_and_so_is_a_decorator() {
    async fn twice(studio: &impl Studio) -> Result<String, Status> {
        let one = studio.several("a".into(), 1, false, 1.0).await?;
        let two = Studio::new(studio, one).await?;
        Ok(two)
    }

    bench(async |bench| {
        let (server, [remote, _]) = both(&bench).await;
        let local = StudioClient::local(Real);
        let expected = "new a 1 false 1";
        assert_eq!(twice(&Real).await.unwrap(), expected);
        assert_eq!(twice(&remote).await.unwrap(), expected);
        assert_eq!(twice(&local).await.unwrap(), expected);
        assert_eq!(local.body(drawing()).codec::<Json>().timeout(ms(500)).await.unwrap(), drawing());

        // A client can be served: a proxy in two words.
        let proxy = bench.serve(Server::builder().service(StudioServer::new(remote.clone()))).await;
        let through = StudioClient::connect(proxy.local_addr()).await.unwrap();
        assert_eq!(twice(&through).await.unwrap(), expected);
        quiet(&proxy, through.channel()).await;
        quiet(&server, remote.channel()).await;
        drop((through, remote, local));
        drained(proxy).await;
        drained(server).await;
    });
}

/// A namesake of the other one's method.
#[service(name = "test.One")]
pub(crate) trait One {
    async fn name(&self) -> Result<String, Status>;
}

/// A namesake of the other one's method.
#[service(name = "test.Two")]
pub(crate) trait Two {
    async fn name(&self) -> Result<String, Status>;
}

struct Both;

impl One for Both {
    async fn name(&self) -> Result<String, Status> {
        Ok("one".into())
    }
}

impl Two for Both {
    async fn name(&self) -> Result<String, Status> {
        Ok("two".into())
    }
}

#[derive(Default)]
struct Shelf(std::sync::Mutex<BTreeMap<String, u64>>);

impl Store for Shelf {
    async fn put(&self, item: Item) -> Result<u64, Status> {
        let mut shelf = self.0.lock().unwrap();
        let count = shelf.entry(item.name).or_default();
        *count += item.count;
        Ok(*count)
    }

    async fn find(&self, name: String) -> Result<Option<Item>, Status> {
        Ok(self.0.lock().unwrap().get(&name).map(|count| Item { name, count: *count }))
    }
}

#[test]
fn a_server_has_many_services_and_equal_names_of_methods_do_not_meet() {
    bench(async |bench| {
        let builder = Server::builder()
            .service(OneServer::new(Both))
            .service(TwoServer::new(Both))
            .service(StoreServer::new(Shelf::default()))
            .service(StudioServer::new(Real));
        let server = bench.serve(builder).await;
        let channel = Channel::connect(server.local_addr()).await.unwrap();
        assert_eq!(OneClient::new(channel.clone()).name().await.unwrap(), "one");
        assert_eq!(TwoClient::new(channel.clone()).name().await.unwrap(), "two");
        let store = StoreClient::new(channel.clone());
        assert_eq!(store.find("apple".into()).await.unwrap(), None);
        assert_eq!(store.put(Item { name: "apple".into(), count: 2 }).await.unwrap(), 2);
        assert_eq!(store.put(Item { name: "apple".into(), count: 1 }).await.unwrap(), 3);
        assert_eq!(store.find("apple".into()).await.unwrap().unwrap().count, 3);
        StudioClient::new(channel.clone()).nothing().await.unwrap();
        assert_eq!(server.snapshot().connections, 1);
        let paths: Vec<_> = server.snapshot().methods.iter().map(|method| method.path).collect();
        assert_eq!(
            paths,
            [
                "contract.v1.Store/Find",
                "contract.v1.Store/Put",
                "test.One/Name",
                "test.Studio/Nothing",
                "test.Two/Name"
            ]
        );
        quiet(&server, &channel).await;
        drop((store, channel));
        drained(server).await;
    });
}

#[test]
fn two_services_of_one_name_do_not_start() {
    bench(async |_| {
        let builder = Server::builder().service(OneServer::new(Both)).service(OneServer::new(Both));
        let error = builder.bind("127.0.0.1:0").await.unwrap_err().to_string();
        assert!(error.contains("test.One"), "{error}");
    });
}

#[derive(Debug, RpcError)]
#[rpc(name = "test.BankError")]
pub(crate) enum BankError {
    #[rpc(code = "not_found", message = "no account {id}")]
    NoSuchAccount { id: u64 },
    #[rpc(code = "failed_precondition", message = "only {0} of {1}")]
    TooLittle(u64, String),
    #[rpc(code = "unavailable")]
    OnHoliday,
    #[rpc(status)]
    Other(Status),
}

/// Has an error of its own.
#[service(name = "test.Bank", codecs(Protobuf, Json))]
pub(crate) trait Bank {
    async fn take(&self, id: u64) -> Result<u64, BankError>;
}

struct Open;

impl Bank for Open {
    async fn take(&self, id: u64) -> Result<u64, BankError> {
        match id {
            0 => Ok(1),
            1 => Err(BankError::TooLittle(3, "ten".into())),
            2 => Err(BankError::OnHoliday),
            _ => Err(BankError::NoSuchAccount { id }),
        }
    }
}

#[test]
fn an_error_of_the_users_arrives_with_its_fields_in_both_codecs() {
    bench(async |bench| {
        let server = bench.serve(Server::builder().service(BankServer::new(Open))).await;
        let bank = BankClient::connect(server.local_addr()).await.unwrap();
        for json in [false, true] {
            let take = |id| if json { bank.take(id).codec::<Json>() } else { bank.take(id) };
            assert_eq!(take(0).await.unwrap(), 1);
            assert!(matches!(take(1).await, Err(BankError::TooLittle(3, of)) if of == "ten"));
            assert!(matches!(take(2).await, Err(BankError::OnHoliday)));
            assert!(matches!(take(u64::MAX).await, Err(BankError::NoSuchAccount { id: u64::MAX })));
        }
        let BankError::Other(status) = bank.take(0).timeout(ms(0)).await.unwrap_err() else { panic!() };
        assert_eq!(status.code(), Code::DeadlineExceeded);
        quiet(&server, bank.channel()).await;
        drop(bank);
        drained(server).await;
    });
}
