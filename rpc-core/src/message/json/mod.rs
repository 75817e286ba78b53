//! Proto3's JSON, over serde's data model: any self-describing format that serde knows can carry it.
//!
//! A message is a map with string keys, whatever the format, because absent fields are left out. Names are
//! lowerCamelCase going out, and either that or the original coming in; null is absence; what is unknown is passed
//! over; a key that comes twice is an error.
//!
//! | file | what is in it |
//! |---|---|
//! | `number` | numbers and `bool`, which also come as strings |
//! | `text` | strings, bytes as base64, enums by name |
//! | `collection` | lists and maps |
//! | `object` | messages: their keys, their fields, null |
//! | `depth` | how deep messages may stand in each other |

mod collection;
mod depth;
mod number;
mod object;
mod text;

use serde::ser::{Serialize, Serializer};

use super::field::{Field, Value};

pub use collection::{list, map, write_list, write_map};
pub use number::{
    bool, f32, f64, i32, i64, u32, u64, write_bool, write_f32, write_f64, write_i32, write_i64, write_u32,
    write_u64,
};
pub use object::{Key, Object, Slot, deserialize, fields, foreign, member, no_member, object, once, skip};
pub use text::{bytes, enumeration, shared_bytes, string, write_bytes, write_enumeration, write_string};

/// A field, to be written in JSON's shape.
#[derive(Debug)]
pub struct Json<'a, T>(pub &'a T);

impl<T: Field> Serialize for Json<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_json(serializer)
    }
}

/// A single value, to be written in JSON's shape.
#[derive(Debug)]
pub struct One<'a, T>(pub &'a T);

impl<T: Value> Serialize for One<'_, T> {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.to_json(serializer)
    }
}
