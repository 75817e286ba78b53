//! The text of the files.

use std::fmt::Write;
use std::time::Duration;

use super::collect::{Body, Declared, Held, Package, Schema, Service};
use super::{ProtoFile, symbol};
use crate::call::{MethodDescriptor, Shape};
use crate::message::schema::{EnumSchema, FieldSchema, Label, MessageSchema, Type};

/// All files.
pub(super) fn files(schema: &Schema<'_>) -> Vec<ProtoFile> {
    let file = |(name, package): (&String, &Package<'_>)| {
        let mut out = Text { schema, package: name, out: String::new() };
        out.file(package);
        ProtoFile { path: symbol::path(name, package), text: out.out }
    };
    schema.packages.iter().map(file).collect()
}

/// Writing into a string does not fail, so `line` has nothing to give.
macro_rules! line {
    ($text:expr, $depth:expr, $($format:tt)+) => {{
        $text.out.extend(std::iter::repeat_n("  ", $depth));
        _ = writeln!($text.out, $($format)+);
    }};
}

struct Text<'a> {
    schema: &'a Schema<'a>,
    package: &'a str,
    out: String,
}

impl Text<'_> {
    fn file(&mut self, package: &Package<'_>) {
        self.out
            .push_str("// Written by Courier from the services of a Rust program.\nsyntax = \"proto3\";\n");
        if !self.package.is_empty() {
            line!(self, 0, "\npackage {};", self.package);
        }
        if !package.imports.is_empty() {
            self.out.push('\n');
        }
        for import in &package.imports {
            line!(self, 0, "import \"{import}\";");
        }
        for service in &package.services {
            self.out.push('\n');
            self.service(service);
        }
        for declared in package.types.iter().filter(|declared| declared.parent.is_none()) {
            self.out.push('\n');
            self.declared(declared, &package.types, 0);
        }
    }

    fn service(&mut self, service: &Service<'_>) {
        let descriptor = service.descriptor;
        self.comment(descriptor.docs, 0);
        line!(self, 0, "service {} {{", symbol::last(descriptor.name));
        for (at, (method, [request, reply])) in descriptor.methods.iter().zip(&service.messages).enumerate() {
            if at > 0 && !method.docs.is_empty() {
                self.out.push('\n');
            }
            self.method(method, request, reply, descriptor.name);
        }
        self.out.push_str("}\n");
    }

    fn method(&mut self, method: &MethodDescriptor, request: &str, reply: &str, scope: &str) {
        let stream = |is: bool| if is { "stream " } else { "" };
        let up = stream(matches!(method.shape, Shape::ClientStreaming | Shape::BidiStreaming));
        let down = stream(matches!(method.shape, Shape::ServerStreaming | Shape::BidiStreaming));
        let (request, reply) =
            (self.schema.symbols.refer(request, scope), self.schema.symbols.refer(reply, scope));
        let policy = self.schema.symbols.within("rpc.v1.method", scope);
        let mut options = Vec::new();
        if method.idempotent {
            options.push("idempotency_level = IDEMPOTENT".to_owned());
        }
        if method.oneway {
            options.push(format!("({policy}).oneway = true"));
        }
        if let Some(timeout) = method.timeout {
            options.push(format!("({policy}).timeout = \"{}\"", duration(timeout)));
        }
        self.comment(method.docs, 1);
        let head = format!("rpc {}({up}{request}) returns ({down}{reply})", method.name);
        if options.is_empty() {
            return line!(self, 1, "{head};");
        }
        line!(self, 1, "{head} {{");
        for option in options {
            line!(self, 2, "option {option};");
        }
        line!(self, 1, "}}");
    }

    fn declared(&mut self, declared: &Declared, all: &[Declared], depth: usize) {
        match &declared.body {
            Body::Message(schema, held) => self.message(declared, schema, held, all, depth),
            Body::Enum(schema) => self.enumeration(schema, symbol::last(&declared.full_name), depth),
        }
    }

    fn message(
        &mut self,
        declared: &Declared,
        schema: &MessageSchema,
        held: &[Held],
        all: &[Declared],
        depth: usize,
    ) {
        let name = symbol::last(&declared.full_name);
        self.comment(schema.docs, depth);
        let nested = all.iter().filter(|inner| inner.parent.as_ref() == Some(&declared.full_name));
        if schema.fields.is_empty() && schema.reserved.is_empty() && nested.clone().next().is_none() {
            return line!(self, depth, "message {name} {{}}");
        }
        line!(self, depth, "message {name} {{");
        if !schema.reserved.is_empty() {
            let numbers: Vec<String> = schema.reserved.iter().map(ToString::to_string).collect();
            line!(self, depth + 1, "reserved {};", numbers.join(", "));
        }
        // Either all fields are members of the oneof, or none.
        let oneof = symbol::oneof(schema);
        if let Some(oneof) = &oneof {
            line!(self, depth + 1, "oneof {oneof} {{");
        }
        let inner = depth + 1 + usize::from(oneof.is_some());
        for (field, held) in schema.fields.iter().zip(held) {
            self.field(field, held, &declared.full_name, inner);
        }
        if oneof.is_some() {
            line!(self, depth + 1, "}}");
        }
        for inner in nested {
            self.out.push('\n');
            self.declared(inner, all, depth + 1);
        }
        line!(self, depth, "}}");
    }

    fn field(&mut self, field: &FieldSchema, held: &Held, scope: &str, depth: usize) {
        self.comment(field.docs, depth);
        let is_message = matches!(field.ty, Type::Message(_));
        let ty = match held {
            Held::Scalar(word) => (*word).to_owned(),
            Held::Named(full_name) => self.schema.symbols.refer(full_name, scope),
        };
        let ty = match field.label {
            Label::Repeated => format!("repeated {ty}"),
            Label::Map(key) => format!("map<{}, {ty}>", symbol::scalar(*key)),
            // A message has presence of its own.
            Label::Optional if !is_message => format!("optional {ty}"),
            Label::Single | Label::Optional | Label::Member => ty,
        };
        let json = if field.json_name == camel(field.name) {
            String::new()
        } else {
            format!(" [json_name = \"{}\"]", field.json_name)
        };
        let must = if field.label == Label::Single && is_message { " // Must be set." } else { "" };
        line!(self, depth, "{ty} {} = {}{json};{must}", field.name, field.tag);
    }

    fn enumeration(&mut self, schema: &EnumSchema, name: &str, depth: usize) {
        self.comment(schema.docs, depth);
        line!(self, depth, "enum {name} {{");
        let numbers: Vec<i32> = schema.values.iter().map(|(_, number)| *number).collect();
        if numbers.iter().enumerate().any(|(at, number)| numbers[..at].contains(number)) {
            line!(self, depth + 1, "option allow_alias = true;");
        }
        // Proto3 wants 0, and wants it first.
        if !numbers.contains(&0) {
            line!(self, depth + 1, "// What is not set. The server refuses it.");
            let mut unset = format!("{}_UNSPECIFIED", symbol::snake(name).to_uppercase());
            while schema.values.iter().any(|(value, _)| *value == unset) {
                unset.push('_');
            }
            line!(self, depth + 1, "{unset} = 0;");
        }
        let (zero, others): (Vec<_>, Vec<_>) = schema.values.iter().partition(|(_, number)| *number == 0);
        for (value, number) in zero.into_iter().chain(others) {
            line!(self, depth + 1, "{value} = {number};");
        }
        line!(self, depth, "}}");
    }

    fn comment(&mut self, docs: &str, depth: usize) {
        for text in docs.lines() {
            let text: String = text.chars().filter(|c| !c.is_control() || *c == '\t').collect();
            let text = format!("// {text}");
            line!(self, depth, "{}", text.trim_end());
        }
    }
}

/// A whole number of the largest unit that fits.
fn duration(span: Duration) -> String {
    let micros = span.as_micros();
    for (unit, size) in [("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)] {
        if micros.is_multiple_of(size) {
            return format!("{}{unit}", micros / size);
        }
    }
    format!("{micros}us")
}

/// Protobuf's rule for the JSON name of a field: underscores go, and what follows one is in upper case.
fn camel(name: &str) -> String {
    let mut upper = false;
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c != '_' {
            out.push(if upper { c.to_ascii_uppercase() } else { c });
        }
        upper = c == '_';
    }
    out
}
