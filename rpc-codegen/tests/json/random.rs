//! Random messages of every type in the corpus that has fields of note: written and read by both.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use rpc_core::proto::prost::Message;

use crate::corpus::{old, recursive, scalars, well};
use crate::{POOL, Typed, descriptor, dynamic, oracle, plain};

const ROUNDS: u64 = 300;

fn round_trips<M: Typed>() {
    for seed in 0..ROUNDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let made = message(&descriptor::<M>(), &mut random, 3);
        let typed = M::decode(made.encode_to_vec().as_slice()).unwrap();
        let ours =
            serde_json::to_string(&typed).unwrap_or_else(|error| panic!("{}, seed {seed}: {error}", M::NAME));
        let theirs = serde_json::to_string(&dynamic(&typed)).unwrap();
        let tree = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(tree(&ours), tree(&theirs), "{}, seed {seed}", M::NAME);

        let back: M = serde_json::from_str(&theirs)
            .unwrap_or_else(|error| panic!("{}, {seed}: {error}\n{theirs}", M::NAME));
        // Not the messages: a NaN is not equal to itself.
        assert_eq!(plain(&dynamic(&back)), plain(&dynamic(&typed)), "{}, seed {seed}", M::NAME);
        assert_eq!(plain(&oracle::<M>(&ours, true).unwrap()), plain(&dynamic(&typed)), "{}", M::NAME);
    }
}

#[test]
fn scalars_and_containers() {
    round_trips::<scalars::Scalars>();
    round_trips::<scalars::Optionals>();
    round_trips::<scalars::Lists>();
    round_trips::<scalars::Maps>();
    round_trips::<scalars::Choices>();
}

#[test]
fn well_known_types() {
    rpc_core::proto::register::<scalars::Scalars>();
    round_trips::<well::known::Everything>();
}

#[test]
fn recursive_messages() {
    round_trips::<recursive::Tree>();
    round_trips::<recursive::Forest>();
}

#[test]
fn proto2_messages() {
    round_trips::<old::Old>();
}

#[test]
fn keywords() {
    round_trips::<crate::corpus::r#type::self_::crate_::r#async::Self_>();
}

fn message(descriptor: &MessageDescriptor, random: &mut fastrand::Rng, depth: usize) -> DynamicMessage {
    let mut out = DynamicMessage::new(descriptor.clone());
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            out.set_field_by_name("seconds", Value::I64(random.i64(-62_135_596_800..=253_402_300_799)));
            out.set_field_by_name("nanos", Value::I32(fraction(random)));
            return out;
        }
        "google.protobuf.Duration" => {
            let sign = if random.bool() { 1 } else { -1 };
            out.set_field_by_name("seconds", Value::I64(sign * random.i64(0..=315_576_000_000)));
            out.set_field_by_name("nanos", Value::I32(sign as i32 * fraction(random)));
            return out;
        }
        "google.protobuf.FieldMask" => {
            let paths = (0..random.usize(..4)).map(|_| Value::String("some_field.a.other_field".to_owned()));
            out.set_field_by_name("paths", Value::List(paths.collect()));
            return out;
        }
        // There the oracle writes what is not finite as null, and then does not take it.
        "google.protobuf.FloatValue" => {
            out.set_field_by_name("value", Value::F32(random.f32()));
            return out;
        }
        "google.protobuf.DoubleValue" => {
            out.set_field_by_name("value", Value::F64(random.f64()));
            return out;
        }
        "google.protobuf.Any" => {
            let name = [
                "scalars.Scalars",
                "google.protobuf.Duration",
                "google.protobuf.Empty",
                "google.protobuf.Int64Value",
            ][random.usize(..4)];
            let inner = message(&POOL.get_message_by_name(name).unwrap(), random, 0);
            out.set_field_by_name("type_url", Value::String(format!("type.googleapis.com/{name}")));
            out.set_field_by_name("value", Value::Bytes(inner.encode_to_vec().into()));
            return out;
        }
        "google.protobuf.Value" => {
            let member =
                ["null_value", "number_value", "string_value", "bool_value", "struct_value", "list_value"];
            let member = member[random.usize(..if depth == 0 { 4 } else { 6 })];
            let value = match member {
                "number_value" => Value::F64(random.f64()),
                _ => single(&descriptor.get_field_by_name(member).unwrap(), random, depth.saturating_sub(1)),
            };
            out.set_field_by_name(member, value);
            return out;
        }
        _ => {}
    }
    for field in descriptor.fields() {
        let ends = depth == 0 && matches!(field.kind(), Kind::Message(_)) && !field.is_required();
        if !field.is_required() && (ends || random.u8(..3) == 0) {
            continue;
        }
        let deeper = depth.saturating_sub(1);
        let value = if field.is_list() {
            Value::List((0..random.usize(..4)).map(|_| single(&field, random, deeper)).collect())
        } else if field.is_map() {
            let Kind::Message(entry) = field.kind() else { unreachable!() };
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            let pairs =
                (0..random.usize(..4)).map(|_| (map_key(&key, random), single(&value, random, deeper)));
            Value::Map(pairs.collect())
        } else {
            single(&field, random, deeper)
        };
        // A later member of a oneof takes the place of an earlier one.
        out.set_field(&field, value);
    }
    out
}

fn fraction(random: &mut fastrand::Rng) -> i32 {
    match random.u8(..4) {
        0 => 0,
        1 => random.i32(0..1_000) * 1_000_000,
        2 => random.i32(0..1_000_000) * 1_000,
        _ => random.i32(0..1_000_000_000),
    }
}

fn map_key(field: &FieldDescriptor, random: &mut fastrand::Rng) -> MapKey {
    single(field, random, 0).into_map_key().unwrap()
}

fn single(field: &FieldDescriptor, random: &mut fastrand::Rng, depth: usize) -> Value {
    let float = |random: &mut fastrand::Rng| match random.u8(..8) {
        0 => f64::NAN,
        1 => f64::INFINITY,
        2 => f64::NEG_INFINITY,
        3 => -0.0,
        4 => 0.0,
        _ => f64::from(f32::from_bits(random.u32(..0x7f00_0000))),
    };
    let text =
        |random: &mut fastrand::Rng| (0..random.usize(..6)).map(|_| random.char(..)).collect::<String>();
    match field.kind() {
        Kind::Double => Value::F64(float(random)),
        Kind::Float => Value::F32(float(random) as f32),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(random.i32(..)),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(random.i64(..)),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(random.u32(..)),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(random.u64(..)),
        Kind::Bool => Value::Bool(random.bool()),
        Kind::String => Value::String(text(random)),
        Kind::Bytes => Value::Bytes((0..random.usize(..6)).map(|_| random.u8(..)).collect::<Vec<_>>().into()),
        Kind::Enum(kind) if kind.full_name() == "google.protobuf.NullValue" => Value::EnumNumber(0),
        Kind::Enum(kind) => {
            let values: Vec<_> = kind.values().map(|value| value.number()).collect();
            let unknown = random.u8(..5) == 0;
            Value::EnumNumber(if unknown { random.i32(..) } else { values[random.usize(..values.len())] })
        }
        Kind::Message(descriptor) => Value::Message(message(&descriptor, random, depth)),
    }
}
