//! What the attributes say: `#[service(…)]` on the trait, `#[rpc(…)]` on its methods, and the reading of doc comments
//! and `#[cfg]`s.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta, MetaNameValue, Path, Token};

use crate::ctxt::Ctxt;
use crate::duration;

/// What `#[service(…)]` says.
#[derive(Default)]
pub(crate) struct ServiceAttrs {
    pub(crate) name: Option<(String, Span)>,
    pub(crate) codecs: Option<Vec<Codec>>,
}

/// What all `#[rpc(…)]` of a method say.
#[derive(Default)]
pub(crate) struct RpcAttrs {
    pub(crate) name: Option<(String, Span)>,
    pub(crate) oneway: Option<Span>,
    pub(crate) idempotent: bool,
    pub(crate) spawn: bool,
    pub(crate) timeout: Option<Duration>,
}

/// A codec of the service.
pub(crate) enum Codec {
    /// `Protobuf` or `Json`: ours, whatever these words mean where the trait stands.
    Ours(&'static str),
    /// Any other path, looked up where the trait stands.
    Users(Path),
}

impl Codec {
    /// The codecs of a service that names none.
    pub(crate) fn defaults() -> Vec<Self> {
        vec![Self::Ours("Protobuf"), Self::Ours("Json")]
    }

    /// The codec's type; complaints of the compiler about one of ours point to `span`.
    pub(crate) fn path(&self, span: Span) -> TokenStream {
        match self {
            Self::Ours(name) => {
                let name = proc_macro2::Ident::new(name, span);
                quote_spanned!(span=> ::rpc_core::private::#name)
            }
            Self::Users(path) => path.to_token_stream(),
        }
    }
}

impl ServiceAttrs {
    pub(crate) fn parse(args: TokenStream, cx: &Ctxt) -> Self {
        let mut out = Self::default();
        for meta in metas(args, cx) {
            match &meta {
                Meta::NameValue(value) if value.path.is_ident("name") => {
                    once(out.name.is_some(), &meta, cx);
                    out.name = text(value, cx).map(|text| (text.value(), text.span()));
                }
                Meta::List(list) if list.path.is_ident("codecs") => {
                    once(out.codecs.is_some(), &meta, cx);
                    out.codecs = Some(codecs(&meta, list.tokens.clone(), cx));
                }
                meta if meta.path().is_ident("name") => {
                    cx.error(meta, "write the name as a string: `name = \"demo.v1.Greeter\"`");
                }
                meta if meta.path().is_ident("codecs") => {
                    cx.error(meta, "list the codecs in parentheses: `codecs(Protobuf, Json)`");
                }
                meta => cx.error(
                    meta.path(),
                    format_args!(
                        "`#[service]` knows no `{}`; it knows `name = \"demo.v1.Greeter\"` and `codecs(Protobuf, Json)`",
                        meta.path().to_token_stream()
                    ),
                ),
            }
        }
        out
    }
}

impl RpcAttrs {
    pub(crate) fn parse(attrs: &[Attribute], cx: &Ctxt) -> Self {
        let mut out = Self::default();
        for meta in rpc_metas(attrs, cx) {
            match &meta {
                Meta::NameValue(value) if value.path.is_ident("name") => {
                    once(out.name.is_some(), &meta, cx);
                    out.name = text(value, cx).map(|text| (text.value(), text.span()));
                }
                Meta::NameValue(value) if value.path.is_ident("timeout") => {
                    once(out.timeout.is_some(), &meta, cx);
                    out.timeout = text(value, cx).and_then(|text| {
                        duration::parse(&text.value()).map_err(|error| cx.error(&text, error)).ok()
                    });
                }
                Meta::Path(path) if path.is_ident("oneway") => {
                    once(out.oneway.is_some(), &meta, cx);
                    out.oneway = Some(path.span());
                }
                Meta::Path(path) if path.is_ident("idempotent") => {
                    once(out.idempotent, &meta, cx);
                    out.idempotent = true;
                }
                Meta::Path(path) if path.is_ident("spawn") => {
                    once(out.spawn, &meta, cx);
                    out.spawn = true;
                }
                meta if ["name", "timeout"].iter().any(|name| meta.path().is_ident(name)) => cx.error(
                    meta,
                    format_args!("`{}` takes a string, as in `name = \"SayHello\"`, `timeout = \"200ms\"`", word(meta)),
                ),
                meta if ["oneway", "idempotent", "spawn"].iter().any(|name| meta.path().is_ident(name)) => {
                    cx.error(meta, format_args!("`{0}` takes no value: write `{0}` alone", word(meta)));
                }
                meta => cx.error(
                    meta.path(),
                    format_args!(
                        "`#[rpc]` on a method knows no `{}`; it knows `name = \"SayHello\"`, `oneway`, `idempotent`, \
                         `spawn` and `timeout = \"200ms\"`",
                        word(meta)
                    ),
                ),
            }
        }
        out
    }
}

/// Everything inside of the `#[rpc(…)]` attributes among these.
pub(crate) fn rpc_metas(attrs: &[Attribute], cx: &Ctxt) -> Vec<Meta> {
    let mut out = Vec::new();
    for attr in attrs.iter().filter(|attr| is_rpc(attr)) {
        match &attr.meta {
            Meta::List(list) => out.extend(metas(list.tokens.clone(), cx)),
            meta => cx.error(meta, "`#[rpc]` says something in parentheses, as in `#[rpc(idempotent)]`"),
        }
    }
    out
}

/// The parts of an attribute, between commas.
fn metas(tokens: TokenStream, cx: &Ctxt) -> Vec<Meta> {
    match Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens) {
        Ok(metas) => metas.into_iter().collect(),
        Err(error) => {
            cx.push(error);
            Vec::new()
        }
    }
}

fn codecs(meta: &Meta, tokens: TokenStream, cx: &Ctxt) -> Vec<Codec> {
    let paths = match Punctuated::<Path, Token![,]>::parse_terminated.parse2(tokens) {
        Ok(paths) => paths,
        Err(error) => {
            cx.push(error);
            return Codec::defaults();
        }
    };
    if paths.is_empty() {
        cx.error(
            meta,
            "a service speaks at least one codec: name it, or leave `codecs` out for `Protobuf` and `Json`",
        );
    }
    for (at, path) in paths.iter().enumerate() {
        if paths.iter().take(at).any(|before| before == path) {
            cx.error(path, "this codec is listed already: leave one out");
        }
    }
    let ours = |path: &Path| ["Protobuf", "Json"].into_iter().find(|name| path.is_ident(name));
    paths.into_iter().map(|path| ours(&path).map_or_else(|| Codec::Users(path), Codec::Ours)).collect()
}

/// The string of a `name = "…"`.
pub(crate) fn text(value: &MetaNameValue, cx: &Ctxt) -> Option<LitStr> {
    match &value.value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.clone()),
        other => {
            cx.error(other, "this has to be a string in quotation marks");
            None
        }
    }
}

