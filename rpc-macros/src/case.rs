//! Names in other cases: `say_hello` as a type is `SayHello`, `BankAccount` as a module is `bank_account`.

use proc_macro2::{Ident, Span};
use syn::ext::IdentExt;

/// `say_hello` as `SayHello`: what a method is called on the wire and as a type.
pub(crate) fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for word in name.split('_') {
        let mut chars = word.chars();
        if let Some(first) = chars.next() {
            out.extend(first.to_uppercase());
            out.push_str(chars.as_str());
        }
    }
    // `_1` and `__` have nothing that a type's name could begin with.
    match out.chars().next() {
        Some(first) if !first.is_numeric() => out,
        _ => format!("_{out}_"),
    }
}

/// `BankAccount` as `bank_account`; a run of capitals is one word: `HTTPServer` is `http_server`.
pub(crate) fn snake(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut out = String::with_capacity(name.len() + 4);
    for (at, &now) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let after = chars.get(at + 1);
        let starts_word = now.is_uppercase()
            && before.is_some_and(|before| {
                before != '_' && (!before.is_uppercase() || after.is_some_and(|after| after.is_lowercase()))
            });
        if starts_word {
            out.push('_');
        }
        out.extend(now.to_lowercase());
    }
    out
}

/// `NoSuchAccount` as `no such account`.
pub(crate) fn words(name: &str) -> String {
    snake(name).replace('_', " ")
}

/// The name of an identifier without its `r#`.
pub(crate) fn plain(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// A name that the macro made up, at the place of the one it is made from.
///
/// The place is the user's, so that errors point there; the context is the macro's, so that the compiler's lints take
/// it for what it is, generated. A keyword becomes raw (`r#type`), or gets a `_` if it may not be raw (`super_`).
pub(crate) fn ident(name: &str, at: Span) -> Ident {
    let span = Span::call_site().located_at(at);
    match name {
        "self" | "Self" | "super" | "crate" => Ident::new(&format!("{name}_"), span),
        name if syn::parse_str::<Ident>(name).is_ok() => Ident::new(name, span),
        name => Ident::new_raw(name, span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_become_types() {
        for (method, marker) in [
            ("hello", "Hello"),
            ("say_hello", "SayHello"),
            ("say__hello_", "SayHello"),
            ("sayHello", "SayHello"),
            ("get_v2_item", "GetV2Item"),
            ("_1", "_1_"),
            ("élan", "Élan"),
        ] {
            assert_eq!(camel(method), marker);
        }
    }

    #[test]
    fn traits_become_modules() {
        for (service, module) in [
            ("Greeter", "greeter"),
            ("BankAccount", "bank_account"),
            ("HTTPServer", "http_server"),
            ("GreeterV2", "greeter_v2"),
            ("A", "a"),
            ("Bank_Account", "bank_account"),
        ] {
            assert_eq!(snake(service), module);
        }
    }

    #[test]
    fn variants_become_words() {
        assert_eq!(words("NoSuchAccount"), "no such account");
    }

    #[test]
    fn keywords_become_names_that_may_be_used() {
        let made = |name| ident(name, Span::call_site()).to_string();
        assert_eq!(made("type"), "r#type");
        assert_eq!(made("super"), "super_");
        assert_eq!(made("Self"), "Self_");
        assert_eq!(made("Hello"), "Hello");
        assert_eq!(plain(&ident("type", Span::call_site())), "type");
    }
}
