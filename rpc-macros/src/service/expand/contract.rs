//! The trait itself.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{FnArg, ItemTrait, ReturnType, TraitItem, parse_quote, parse_quote_spanned, spanned::Spanned};

use crate::attr;
use crate::service::ast::Service;

/// The trait with its `async fn`s spelled out, so that the futures are known to be `Send`.
pub(super) fn contract(service: &Service<'_>) -> TokenStream {
    let mut item = stripped(service.item);
    item.colon_token = Some(Default::default());
    item.supertraits = parse_quote! {
        ::rpc_core::private::marker::Send + ::rpc_core::private::marker::Sync + 'static
    };
    for method in &mut item.items {
        let TraitItem::Fn(method) = method else { continue };
        let ReturnType::Type(_, result) = &method.sig.output else { continue };
        method.sig.asyncness = None;
        // At the result's place: a type that is not found is reported there, and not at the attribute.
        method.sig.output = parse_quote_spanned! {result.span()=>
            -> impl ::rpc_core::private::Future<Output = #result> + ::rpc_core::private::marker::Send
        };
    }
    item.into_token_stream()
}

/// The trait without our attributes, and without what the compiler would complain of as well: what is left of a service
/// that breaks a rule.
pub(in crate::service) fn as_written(item: &ItemTrait) -> TokenStream {
    let mut item = stripped(item);
    for method in &mut item.items {
        let TraitItem::Fn(method) = method else { continue };
        // A pattern is our error to report; a body that uses its names is allowed to have one.
        for arg in method.sig.inputs.iter_mut().filter(|_| method.default.is_none()) {
            if let FnArg::Typed(arg) = arg {
                arg.pat = parse_quote!(_);
            }
        }
    }
    quote! {
        #[allow(async_fn_in_trait, non_camel_case_types)]
        #item
    }
}

fn stripped(item: &ItemTrait) -> ItemTrait {
    let mut item = item.clone();
    for method in &mut item.items {
        if let TraitItem::Fn(method) = method {
            method.attrs.retain(|attribute| !attr::is_rpc(attribute));
        }
    }
    item
}
