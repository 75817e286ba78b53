//! `#[derive(RpcError)]`: an enum of errors that becomes a status and comes back out of one.
//!
//! The same passes as a service's: [`ast`] (the enum as we see it, and its attributes), [`expand`] (the code). The
//! rules are few, so each stands where the thing it is about is read.

mod ast;
mod expand;
mod format;

use proc_macro2::TokenStream;

use crate::ctxt::Ctxt;

/// The whole of the derive.
pub(crate) fn expand(item: TokenStream) -> TokenStream {
    let item = match syn::parse2(item) {
        Ok(item) => item,
        Err(error) => return error.into_compile_error(),
    };
    let cx = Ctxt::new();
    let error = ast::ErrorEnum::from_syn(&item, &cx);
    match (cx.check(), error) {
        (Ok(()), Some(error)) => expand::conversions(&error),
        (Ok(()), None) => TokenStream::new(),
        (Err(errors), _) => expand::fallback(&item, &errors),
    }
}
