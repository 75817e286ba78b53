//! [`Ctxt`]: where the passes put the errors that they find.
//!
//! Whoever writes a trait wants to hear everything that is wrong with it at once, not one thing a build. So no pass
//! stops at an error: it records it here and goes on with the rest, and the expansion asks once, at the end.

use std::cell::RefCell;
use std::fmt::Display;

use proc_macro2::Span;
use quote::ToTokens;

/// The errors of one expansion.
#[derive(Default)]
pub(crate) struct Ctxt(RefCell<Vec<syn::Error>>);

impl Ctxt {
    /// Nothing wrong yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An error that points at these tokens, from the first to the last.
    pub(crate) fn error(&self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// An error at this place.
    pub(crate) fn error_at(&self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    /// An error that `syn` or a parser of ours made.
    pub(crate) fn push(&self, error: syn::Error) {
        self.0.borrow_mut().push(error);
    }

    /// All errors as one, if there are any.
    pub(crate) fn check(self) -> syn::Result<()> {
        let mut errors = self.0.into_inner().into_iter();
        let Some(mut all) = errors.next() else { return Ok(()) };
        errors.for_each(|error| all.combine(error));
        Err(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_come_out_together_and_in_order() {
        let cx = Ctxt::new();
        cx.error_at(Span::call_site(), "first");
        cx.error_at(Span::call_site(), "second");
        let all: Vec<_> = cx.check().unwrap_err().into_iter().map(|error| error.to_string()).collect();
        assert_eq!(all, ["first", "second"]);
        assert!(Ctxt::new().check().is_ok());
    }
}
