//! `Any`: a message of a type that only its name tells, and the registry that JSON needs to find the type by its name.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{LazyLock, RwLock};

use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde_json::Value as Tree;

use super::json::{self, As, Kind, Scalar};
use super::tree::Object;
use super::{Duration, FieldMask, ListValue, Struct, Timestamp, Value};

/// A message of any type, and the name of the type. JSON: the message's own, with `"@type"` beside its fields.
///
/// JSON needs the type itself: [`register`] it once, at the start of the program. The well-known types are there
/// already. Protobuf's bytes pass through without.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Any {
    /// `type.googleapis.com/shop.v1.Money`: what counts is the name behind the last slash.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// The message's protobuf form.
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

impl Any {
    /// The message, packed.
    pub fn pack<M: json::Message + prost::Message>(message: &M) -> Self {
        Self { type_url: format!("type.googleapis.com/{}", M::NAME), value: message.encode_to_vec() }
    }

    /// The message, if it is of this type.
    ///
    /// # Errors
    /// [`DecodeError`](prost::DecodeError) if it says that it is, and its bytes are not.
    pub fn unpack<M: json::Message + prost::Message>(&self) -> Result<Option<M>, prost::DecodeError> {
        if self.type_name() != M::NAME {
            return Ok(None);
        }
        M::decode(self.value.as_slice()).map(Some)
    }

    /// The full name of the type: `shop.v1.Money`.
    pub fn type_name(&self) -> &str {
        name_in(&self.type_url)
    }
}

fn name_in(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

/// How one type goes between protobuf and JSON.
#[derive(Clone, Copy)]
struct Entry {
    to_json: fn(&[u8]) -> Result<Tree, String>,
    from_json: fn(Tree) -> Result<Vec<u8>, String>,
    /// Whether its JSON is no object of its fields, and so stands under the key `value`.
    wrapped: bool,
}

static REGISTRY: LazyLock<RwLock<HashMap<&'static str, Entry>>> = LazyLock::new(|| {
    RwLock::new(HashMap::from([
        ("google.protobuf.Any", special::<json::Msg, Any>()),
        ("google.protobuf.Timestamp", special::<json::Msg, Timestamp>()),
        ("google.protobuf.Duration", special::<json::Msg, Duration>()),
        ("google.protobuf.FieldMask", special::<json::Msg, FieldMask>()),
        ("google.protobuf.Struct", special::<json::Msg, Struct>()),
        ("google.protobuf.Value", special::<json::Msg, Value>()),
        ("google.protobuf.ListValue", special::<json::Msg, ListValue>()),
        ("google.protobuf.Empty", special::<json::Empty, ()>()),
        ("google.protobuf.BoolValue", special::<Scalar, bool>()),
        ("google.protobuf.BytesValue", special::<Scalar, Vec<u8>>()),
        ("google.protobuf.DoubleValue", special::<Scalar, f64>()),
        ("google.protobuf.FloatValue", special::<Scalar, f32>()),
        ("google.protobuf.Int32Value", special::<Scalar, i32>()),
        ("google.protobuf.Int64Value", special::<Scalar, i64>()),
        ("google.protobuf.StringValue", special::<Scalar, String>()),
        ("google.protobuf.UInt32Value", special::<Scalar, u32>()),
        ("google.protobuf.UInt64Value", special::<Scalar, u64>()),
    ]))
});

/// Lets messages of this type stand in an [`Any`] in JSON. Twice does no harm.
///
/// ```no_run
/// # use rpc_core::proto::{json, prost};
/// # fn example<Money: json::Message + prost::Message + serde::Serialize + serde::de::DeserializeOwned>() {
/// rpc_core::proto::register::<Money>();
/// # }
/// ```
pub fn register<M: json::Message + prost::Message + Serialize + DeserializeOwned>() {
    let entry = Entry { wrapped: false, ..special::<json::Msg, M>() };
    // A panic while it was held is no harm: an insert is the whole critical section.
    let mut registry = REGISTRY.write().unwrap_or_else(|poison| poison.into_inner());
    registry.entry(M::NAME).or_insert(entry);
}

