//! From Rust's names to protobuf's and JSON's.

use proc_macro2::Ident;
use syn::ext::IdentExt;

/// The name as it reads: `r#type` is `type`.
pub(super) fn plain(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// `HttpStatus` to `http_status`; `HTTPStatus` too.
pub(super) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (at, &c) in chars.iter().enumerate() {
        if c.is_uppercase() && at > 0 && chars[at - 1] != '_' {
            let after_lower = !chars[at - 1].is_uppercase();
            let before_lower = chars.get(at + 1).is_some_and(|next| next.is_lowercase());
            if after_lower || before_lower {
                out.push('_');
            }
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// `HttpStatus` to `HTTP_STATUS`.
pub(super) fn screaming(name: &str) -> String {
    snake(name).to_uppercase()
}

/// Protobuf's rule for the JSON name of a field: underscores go, and what follows one is in upper case.
pub(super) fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}

/// Whether protobuf takes it as a name.
pub(super) fn is_identifier(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_protobufs_style() {
        for (rust, expected) in [
            ("Red", "red"),
            ("DarkRed", "dark_red"),
            ("HTTPStatus", "http_status"),
            ("V2", "v2"),
            ("Utf8Text", "utf8_text"),
            ("already_snake", "already_snake"),
            ("A", "a"),
            ("AB", "ab"),
        ] {
            assert_eq!(snake(rust), expected);
        }
        assert_eq!(screaming("DarkRed"), "DARK_RED");
        for (proto, expected) in [
            ("user_name", "userName"),
            ("x", "x"),
            ("_x", "X"),
            ("a_1", "a1"),
            ("a__b", "aB"),
            ("mixedCase_b", "mixedCaseB"),
        ] {
            assert_eq!(camel(proto), expected);
        }
    }
}
