//! Protobuf, JSON and a codec of your own, from one trait.
//!
//! A client speaks one codec at a time, chosen for its channel or for one call; a server answers in the codec in which
//! it was asked.
//!
//! ```text
//! cargo run --bin codecs
//! ```

use rpc_core::codec::{BytesMut, Codec, CodecError, Json, Protobuf};
use rpc_core::middleware::{Service, layer_fn};
use rpc_core::{Channel, Code, Request, Response, Server, Status, message, service};

/// JSON in hexadecimal digits: a toy, but a whole codec. A real one would be MessagePack, say, for all types that have
/// serde's traits.
#[derive(Debug)]
pub struct Hex;

// For every type that JSON can carry.
impl<T> Codec<T> for Hex
where
    Json: Codec<T>,
{
    // What travels with each request to name the codec. Ours are below 64.
    const ID: u8 = 100;
    const NAME: &'static str = "hex";

    fn encode(value: &T, out: &mut BytesMut) -> Result<(), CodecError> {
        let mut json = BytesMut::new();
        Json::encode(value, &mut json)?;
        for byte in json {
            out.extend_from_slice(format!("{byte:02x}").as_bytes());
        }
        Ok(())
    }

    fn decode(bytes: rpc_core::codec::Bytes) -> Result<T, CodecError> {
        let digit = |byte: u8| char::from(byte).to_digit(16).ok_or_else(|| CodecError::new("no hex digit"));
        let mut json = BytesMut::with_capacity(bytes.len() / 2);
        for pair in bytes.chunks(2) {
            let [high, low] = *pair else { return Err(CodecError::new("half a byte at the end")) };
            json.extend_from_slice(&[(digit(high)? << 4 | digit(low)?) as u8]);
        }
        Json::decode(json.freeze())
    }
}

/// A place on the map.
#[message]
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// What people call it.
    pub name: String,
    /// How many live there.
    pub inhabitants: u64,
    /// What kind of place it is.
    pub kind: Kind,
}

/// A kind of place.
#[message]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A few houses.
    Village,
    /// Many houses.
    City,
}

/// Grows places.
#[service(codecs(Protobuf, Json, Hex))]
pub trait Growth {
    /// The place, some years on.
    async fn grow(&self, place: Place) -> Result<Place, Status>;
}

/// The same for those who only know JSON.
#[service(name = "JsonGrowth", codecs(Json))]
pub trait JsonOnly {
    /// The place, some years on.
    async fn grow(&self, place: Place) -> Result<Place, Status>;
}

struct Doubling;

impl Growth for Doubling {
    async fn grow(&self, place: Place) -> Result<Place, Status> {
        Ok(Place { inhabitants: place.inhabitants * 2, kind: Kind::City, ..place })
    }
}

impl JsonOnly for Doubling {
    async fn grow(&self, place: Place) -> Result<Place, Status> {
        Growth::grow(self, place).await
    }
}

/// A layer that shows what is sent.
#[derive(Clone)]
struct Show<S>(S);

impl<S: Service<Request, Response = Response, Error = Status>> Service<Request> for Show<S> {
    type Response = Response;
    type Error = Status;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Status>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        let body = String::from_utf8_lossy(request.body()).escape_debug().to_string();
        println!("  sent     {:.80}{}", body, if body.len() > 80 { "…" } else { "" });
        self.0.call(request)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::builder()
        .service(GrowthServer::new(Doubling))
        .service(JsonOnlyServer::new(Doubling))
        .bind("127.0.0.1:0")
        .await?;
    let channel = || Channel::builder(server.local_addr()).layer(layer_fn(Show));
    let village = Place { name: "Ørsted".into(), inhabitants: 700, kind: Kind::Village };
    let city = Place { inhabitants: 1400, kind: Kind::City, ..village.clone() };

    println!("the first codec of the service, if nobody says otherwise: protobuf");
    let by_default = GrowthClient::new(channel().build()?);
    assert_eq!(by_default.grow(village.clone()).await?, city);

    println!("JSON for a channel");
    let json = GrowthClient::new(channel().codec::<Json>().build()?);
    assert_eq!(json.grow(village.clone()).await?, city);

    println!("a codec of one's own for one call");
    let grown = json.grow(village.clone()).codec::<Hex>().await?;
    println!("  received {grown:?}");
    assert_eq!(grown, city);

    println!("a codec that the service does not have, for a channel");
    let none = JsonOnlyClient::new(channel().codec::<Protobuf>().build()?);
    let error = none.grow(village.clone()).await.unwrap_err();
    println!("  {error}");
    assert_eq!(error.code(), Code::Unimplemented);

    println!("and for a call");
    let error = none.grow(village).codec::<Hex>().await.unwrap_err();
    println!("  {error}");
    assert_eq!(error.code(), Code::Unimplemented);
    Ok(())
}