/// Complains of something that is said twice.
pub(crate) fn once(said: bool, meta: &Meta, cx: &Ctxt) {
    if said {
        cx.error(meta, format_args!("`{}` is said already: leave one out", word(meta)));
    }
}

/// What the meta is about.
pub(crate) fn word(meta: &Meta) -> String {
    meta.path().to_token_stream().to_string()
}

/// Whether the attribute is ours, to be taken off.
pub(crate) fn is_rpc(attr: &Attribute) -> bool {
    attr.path().is_ident("rpc")
}

/// Whether the attribute decides if the item is there.
pub(crate) fn is_conditional(attr: &Attribute) -> bool {
    attr.path().is_ident("cfg") || attr.path().is_ident("cfg_attr")
}

/// The `#[cfg]`s among these.
pub(crate) fn cfgs(attrs: &[Attribute]) -> Vec<&Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect()
}

/// The doc comments and deprecations among these: what a generated copy of the item should have as well.
pub(crate) fn shown(attrs: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attrs.iter().filter(|attr| attr.path().is_ident("doc") || attr.path().is_ident("deprecated"))
}

/// The text of the doc comments: lines as written, without the space that follows the slashes.
pub(crate) fn docs(attrs: &[Attribute]) -> String {
    let lines = attrs.iter().filter_map(|attr| match &attr.meta {
        Meta::NameValue(MetaNameValue {
            path,
            value: Expr::Lit(ExprLit { lit: Lit::Str(text), .. }),
            ..
        }) if path.is_ident("doc") => {
            let text = text.value();
            Some(text.strip_prefix(' ').unwrap_or(&text).trim_end().to_owned())
        }
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn docs_are_the_lines_as_written() {
        let item: syn::ItemStruct = parse_quote! {
            /// One.
            ///   - indented
            #[derive(Debug)]
            struct S;
        };
        assert_eq!(docs(&item.attrs), "One.\n  - indented");
    }
}
