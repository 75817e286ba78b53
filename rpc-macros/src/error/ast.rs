//! Our view of the enum: an [`ErrorEnum`] of [`Variant`]s, and of what `#[rpc(…)]` says on them.
//!
//! There is no `#[cfg]` to see here: a derive is given what is left of its item after them.

use proc_macro2::Ident;
use quote::format_ident;
use syn::{Attribute, Data, DeriveInput, Fields, LitStr, Meta, Type};

use crate::attr;
use crate::case;
use crate::ctxt::Ctxt;
use crate::spelling;
use crate::wire_name;

/// The codes that a variant may have, as attributes spell them, and as `Code` does.
const CODES: [(&str, &str); 16] = [
    ("cancelled", "Cancelled"),
    ("unknown", "Unknown"),
    ("invalid_argument", "InvalidArgument"),
    ("deadline_exceeded", "DeadlineExceeded"),
    ("not_found", "NotFound"),
    ("already_exists", "AlreadyExists"),
    ("permission_denied", "PermissionDenied"),
    ("resource_exhausted", "ResourceExhausted"),
    ("failed_precondition", "FailedPrecondition"),
    ("aborted", "Aborted"),
    ("out_of_range", "OutOfRange"),
    ("unimplemented", "Unimplemented"),
    ("internal", "Internal"),
    ("unavailable", "Unavailable"),
    ("data_loss", "DataLoss"),
    ("unauthenticated", "Unauthenticated"),
];

/// An enum with `#[derive(RpcError)]`.
pub(crate) struct ErrorEnum<'a> {
    pub(crate) ident: &'a Ident,
    /// The variants that travel with their fields.
    pub(crate) variants: Vec<Variant<'a>>,
    /// The variant that holds every other status.
    pub(crate) status: &'a Ident,
    /// `Display` and `Error` are the user's, or another derive's.
    pub(crate) own_display: bool,
}

/// A variant that travels.
pub(crate) struct Variant<'a> {
    pub(crate) ident: &'a Ident,
    /// Under which its fields travel: `demo.v1.BankError.NoSuchAccount`.
    pub(crate) type_name: String,
    /// The variant of `Code`.
    pub(crate) code: Ident,
    /// The status' message: a format string over the fields.
    pub(crate) message: LitStr,
    /// Whether its fields have places and no names.
    pub(crate) is_tuple: bool,
    /// Name (made up for a tuple) and type of each field.
    pub(crate) fields: Vec<(Ident, &'a Type)>,
}

/// What `#[rpc(…)]` says on a variant.
#[derive(Default)]
struct VariantAttrs {
    code: Option<LitStr>,
    message: Option<LitStr>,
    status: Option<Meta>,
}

impl<'a> ErrorEnum<'a> {
    /// `None` if the enum cannot be understood; the reasons are in `cx`.
    pub(crate) fn from_syn(item: &'a DeriveInput, cx: &Ctxt) -> Option<Self> {
        let Data::Enum(data) = &item.data else {
            cx.error(&item.ident, "`RpcError` is for enums: make each kind of error a variant");
            return None;
        };
        if !item.generics.params.is_empty() {
            cx.error(&item.generics, "an error that travels has no generics: name the types");
        }
        let (name, own_display) = enum_attrs(item, cx);

        let mut variants = Vec::new();
        let mut status: Option<&Ident> = None;
        for variant in &data.variants {
            let attrs = VariantAttrs::parse(&variant.attrs, cx);
            match &attrs.status {
                Some(_) => {
                    status_variant(variant, &attrs, cx);
                    if let Some(first) = status {
                        cx.error(
                            &variant.ident,
                            format_args!(
                                "`{first}` holds foreign statuses already, and one place is enough: give this variant a \
                                 code, or leave it out"
                            ),
                        );
                    }
                    status.get_or_insert(&variant.ident);
                }
                None => variants.extend(Variant::from_syn(variant, attrs, &name, cx)),
            }
        }
        if status.is_none() {
            cx.error(
                &item.ident,
                "statuses that are none of these errors (a lost connection, a deadline) need a place: add a variant \
                 `#[rpc(status)] Other(Status)`",
            );
        }
        Some(Self { ident: &item.ident, variants, status: status?, own_display })
    }
}

