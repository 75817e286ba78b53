//! Our own view of an item: names, numbers and types, with what the attributes say worked in.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, ExprUnary, Fields, Generics, Item, Lit, Meta, Type, UnOp};

use super::attr::{At, Attr, Place};
use super::{Errors, name};

/// A struct or an enum that is to travel.
pub(super) struct Message {
    pub ident: Ident,
    /// The full name in protobuf, with where it was given.
    pub name: At<String>,
    pub docs: String,
    pub reserved: Vec<At<u32>>,
    pub kind: Kind,
}

pub(super) enum Kind {
    /// A struct: a message.
    Record(Vec<Field>),
    /// An enum with data: a message with one oneof.
    Oneof(Vec<Member>),
    /// An enum without: names for numbers.
    Enumeration(Vec<Value>),
}

#[derive(Clone)]
pub(super) struct Field {
    pub ident: Ident,
    pub ty: Type,
    pub tag: At<u32>,
    pub name: At<String>,
    pub json: String,
    pub docs: String,
}

pub(super) struct Member {
    pub ident: Ident,
    pub tag: At<u32>,
    pub name: At<String>,
    pub json: String,
    pub docs: String,
    pub body: Body,
    /// Whether it stands for what is absent or unknown.
    pub other: Option<Span>,
}

impl Member {
    /// Where the compiler says what the member's type cannot do.
    pub(super) fn span(&self) -> Span {
        match &self.body {
            Body::Single(ty) => ty.span(),
            _ => self.ident.span(),
        }
    }
}

pub(super) enum Body {
    Single(Type),
    Fields(Vec<Field>),
    Unit,
}

pub(super) struct Value {
    pub ident: Ident,
    pub number: At<i32>,
    /// Whether the number is what was meant: if one could not be read, that was reported.
    pub counted: bool,
    /// In JSON.
    pub name: At<String>,
    /// Without the enum's name before it; the same if the name was given.
    pub short: String,
    pub other: Option<Other>,
}

/// What takes the numbers that are not known.
pub(super) enum Other {
    /// A variant that forgets the number.
    Unit(Span),
    /// A variant that keeps it, in this type.
    Number(Span, Box<Type>),
}

impl Message {
    /// The item as we see it, `None` if it is nothing that travels. Our attributes are taken out of it.
    pub(super) fn from_item(args: TokenStream, item: &mut Item, errors: &mut Errors) -> Option<Self> {
        let attr = Attr::from_args(args, errors);
        match item {
            Item::Struct(item) => {
                refuse_generics(&item.generics, errors);
                refuse_derives(&mut item.attrs, errors);
                let kind = Kind::Record(fields(&mut item.fields, errors)?);
                Some(Self::new(&item.ident, &item.attrs, attr, kind))
            }
            Item::Enum(item) => {
                refuse_generics(&item.generics, errors);
                refuse_derives(&mut item.attrs, errors);
                let kind = variants(item, errors)?;
                Some(Self::new(&item.ident, &item.attrs, attr, kind))
            }
            Item::Union(item) => {
                let why =
                    "a union cannot travel: nobody knows which of its fields holds; use an enum with data";
                errors.push(item.union_token.span, why);
                None
            }
            other => {
                errors.push(other.span(), "`#[message]` goes on a struct or an enum");
                None
            }
        }
    }

    fn new(ident: &Ident, attrs: &[Attribute], attr: Attr, kind: Kind) -> Self {
        let name = attr.name.unwrap_or_else(|| At { value: name::plain(ident), span: ident.span() });
        Self { ident: ident.clone(), name, docs: docs(attrs), reserved: attr.reserved, kind }
    }

    /// The numbers that no field may take.
    pub(super) fn reserved(&self) -> Vec<u32> {
        self.reserved.iter().map(|number| number.value).collect()
    }

    /// The name in Rust, for errors.
    pub(super) fn rust_name(&self) -> String {
        name::plain(&self.ident)
    }
}

fn refuse_generics(generics: &Generics, errors: &mut Errors) {
    for parameter in &generics.params {
        let (what, mend) = match parameter {
            syn::GenericParam::Lifetime(_) => {
                ("a lifetime", "own what it borrows (`String`, `Bytes`, `Vec<u8>`)")
            }
            syn::GenericParam::Type(_) => ("a type parameter", "write the type out"),
            syn::GenericParam::Const(_) => ("a const parameter", "write the value out"),
        };
        errors.push(
            parameter.span(),
            format!("a message has one schema, and {what} would give it many: {mend}"),
        );
    }
}

