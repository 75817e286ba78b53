//! [`Record`]: what a registry stores of an instance, as JSON.
//!
//! Every registry that stores text stores this one, so that they can be read with the same eyes and tools:
//!
//! ```
//! use rpc_core::discovery::{Instance, record::Record};
//!
//! let instance = Instance::new("10.0.0.1:7000".parse()?).with_zone("a").with_tag("group", "blue");
//! let text = Record { instance: instance.clone(), epoch: 7 }.to_json();
//! assert!(text.contains(r#""zone":"a""#));
//! assert_eq!(Record::from_json(text.as_bytes())?.instance, instance);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

use crate::discovery::instance::{Instance, State};
use crate::discovery::name;
use crate::status::Status;

/// How many bytes the JSON may have: what etcd takes in one request is far more, what a description needs far less.
pub const MAX_SIZE: usize = 64 * 1024;

/// The version that is written. A change that an older reader can do without adds a field, and no version.
const VERSION: u64 = 1;

/// What a registry stores of an instance: its description, and which registration that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The description. [`Instance::suspect`] is not stored.
    pub instance: Instance,
    /// A number that the process chose at random for all that it registers. An entry with another one is another
    /// process's: who withdraws leaves it alone, and of two that claim one id the one that started last is right.
    pub epoch: u64,
}

/// Why a text is no [`Record`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidRecord(String);

impl fmt::Display for InvalidRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not the description of an instance: {}", self.0)
    }
}

impl std::error::Error for InvalidRecord {}

impl Record {
    /// A number for [`epoch`](Self::epoch), at random.
    pub fn new_epoch() -> u64 {
        fastrand::u64(1..)
    }

    /// Whether this may be registered.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for an id that [cannot be](name::check_id), and for a description beyond [`MAX_SIZE`].
    pub fn check(&self) -> Result<(), Status> {
        name::check_id(&self.instance.id)?;
        let size = self.to_json().len();
        if size > MAX_SIZE {
            return Err(Status::invalid_argument(format!(
                "the description of the instance {:?} has {size} bytes, {MAX_SIZE} are the most; tags are for short values",
                self.instance.id
            )));
        }
        Ok(())
    }

    /// Whether this and not the other has the id, if both claim it: the one that started last. Of two that started
    /// together it is any, but for everybody the same.
    pub fn prevails_over(&self, other: &Self) -> bool {
        (self.instance.started, self.epoch) > (other.instance.started, other.epoch)
    }

    /// The JSON. What is empty is left out.
    pub fn to_json(&self) -> String {
        self.to_value().to_string()
    }

    pub(crate) fn to_value(&self) -> Value {
        let Instance { id, address, weight, zone, version, tags, state, started, services, suspect: _ } =
            &self.instance;
        let mut fields = Map::new();
        let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        put("v", VERSION.into());
        put("id", id.as_str().into());
        put("address", address.to_string().into());
        put("epoch", format!("{:016x}", self.epoch).into());
        put("state", state.name().into());
        put("weight", (*weight).into());
        put("started", (*started).into());
        if !zone.is_empty() {
            put("zone", zone.as_str().into());
        }
        if !version.is_empty() {
            put("version", version.as_str().into());
        }
        if !tags.is_empty() {
            put("tags", tags.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect());
        }
        if !services.is_empty() {
            put("services", services.iter().map(|service| Value::from(service.as_str())).collect());
        }
        Value::Object(fields)
    }

    /// Reads the JSON. Fields that are not known are ignored, and what is absent has its default, but for id and address.
    ///
    /// # Errors
    /// [`InvalidRecord`] for what is too long, no JSON, of a later version, or wrong in a field.
    pub fn from_json(text: &[u8]) -> Result<Self, InvalidRecord> {
        if text.len() > MAX_SIZE {
            return Err(InvalidRecord(format!("it has {} bytes, {MAX_SIZE} are the most", text.len())));
        }
        let value = serde_json::from_slice(text).map_err(|error| InvalidRecord(error.to_string()))?;
        Self::from_value(&value)
    }

    pub(crate) fn from_value(value: &Value) -> Result<Self, InvalidRecord> {
        let fields = Fields(value.as_object().ok_or_else(|| InvalidRecord("it is no object".to_owned()))?);
        let version = fields.number("v")?.unwrap_or(VERSION);
        if version > VERSION {
            return Err(InvalidRecord(format!("it is of version {version}, {VERSION} is known here")));
        }
        let address = fields.text("address")?.ok_or_else(|| wrong("address", "is missing"))?;
        let address = address.parse().map_err(|error| InvalidRecord(format!("{error}")))?;
        let id = fields.text("id")?.ok_or_else(|| wrong("id", "is missing"))?;
        name::check_id(id).map_err(|error| InvalidRecord(error.message().to_owned()))?;
        let epoch = fields.text("epoch")?.unwrap_or("0");
        let epoch = u64::from_str_radix(epoch, 16).map_err(|_| wrong("epoch", "is no hexadecimal number"))?;
        let mut instance = Instance::new(address).with_id(id);
        if let Some(weight) = fields.number("weight")? {
            instance.weight = u32::try_from(weight).map_err(|_| wrong("weight", "is too large"))?;
        }
        instance.started = fields.number("started")?.unwrap_or(0);
        instance.zone = fields.text("zone")?.unwrap_or_default().to_owned();
        instance.version = fields.text("version")?.unwrap_or_default().to_owned();
        // A state that is not known is one that a later version has: no reason to give calls to it.
        instance.state = fields.text("state")?.map_or(State::Up, State::from_name);
        instance.tags = fields.tags()?;
        instance.services = fields.services()?;
        Ok(Self { instance, epoch })
    }
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Down => "down",
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "up" => Self::Up,
            "draining" => Self::Draining,
            _ => Self::Down,
        }
    }
}

