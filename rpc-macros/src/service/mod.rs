//! `#[service]`: a trait in; the trait, a client, a server and a description out.
//!
//! In passes, each a file: [`ast`] is our view of the trait (with [`attr`] for what its attributes say), [`valid`] holds
//! the rules, [`expand`] writes the code, and [`fallback`] what is written in place of it if a rule is broken.

mod ast;
mod attr;
mod expand;
mod fallback;
mod valid;

use proc_macro2::TokenStream;
use quote::quote;
use syn::Item;

use crate::ctxt::Ctxt;

/// The whole of the attribute.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let item = match syn::parse2(item) {
        Ok(Item::Trait(item)) => item,
        Ok(other) => {
            let message = "`#[service]` goes on a trait: its methods are what can be called";
            let error = syn::Error::new(proc_macro2::Span::call_site(), message).into_compile_error();
            return quote!(#error #other);
        }
        // Without the item: the compiler would report its syntax a second time.
        Err(error) => return error.into_compile_error(),
    };

    let cx = Ctxt::new();
    let service = ast::Service::from_syn(args, &item, &cx);
    valid::check(&service, &cx);
    match cx.check() {
        Ok(()) => expand::service(&service),
        Err(error) => fallback::service(&service, &error),
    }
}