fn special<K: Kind<M>, M: prost::Message + Default>() -> Entry {
    Entry {
        to_json: |bytes| {
            let message = M::decode(bytes).map_err(|error| error.to_string())?;
            // By way of text: straight into a tree, a float of 32 bits would become 0.10000000149011612.
            let text =
                serde_json::to_string(&As::<K, M>::new(&message)).map_err(|error| error.to_string())?;
            serde_json::from_str(&text).map_err(|error| error.to_string())
        },
        from_json: |tree| {
            K::read(tree).map(|message| message.encode_to_vec()).map_err(|error| error.to_string())
        },
        wrapped: true,
    }
}

fn find(url: &str) -> Result<Entry, String> {
    let name = name_in(url);
    if !url.contains('/') || name.is_empty() {
        return Err(format!("`{url}` is no type: it has no slash with a name behind it"));
    }
    let registry = REGISTRY.read().unwrap_or_else(|poison| poison.into_inner());
    registry.get(name).copied().ok_or_else(|| {
        format!("nothing is known of the type `{name}`: call `rpc_core::proto::register` with it")
    })
}

/// How many an `Any` may hold within each other. It holds bytes, so protobuf's own limit does not see what is in them; and
/// each level reads all that is below it anew.
const DEEPEST: usize = 16;

thread_local! {
    /// How many are being read or written around this one.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Runs `inner` one level further in.
fn deeper<R, E>(inner: impl FnOnce() -> Result<R, E>, refuse: impl FnOnce(String) -> E) -> Result<R, E> {
    /// Brings the depth back, after a panic too.
    struct Back(usize);

    impl Drop for Back {
        fn drop(&mut self) {
            DEPTH.set(self.0);
        }
    }

    let depth = DEPTH.get();
    if depth > DEEPEST {
        return Err(refuse(format!("an `Any` is within more than {DEEPEST} others")));
    }
    let _back = Back(depth);
    DEPTH.set(depth + 1);
    inner()
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // One that was never set.
        if self.type_url.is_empty() && self.value.is_empty() {
            return map.end();
        }
        let entry = find(&self.type_url).map_err(S::Error::custom)?;
        let tree = deeper(|| (entry.to_json)(&self.value).map_err(S::Error::custom), S::Error::custom)?;
        map.serialize_entry("@type", &self.type_url)?;
        match tree {
            Tree::Object(fields) if !entry.wrapped => {
                for (name, value) in &fields {
                    map.serialize_entry(name, value)?;
                }
            }
            tree => map.serialize_entry("value", &tree)?,
        }
        map.end()
    }
}

impl<'de> serde::Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = deserializer.deserialize_map(Object)?;
        let Some(url) = fields.remove("@type") else {
            return if fields.is_empty() {
                Ok(Self::default())
            } else {
                Err(D::Error::custom("the object has no `@type` that says of which type it is"))
            };
        };
        let Tree::String(type_url) = url else {
            return Err(D::Error::custom("`@type` must be a string"));
        };
        let entry = find(&type_url).map_err(D::Error::custom)?;
        let tree = match (entry.wrapped, fields.remove("value")) {
            (false, Some(value)) => {
                fields.insert("value".to_owned(), value);
                Tree::Object(fields)
            }
            (false, None) => Tree::Object(fields),
            (true, Some(value)) => value,
            (true, None) if name_in(&type_url) == "google.protobuf.Empty" => Tree::Object(fields),
            (true, None) => return Err(D::Error::missing_field("value")),
        };
        let value = deeper(|| (entry.from_json)(tree).map_err(D::Error::custom), D::Error::custom)?;
        Ok(Self { type_url, value })
    }
}