/// The fields of an object; `null` is as good as absent.
struct Fields<'a>(&'a Map<String, Value>);

fn wrong(field: &str, why: &str) -> InvalidRecord {
    InvalidRecord(format!("{field} {why}"))
}

impl<'a> Fields<'a> {
    fn get(&self, field: &str) -> Option<&'a Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn text(&self, field: &str) -> Result<Option<&'a str>, InvalidRecord> {
        self.get(field).map(|value| value.as_str().ok_or_else(|| wrong(field, "is no text"))).transpose()
    }

    fn number(&self, field: &str) -> Result<Option<u64>, InvalidRecord> {
        self.get(field)
            .map(|value| value.as_u64().ok_or_else(|| wrong(field, "is no number from 0 on")))
            .transpose()
    }

    fn tags(&self) -> Result<BTreeMap<String, String>, InvalidRecord> {
        let Some(value) = self.get("tags") else { return Ok(BTreeMap::new()) };
        let tags = value.as_object().ok_or_else(|| wrong("tags", "is no object"))?;
        tags.iter()
            .map(|(key, value)| match value.as_str() {
                Some(value) => Ok((key.clone(), value.to_owned())),
                None => Err(wrong("tags", "holds what is no text")),
            })
            .collect()
    }

    fn services(&self) -> Result<Vec<String>, InvalidRecord> {
        let Some(value) = self.get("services") else { return Ok(Vec::new()) };
        let services = value.as_array().ok_or_else(|| wrong("services", "is no list"))?;
        services
            .iter()
            .map(|value| {
                value.as_str().map(str::to_owned).ok_or_else(|| wrong("services", "holds what is no text"))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Record, InvalidRecord> {
        Record::from_json(text.as_bytes())
    }

    #[test]
    fn everything_comes_back_but_suspicion() {
        let mut instance = Instance::new("unix:///run/a.sock".parse().unwrap())
            .with_id("a")
            .with_weight(0)
            .with_zone("z")
            .with_version("1.2")
            .with_tag("group", "blue")
            .with_state(State::Draining)
            .with_started(u64::MAX)
            .with_services(["a.A", "b.B"]);
        let record = Record { instance: instance.clone(), epoch: u64::MAX };
        assert_eq!(read(&record.to_json()).unwrap(), record);
        instance.suspect = true;
        assert_eq!(read(&Record { instance, epoch: u64::MAX }.to_json()).unwrap(), record);
    }

    #[test]
    fn id_and_address_are_enough_and_the_unknown_is_ignored() {
        let record = read(r#"{"id":"a","address":"h:1","tags":null,"shoeSize":43}"#).unwrap();
        assert_eq!(record.instance, Instance::new("h:1".parse().unwrap()).with_id("a"));
        assert_eq!(record.epoch, 0);
    }

    #[test]
    fn garbage_says_what_is_wrong() {
        for (text, part) in [
            ("", "EOF"),
            ("7", "no object"),
            (r#"{"v":2,"id":"a","address":"h:1"}"#, "version 2"),
            (r#"{"id":"a"}"#, "address is missing"),
            (r#"{"address":"h:1"}"#, "id is missing"),
            (r#"{"id":"","address":"h:1"}"#, "empty"),
            (r#"{"id":"a","address":"h"}"#, "port is missing"),
            (r#"{"id":"a","address":"h:1","weight":-1}"#, "weight is no number"),
            (r#"{"id":"a","address":"h:1","weight":4294967296}"#, "weight is too large"),
            (r#"{"id":"a","address":"h:1","epoch":"x"}"#, "epoch"),
            (r#"{"id":"a","address":"h:1","tags":[]}"#, "tags is no object"),
            (r#"{"id":"a","address":"h:1","services":{}}"#, "services is no list"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let large = format!(r#"{{"id":"a","address":"h:1","tags":{{"a":"{}"}}}}"#, "x".repeat(MAX_SIZE));
        assert!(read(&large).unwrap_err().to_string().contains("are the most"));
    }

    #[test]
    fn a_state_of_a_later_version_gets_no_calls() {
        assert_eq!(
            read(r#"{"id":"a","address":"h:1","state":"asleep"}"#).unwrap().instance.state,
            State::Down
        );
    }

    #[test]
    fn of_two_that_claim_an_id_exactly_one_prevails() {
        let record = |started, epoch| Record {
            instance: Instance::new("h:1".parse().unwrap()).with_started(started),
            epoch,
        };
        assert!(record(2, 1).prevails_over(&record(1, 9)));
        assert!(record(1, 9).prevails_over(&record(1, 1)));
        assert!(!record(1, 1).prevails_over(&record(1, 1)));
    }
}