/// serde's and prost's derives would write the same traits again.
fn refuse_derives(attrs: &mut Vec<Attribute>, errors: &mut Errors) {
    attrs.retain(|attribute| {
        if attribute.path().is_ident("message") {
            errors.push(attribute.span(), "`#[message]` stands here twice: put both into one");
            return false;
        }
        if attribute.path().is_ident("serde") {
            refuse_serde(attribute, errors);
            return false;
        }
        true
    });
    for attribute in attrs.iter_mut().filter(|attribute| attribute.path().is_ident("derive")) {
        let mut kept = Vec::new();
        let _ = attribute.parse_nested_meta(|meta| {
            let last = meta.path.segments.last().map(|segment| segment.ident.to_string());
            match last.as_deref() {
                Some(word @ ("Serialize" | "Deserialize")) => errors.push(
                    meta.path.span(),
                    format!("`#[message]` writes `{word}` itself, in proto3's JSON shape: take it out of the derives"),
                ),
                Some("Message") => errors.push(
                    meta.path.span(),
                    "`#[message]` takes the place of prost's `Message`: take it out of the derives",
                ),
                _ => kept.push(meta.path),
            }
            Ok(())
        });
        // The derive is left out only where it was refused: it would report the same once more, in other words.
        if let Meta::List(list) = &mut attribute.meta
            && !errors.0.is_empty()
        {
            list.tokens = quote!(#(#kept),*);
        }
    }
}

fn refuse_serde(attribute: &Attribute, errors: &mut Errors) {
    errors.push(
        attribute.span(),
        "`#[message]` writes serde's traits itself and doesn't read `#[serde(…)]`: a name is given by \
         `#[message(name = \"…\")]`",
    );
}

/// Of a struct, or of a variant that looks like one.
fn fields(fields: &mut Fields, errors: &mut Errors) -> Option<Vec<Field>> {
    let named = match fields {
        Fields::Unit => return Some(Vec::new()),
        Fields::Named(named) => named,
        Fields::Unnamed(unnamed) => {
            let why = "a message's fields have names in its schema: give them names, `struct Point { x: f64, y: f64 }`";
            errors.push(unnamed.span(), why);
            return None;
        }
    };
    let mut found = Vec::with_capacity(named.named.len());
    let mut next = 1;
    for field in &mut named.named {
        let attr = Attr::take(&mut field.attrs, Place::Field, errors);
        refuse_on_field(&mut field.attrs, errors);
        let Some(ident) = field.ident.clone() else { continue };
        let tag = attr.tag.unwrap_or_else(|| At { value: next, span: ident.span() });
        next = tag.value.saturating_add(1);
        let name = attr.name.unwrap_or_else(|| At { value: name::plain(&ident), span: ident.span() });
        let json = name::camel(&name.value);
        found.push(Field { ident, ty: field.ty.clone(), tag, name, json, docs: docs(&field.attrs) });
    }
    Some(found)
}

fn refuse_on_field(attrs: &mut Vec<Attribute>, errors: &mut Errors) {
    attrs.retain(|attribute| {
        if attribute.path().is_ident("serde") {
            refuse_serde(attribute, errors);
            return false;
        }
        if attribute.path().is_ident("cfg") {
            errors.push(
                attribute.span(),
                "a message has the same schema in every build: put `#[cfg]` on the whole type, or make this an \
                 `Option` that is always there",
            );
        }
        true
    });
}

/// Of an enum: whether one carries data decides what the enum is.
fn variants(item: &mut syn::ItemEnum, errors: &mut Errors) -> Option<Kind> {
    if item.variants.is_empty() {
        errors
            .push(item.ident.span(), "an enum without variants has no value that could travel: give it one");
        return None;
    }
    for variant in &mut item.variants {
        refuse_on_field(&mut variant.attrs, errors);
    }
    let is_other = |variant: &syn::Variant| {
        variant.attrs.iter().any(|attribute| {
            attribute.path().is_ident("message")
                && attribute.meta.require_list().is_ok_and(|list| {
                    list.tokens.clone().into_iter().any(|token| token.to_string() == "other")
                })
        })
    };
    let carries_data = |variant: &syn::Variant| match &variant.fields {
        Fields::Unit => false,
        // `Other(i32)` keeps a number and is no data.
        Fields::Unnamed(_) => !is_other(variant),
        Fields::Named(_) => true,
    };
    if item.variants.iter().any(carries_data) {
        members(item, errors).map(Kind::Oneof)
    } else {
        values(item, errors).map(Kind::Enumeration)
    }
}

fn members(item: &mut syn::ItemEnum, errors: &mut Errors) -> Option<Vec<Member>> {
    let mut found = Vec::with_capacity(item.variants.len());
    let mut next = 1;
    let mut complete = true;
    for variant in &mut item.variants {
        let attr = Attr::take(&mut variant.attrs, Place::Member, errors);
        let ident = variant.ident.clone();
        if let (Some(_), Some(tag)) = (attr.other, &attr.tag) {
            errors.push(tag.span, "`other` stands for what is absent or unknown, which has no tag");
        }
        let tag = attr.tag.unwrap_or_else(|| At { value: next, span: ident.span() });
        if attr.other.is_none() {
            next = tag.value.saturating_add(1);
        }
        let name =
            attr.name.unwrap_or_else(|| At { value: name::snake(&name::plain(&ident)), span: ident.span() });
        let json = name::camel(&name.value);
        let docs = docs(&variant.attrs);
        if let Some((_, number)) = &variant.discriminant {
            errors.push(number.span(), "a variant of an enum with data is numbered by `#[message(tag = …)]`");
        }
        let body = match &mut variant.fields {
            Fields::Unit => Body::Unit,
            Fields::Unnamed(one) if one.unnamed.len() == 1 => {
                for field in &mut one.unnamed {
                    // Nothing may be said here; it is taken out and reported.
                    let attr = Attr::take(&mut field.attrs, Place::Field, errors);
                    if let Some(span) = attr.tag.map(|tag| tag.span).or(attr.name.map(|name| name.span)) {
                        errors.push(span, "this is said of the variant, not of what is in it");
                    }
                    refuse_on_field(&mut field.attrs, errors);
                }
                Body::Single(one.unnamed[0].ty.clone())
            }
            Fields::Unnamed(several) => {
                errors.push(
                    several.span(),
                    "a variant holds one value, or fields with names: `Rect { w: u32, h: u32 }`",
                );
                complete = false;
                continue;
            }
            named => match fields(named, errors) {
                Some(fields) => Body::Fields(fields),
                None => continue,
            },
        };
        found.push(Member { ident, tag, name, json, docs, body, other: attr.other });
    }
    complete.then_some(found)
}

fn values(item: &mut syn::ItemEnum, errors: &mut Errors) -> Option<Vec<Value>> {
    let prefix = name::screaming(&name::plain(&item.ident));
    let mut found = Vec::with_capacity(item.variants.len());
    // The number of the next variant, `None` if the last one could not be read.
    let mut next = Some(0);
    let keeps_number = item.variants.iter().any(|variant| variant.fields != Fields::Unit);
    let has_repr = item.attrs.iter().any(|attribute| attribute.path().is_ident("repr"));
    for variant in &mut item.variants {
        let attr = Attr::take(&mut variant.attrs, Place::Value, errors);
        let ident = variant.ident.clone();
        let other = match (attr.other, &mut variant.fields) {
            (None, _) => None,
            (Some(span), Fields::Unit) => Some(Other::Unit(span)),
            (Some(span), Fields::Unnamed(one)) if one.unnamed.len() == 1 => {
                Some(Other::Number(span, Box::new(one.unnamed[0].ty.clone())))
            }
            (Some(_), fields) => {
                errors.push(fields.span(), "the variant for unknown numbers holds one `i32`: `Other(i32)`");
                return None;
            }
        };
        let (number, span) = match &variant.discriminant {
            None => (next, ident.span()),
            Some((_, written)) => (literal(written, errors), written.span()),
        };
        let (counted, number) = (number.is_some(), At { value: number.unwrap_or_default(), span });
        if !matches!(other, Some(Other::Number(..))) {
            if counted && variant.discriminant.is_none() && number.value == i32::MIN {
                errors.push(span, "the number before this is the last that fits in an `i32`: write one here");
            }
            next = counted.then(|| number.value.wrapping_add(1));
        }
        // Rust has no numbers on an enum that also holds one, unless its layout is given: ours are in the code below.
        if keeps_number && !has_repr {
            variant.discriminant = None;
        }
        let bare = name::screaming(&name::plain(&ident));
        let (name, short) = match attr.name {
            Some(name) => (At { value: name.value.clone(), span: name.span }, name.value),
            None => (At { value: format!("{prefix}_{bare}"), span: ident.span() }, bare),
        };
        found.push(Value { ident, number, counted, name, short, other });
    }
    Some(found)
}

/// A number as written: `3` or `-3`.
fn literal(expr: &Expr, errors: &mut Errors) -> Option<i32> {
    let (digits, sign) = match expr {
        Expr::Unary(ExprUnary { op: UnOp::Neg(_), expr, .. }) => (&**expr, "-"),
        other => (other, ""),
    };
    let Expr::Lit(ExprLit { lit: Lit::Int(number), .. }) = digits else {
        errors.push(expr.span(), "an enum's number that travels is written out, as `3`");
        return None;
    };
    let value = format!("{sign}{}", number.base10_digits()).parse().ok();
    if value.is_none() {
        errors.push(expr.span(), "an enum's number that travels fits in an `i32`");
    }
    value
}

/// The doc comment, a line a line.
fn docs(attrs: &[Attribute]) -> String {
    let lines: Vec<String> = attrs
        .iter()
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(meta) if meta.path.is_ident("doc") => match &meta.value {
                Expr::Lit(ExprLit { lit: Lit::Str(line), .. }) => {
                    let line = line.value();
                    Some(line.strip_prefix(' ').unwrap_or(&line).to_owned())
                }
                _ => None,
            },
            _ => None,
        })
        .collect();
    lines.join("\n")
}
