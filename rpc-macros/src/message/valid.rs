//! Protobuf's rules, one function each; every breach is reported on its own span.

use std::collections::HashMap;

use proc_macro2::Span;

use super::Errors;
use super::ast::{Body, Field, Kind, Member, Message, Other, Value};
use super::attr::At;
use super::name::is_identifier;

/// Holds a message against all rules.
pub(super) fn check(message: &Message, errors: &mut Errors) {
    full_name(&message.name, errors);
    match &message.kind {
        Kind::Record(fields) => record(fields, &message.reserved, errors),
        Kind::Oneof(members) => oneof(members, &message.reserved, errors),
        Kind::Enumeration(values) => enumeration(values, &message.reserved, errors),
    }
}

fn record(fields: &[Field], reserved: &[At<u32>], errors: &mut Errors) {
    tags(fields.iter().map(|field| &field.tag), reserved, errors);
    names(fields.iter().map(|field| (&field.name, &field.json)), errors);
}

fn oneof(members: &[Member], reserved: &[At<u32>], errors: &mut Errors) {
    // A variant for the rest is no member.
    let real = || members.iter().filter(|member| member.other.is_none());
    tags(real().map(|member| &member.tag), reserved, errors);
    names(real().map(|member| (&member.name, &member.json)), errors);
    for member in members {
        if let Body::Fields(fields) = &member.body {
            record(fields, &[], errors);
        }
        if let (Some(span), Body::Single(_) | Body::Fields(_)) = (member.other, &member.body) {
            errors.push(span, "`other` stands for what is absent or unknown, of which nothing is left to hold: put it on a unit variant");
        }
    }
    one_other(members.iter().filter_map(|member| member.other), errors);
}

fn enumeration(values: &[Value], reserved: &[At<u32>], errors: &mut Errors) {
    for number in reserved {
        errors.push(number.span, "`reserved` is for fields; an enum's numbers are free");
    }
    let mut seen = HashMap::new();
    for value in values {
        if matches!(value.other, Some(Other::Number(..))) || !value.counted {
            continue;
        }
        if let Some(first) = seen.insert(value.number.value, &value.ident) {
            errors
                .push(value.number.span, format!("the number {} is `{first}`'s already", value.number.value));
        }
    }
    names(values.iter().map(|value| (&value.name, &value.short)), errors);
    let others = values.iter().filter_map(|value| match &value.other {
        Some(Other::Unit(span) | Other::Number(span, _)) => Some(*span),
        None => None,
    });
    one_other(others, errors);
}

fn one_other(spans: impl Iterator<Item = Span>, errors: &mut Errors) {
    for span in spans.skip(1) {
        errors.push(span, "only one variant can stand for what is unknown");
    }
}

/// From 1 to 2^29 - 1 without protobuf's own range, each once.
fn tags<'a>(tags: impl Iterator<Item = &'a At<u32>>, reserved: &[At<u32>], errors: &mut Errors) {
    let mut seen: HashMap<u32, &str> = reserved.iter().map(|number| (number.value, "reserved")).collect();
    for number in reserved {
        range(number, errors);
    }
    for tag in tags {
        range(tag, errors);
        if let Some(what) = seen.insert(tag.value, "taken already") {
            errors.push(
                tag.span,
                format!("the tag {} is {what}: give another by `#[message(tag = …)]`", tag.value),
            );
        }
    }
}

fn range(tag: &At<u32>, errors: &mut Errors) {
    match tag.value {
        0 => errors.push(tag.span, "tags start at 1: 0 is none in protobuf"),
        19_000..=19_999 => {
            errors.push(tag.span, "protobuf keeps 19000 to 19999 for itself: take another tag");
        }
        0x2000_0000.. => {
            errors.push(tag.span, "the largest tag is 536870911: three bits of the key are taken");
        }
        _ => {}
    }
}

/// Names in protobuf, and names in JSON, each once: input may use either.
fn names<'a>(names: impl Iterator<Item = (&'a At<String>, &'a String)>, errors: &mut Errors) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (at, (name, alias)) in names.enumerate() {
        if !is_identifier(&name.value) {
            errors
                .push(name.span, format!("`{}` is no name in protobuf: letters, digits and `_`", name.value));
        }
        let clash = [name.value.as_str(), alias.as_str()]
            .into_iter()
            .find(|&word| seen.insert(word, at).is_some_and(|other| other != at));
        if let Some(word) = clash {
            errors.push(name.span, format!("two have the name `{word}` in JSON: give one another `name`"));
        }
    }
}

/// A package's name, dots between its parts, and the type's own.
fn full_name(name: &At<String>, errors: &mut Errors) {
    if !name.value.split('.').all(is_identifier) {
        errors.push(name.span, "a full name in protobuf is words with dots between: `demo.v1.Point`");
    }
}
