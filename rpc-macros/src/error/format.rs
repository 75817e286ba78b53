//! Messages with fields in braces: `"no account {id}"`, `"only {0} of {1:?}"`.

use std::fmt::Write;

use syn::LitStr;

/// The message with the places of a tuple's fields, `{0}`, turned into names, `{field_0}`, which `format!` takes from
/// the scope.
pub(crate) fn with_names(message: &LitStr) -> LitStr {
    let text = message.value();
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at + 1);
        out.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('{') {
            out.push('{');
            rest = after;
            continue;
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            // Writing to a string cannot fail.
            let _ = write!(out, "field_{}", &rest[..digits]);
            rest = &rest[digits..];
        }
    }
    out.push_str(rest);
    LitStr::new(&out, message.span())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proc_macro2::Span;

    #[test]
    fn only_places_become_names() {
        for (written, made) in [
            ("no account {id}", "no account {id}"),
            ("{0} of {1:?}", "{field_0} of {field_1:?}"),
            ("{{0}} {10}", "{{0}} {field_10}"),
            ("{0", "{field_0"),
            ("", ""),
        ] {
            assert_eq!(with_names(&LitStr::new(written, Span::call_site())).value(), made);
        }
    }
}
