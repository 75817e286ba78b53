//! Reading attributes: the parts that `#[service]` and `#[derive(RpcError)]` have in common.

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::parse::Parser;
use syn::punctuated::Punctuated;
use syn::{Attribute, Expr, ExprLit, Lit, LitStr, Meta, MetaNameValue, Token};

use crate::ctxt::Ctxt;

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
pub(crate) fn metas(tokens: TokenStream, cx: &Ctxt) -> Vec<Meta> {
    match Punctuated::<Meta, Token![,]>::parse_terminated.parse2(tokens) {
        Ok(metas) => metas.into_iter().collect(),
        Err(error) => {
            cx.push(error);
            Vec::new()
        }
    }
}

/// The string of a `name = "…"`.
pub(crate) fn text(value: &MetaNameValue, example: &str, cx: &Ctxt) -> Option<LitStr> {
    match &value.value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.clone()),
        other => {
            cx.error(
                other,
                format_args!(
                    "write it in quotation marks, as in `{} = \"{example}\"`",
                    value.path.to_token_stream()
                ),
            );
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
