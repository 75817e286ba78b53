//! `#[message]`: lets a struct or an enum travel.
//!
//! It goes through in passes, each in a file: [`ast`] is our own view of the item and [`attr`] of the attributes on
//! it, [`name`] makes protobuf's and JSON's names of Rust's, [`valid`] holds the whole against protobuf's rules, and
//! [`expand`] writes the code. A mistake doesn't end a pass: all are collected and reported at once, each on its own
//! span, and the item itself is always given back, so that no error follows from another.

mod ast;
mod attr;
mod expand;
mod fallback;
mod name;
mod valid;

use proc_macro2::{Span, TokenStream};
use quote::quote;

/// The mistakes found so far.
#[derive(Default)]
struct Errors(Vec<syn::Error>);

impl Errors {
    fn push(&mut self, span: Span, message: impl std::fmt::Display) {
        self.0.push(syn::Error::new(span, message));
    }

    fn to_compile_errors(&self) -> TokenStream {
        self.0.iter().map(syn::Error::to_compile_error).collect()
    }
}

/// The item without our attributes, and the code that makes it travel.
pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut item: syn::Item = match syn::parse2(item.clone()) {
        Ok(item) => item,
        Err(error) => {
            let error = error.to_compile_error();
            return quote!(#item #error);
        }
    };
    let mut errors = Errors::default();
    let message = ast::Message::from_item(args, &mut item, &mut errors);
    if let Some(message) = &message {
        valid::check(message, &mut errors);
    }
    let code = match &message {
        Some(message) if errors.0.is_empty() => expand::message(message),
        _ => fallback::stubs(&mut item),
    };
    let errors = errors.to_compile_errors();
    quote!(#item #code #errors)
}
