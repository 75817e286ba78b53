//! A service from a `.proto` file, with a method of each of the four shapes.
//!
//! `build.rs` makes a trait of `proto/route/v1/route_guide.proto`: one that a person could have written, so that all else
//! is as with any other. The example is gRPC's own, for those who know it.
//!
//! ```text
//! cargo run --bin route_guide
//! ```

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use rpc_core::{Server, Status, Streaming};

// What `build.rs` wrote: a module for each package.
include!(concat!(env!("OUT_DIR"), "/mod.rs"));

use route::v1::{
    Feature, Point, Rectangle, RouteGuide, RouteGuideClient, RouteGuideServer, RouteNote, RouteSummary,
};

/// The map, and the notes that travellers have left on it.
struct Guide {
    features: Vec<Feature>,
    notes: std::sync::Arc<Mutex<HashMap<Point, Vec<RouteNote>>>>,
}

impl RouteGuide for Guide {
    async fn get_feature(&self, request: Point) -> Result<Feature, Status> {
        let found = self.features.iter().find(|feature| feature.location == Some(request));
        Ok(found.cloned().unwrap_or(Feature { name: String::new(), location: Some(request) }))
    }

    async fn list_features(&self, request: Rectangle) -> Result<Streaming<Feature>, Status> {
        let (Some(lo), Some(hi)) = (request.lo, request.hi) else {
            return Err(Status::invalid_argument("a rectangle has two corners: `lo` and `hi`"));
        };
        let within = move |point: Point| {
            (lo.latitude..=hi.latitude).contains(&point.latitude)
                && (lo.longitude..=hi.longitude).contains(&point.longitude)
        };
        // Goes on after this method has returned: what is in the stream must not borrow from `self`.
        let features = self.features.clone();
        Ok(Streaming::iter(features.into_iter().filter(move |it| it.location.is_some_and(within))))
    }

    async fn record_route(&self, mut requests: Streaming<Point>) -> Result<RouteSummary, Status> {
        let mut summary = RouteSummary::default();
        let mut last: Option<Point> = None;
        while let Some(point) = requests.next().await {
            let point = point?;
            summary.point_count += 1;
            summary.feature_count += i32::from(self.features.iter().any(|it| it.location == Some(point)));
            summary.distance += last.map_or(0, |last| distance(last, point));
            last = Some(point);
        }
        Ok(summary)
    }

    async fn route_chat(&self, mut requests: Streaming<RouteNote>) -> Result<Streaming<RouteNote>, Status> {
        let (sender, replies) = Streaming::channel(8);
        let notes = self.notes.clone();
        // A task that keeps the call's context, and so ends with the call.
        rpc_core::spawn(async move {
            while let Some(Ok(note)) = requests.next().await {
                let location = note.location.unwrap_or_default();
                let earlier = {
                    let mut notes = notes.lock().unwrap_or_else(|poison| poison.into_inner());
                    let here = notes.entry(location).or_default();
                    here.push(note);
                    here[..here.len() - 1].to_vec()
                };
                for note in earlier {
                    // Whoever has gone does not want the rest.
                    if sender.send(note).await.is_err() {
                        return;
                    }
                }
            }
        });
        Ok(replies)
    }
}

/// Meters between two points, by the haversine formula.
fn distance(a: Point, b: Point) -> i32 {
    const EARTH: f64 = 6_371_000.0;
    let radians = |e7: i32| (f64::from(e7) / 1e7).to_radians();
    let half = |a: i32, b: i32| ((radians(b) - radians(a)) / 2.0).sin().powi(2);
    let chord = half(a.latitude, b.latitude)
        + radians(a.latitude).cos() * radians(b.latitude).cos() * half(a.longitude, b.longitude);
    (2.0 * EARTH * chord.sqrt().asin()).round() as i32
}

fn point(latitude: i32, longitude: i32) -> Point {
    Point { latitude, longitude }
}

fn note(location: Point, message: &str) -> RouteNote {
    RouteNote { location: Some(location), message: message.to_owned() }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (gate, tower, isle) =
        (point(525_162_700, 133_777_000), point(525_208_000, 134_094_000), point(525_169_000, 134_010_000));
    let feature = |name: &str, location| Feature { name: name.to_owned(), location: Some(location) };
    let features = vec![feature("Gate", gate), feature("Tower", tower), feature("Isle", isle)];
    let guide = Guide { features, notes: Default::default() };

    let server = Server::builder().service(RouteGuideServer::new(guide)).bind("127.0.0.1:0").await?;
    let client = RouteGuideClient::connect(server.local_addr()).await?;

    println!("one to one: what is at {tower:?}?");
    let found = client.get_feature(tower).await?;
    println!("  {}", found.name);
    assert_eq!(found.name, "Tower");
    assert_eq!(client.get_feature(point(0, 0)).await?.name, "");

    println!("one to many: what is there in the east?");
    let east =
        Rectangle { lo: Some(point(520_000_000, 134_000_000)), hi: Some(point(530_000_000, 135_000_000)) };
    let mut listed = client.list_features(east).await?;
    let mut names = Vec::new();
    while let Some(feature) = listed.next().await {
        names.push(feature?.name);
        println!("  {}", names[names.len() - 1]);
    }
    assert_eq!(names, ["Tower", "Isle"]);
    let error = client.list_features(Rectangle::default()).await.unwrap_err();
    println!("  nowhere: {error}");

    println!("many to one: from the gate to the tower");
    let summary =
        client.record_route(Streaming::iter([gate, point(525_180_000, 133_900_000), tower])).await?;
    println!("  {summary:?}");
    assert_eq!((summary.point_count, summary.feature_count), (3, 2));
    assert!((2_000..3_000).contains(&summary.distance));

    println!("many to many: notes at places");
    let (sender, notes) = Streaming::channel(8);
    let mut answers = client.route_chat(notes).await?;
    for message in ["first here", "me too"] {
        sender.send(note(gate, message)).await?;
    }
    // What the first one has left, the second one gets, while both are under way.
    let answer = answers.next().await.ok_or("the server ended the stream")??;
    println!("  found at the gate: {:?}", answer.message);
    assert_eq!(answer, note(gate, "first here"));
    drop(sender);
    assert!(answers.next().await.is_none(), "nobody has left anything else");

    let report = server.drain(Duration::from_secs(5)).await;
    println!("{report}");
    Ok(())
}