impl<'a> Variant<'a> {
    fn from_syn(variant: &'a syn::Variant, attrs: VariantAttrs, name: &str, cx: &Ctxt) -> Option<Self> {
        let plain = case::plain(&variant.ident);
        let mut travels = true;
        for field in &variant.fields {
            travels &= spelling::check(&field.ty, cx);
        }
        let fields = variant.fields.iter().enumerate().map(|(at, field)| match &field.ident {
            Some(ident) => (ident.clone(), &field.ty),
            None => (format_ident!("field_{at}"), &field.ty),
        });
        let Some(code) = &attrs.code else {
            cx.error(
                &variant.ident,
                format_args!(
                    "which code does `{plain}` have? Say it with `#[rpc(code = \"not_found\")]`; {}",
                    code_list()
                ),
            );
            return None;
        };
        let Some((_, code)) = CODES.iter().find(|(name, _)| *name == code.value()) else {
            cx.error(code, format_args!("`{}` is no code; {}", code.value(), code_list()));
            return None;
        };
        travels.then(|| Self {
            ident: &variant.ident,
            type_name: format!("{name}.{plain}"),
            code: format_ident!("{code}"),
            message: attrs.message.unwrap_or_else(|| {
                // Whatever a name is made of, braces are not among it.
                LitStr::new(&case::words(&plain), variant.ident.span())
            }),
            is_tuple: matches!(variant.fields, Fields::Unnamed(_)),
            fields: fields.collect(),
        })
    }
}

impl VariantAttrs {
    fn parse(attrs: &[Attribute], cx: &Ctxt) -> Self {
        let mut out = Self::default();
        for meta in attr::rpc_metas(attrs, cx) {
            match &meta {
                Meta::NameValue(value) if value.path.is_ident("code") => {
                    attr::once(out.code.is_some(), &meta, cx);
                    out.code = attr::text(value, "not_found", cx);
                }
                Meta::NameValue(value) if value.path.is_ident("message") => {
                    attr::once(out.message.is_some(), &meta, cx);
                    out.message = attr::text(value, "no account {id}", cx);
                }
                Meta::Path(path) if path.is_ident("status") => {
                    attr::once(out.status.is_some(), &meta, cx);
                    out.status = Some(meta);
                }
                meta => cx.error(
                    meta.path(),
                    format_args!(
                        "`#[rpc]` on a variant is `code = \"not_found\"`, `message = \"no account {{id}}\"` or `status`, \
                         not `{}`",
                        attr::word(meta)
                    ),
                ),
            }
        }
        out
    }
}

/// The name that the enum travels under, and whether it has a `Display` of its own.
fn enum_attrs(item: &DeriveInput, cx: &Ctxt) -> (String, bool) {
    let mut name = None;
    let mut own_display = false;
    for meta in attr::rpc_metas(&item.attrs, cx) {
        match &meta {
            Meta::NameValue(value) if value.path.is_ident("name") => {
                attr::once(name.is_some(), &meta, cx);
                name = attr::text(value, "demo.v1.BankError", cx);
            }
            Meta::Path(path) if path.is_ident("own_display") => {
                attr::once(own_display, &meta, cx);
                own_display = true;
            }
            meta => cx.error(
                meta,
                format_args!(
                    "`#[rpc]` on an error is `name = \"demo.v1.BankError\"` or `own_display`, not `{}`",
                    attr::word(meta)
                ),
            ),
        }
    }
    let (name, span) = match name {
        Some(text) => (text.value(), text.span()),
        None => (case::plain(&item.ident), item.ident.span()),
    };
    if !wire_name::is_full(&name) {
        cx.error_at(
            span,
            format_args!(
                "`{name}` cannot be an error's name: use ASCII letters, digits and `_`, with dots between the parts, as \
                 in `#[rpc(name = \"demo.v1.BankError\")]`"
            ),
        );
    }
    (name, own_display)
}

fn status_variant(variant: &syn::Variant, attrs: &VariantAttrs, cx: &Ctxt) {
    if !matches!(&variant.fields, Fields::Unnamed(fields) if fields.unnamed.len() == 1) {
        cx.error(
            variant,
            format_args!("the variant holds a status and nothing else: write `{}(Status)`", variant.ident),
        );
    }
    for said in [&attrs.code, &attrs.message].into_iter().flatten() {
        cx.error_at(
            said.span(),
            "the status that the variant holds has a code and a message: leave this out",
        );
    }
}

fn code_list() -> String {
    let names: Vec<_> = CODES.iter().map(|(name, _)| *name).collect();
    format!("the codes are {}", names.join(", "))
}
