//! What a message looks like, as a value: the names, numbers and types that a `.proto` file would give.
//!
//! A type refers to another by a function, so a message that holds itself is described without end and without a
//! loop; whoever walks the graph remembers the names it has seen.
//!
//! ```
//! use rpc_core::message::schema::{Label, Type};
//! use rpc_core::message;
//! use rpc_core::message::Message;
//!
//! #[message]
//! struct Tree { value: i64, children: Vec<Tree> }
//!
//! let schema = Tree::schema().expect("`#[message]` describes its types");
//! assert_eq!((schema.name, schema.fields.len()), ("Tree", 2));
//! let children = &schema.fields[1];
//! assert_eq!((children.name, children.tag, children.label), ("children", 2, Label::Repeated));
//! let Type::Message(inner) = children.ty else { panic!("a tree is a message") };
//! assert_eq!(inner().map(|inner| inner.name), Some("Tree"));
//! ```

/// A message.
#[derive(Debug)]
#[non_exhaustive]
pub struct MessageSchema {
    /// The full name, `demo.v1.Point`.
    pub name: &'static str,
    /// Its fields, in the order of the source.
    pub fields: &'static [FieldSchema],
    /// Numbers that no field may take.
    pub reserved: &'static [u32],
    /// The type's doc comment.
    pub docs: &'static str,
}

/// A field of a message.
#[derive(Debug)]
#[non_exhaustive]
pub struct FieldSchema {
    /// The name in protobuf, in snake_case.
    pub name: &'static str,
    /// The name in JSON, in lowerCamelCase.
    pub json_name: &'static str,
    /// The number on the wire.
    pub tag: u32,
    /// How often it occurs.
    pub label: Label,
    /// What it holds; of a map, what its values are.
    pub ty: Type,
    /// The field's doc comment.
    pub docs: &'static str,
}

/// How often a field occurs.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Label {
    /// Once; a scalar's default stands for its absence.
    Single,
    /// Once or not at all.
    Optional,
    /// Any number of times.
    Repeated,
    /// Any number of times, each under a key of this type.
    Map(&'static Type),
    /// As the only one of the message's fields: all of them are a oneof.
    Member,
}

/// The type of a value, under protobuf's name for it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the scalar types of protobuf's language guide")]
pub enum Type {
    Bool,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Float,
    Double,
    String,
    Bytes,
    /// A message; its schema is `None` if prost generated it.
    Message(fn() -> Option<&'static MessageSchema>),
    /// An enum.
    Enum(fn() -> &'static EnumSchema),
}

/// An enum of names for numbers.
#[derive(Debug)]
#[non_exhaustive]
pub struct EnumSchema {
    /// The full name.
    pub name: &'static str,
    /// Names and numbers, in the order of the source.
    pub values: &'static [(&'static str, i32)],
    /// The type's doc comment.
    pub docs: &'static str,
}

impl MessageSchema {
    /// A message of these parts. For generated code.
    pub const fn new(
        name: &'static str,
        fields: &'static [FieldSchema],
        reserved: &'static [u32],
        docs: &'static str,
    ) -> Self {
        Self { name, fields, reserved, docs }
    }
}

impl FieldSchema {
    /// A field of these parts. For generated code.
    pub const fn new(
        name: &'static str,
        json_name: &'static str,
        tag: u32,
        label: Label,
        ty: Type,
        docs: &'static str,
    ) -> Self {
        Self { name, json_name, tag, label, ty, docs }
    }
}

impl EnumSchema {
    /// An enum of these parts. For generated code.
    pub const fn new(name: &'static str, values: &'static [(&'static str, i32)], docs: &'static str) -> Self {
        Self { name, values, docs }
    }
}

impl PartialEq for Type {
    /// Whether both are the same scalar, or messages or enums of the same name.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Message(a), Self::Message(b)) => {
                a().map(|schema| schema.name) == b().map(|schema| schema.name)
            }
            (Self::Enum(a), Self::Enum(b)) => a().name == b().name,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}
