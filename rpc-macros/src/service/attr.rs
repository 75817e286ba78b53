//! What the attributes say: `#[service(…)]` on the trait, `#[rpc(…)]` on its methods.

use std::time::Duration;

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Attribute, Meta, Path, Token};

use crate::attr::{metas, once, rpc_metas, text, word};
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
                    out.name = text(value, "demo.v1.Greeter", cx).map(|text| (text.value(), text.span()));
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
                    out.name = text(value, "SayHello", cx).map(|text| (text.value(), text.span()));
                }
                Meta::NameValue(value) if value.path.is_ident("timeout") => {
                    once(out.timeout.is_some(), &meta, cx);
                    out.timeout = text(value, "200ms", cx).and_then(|text| {
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
