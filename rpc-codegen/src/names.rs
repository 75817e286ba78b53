//! What `#[service]` calls what it makes: here to see what it will clash with. `case` of `rpc-macros` has the same rules.

/// The type that stands for a method, and its name on the wire if nothing else is said: `say_hello` is `SayHello`.
pub(crate) fn marker(method: &str) -> String {
    let words = method.trim_start_matches("r#").split('_');
    let capital = |word: &str| {
        let mut chars = word.chars();
        chars
            .next()
            .map(|first| first.to_uppercase().collect::<String>() + chars.as_str())
            .unwrap_or_default()
    };
    words.map(capital).collect()
}

/// The module of a trait, without `r#`: `HTTPServer` is `http_server`.
pub(crate) fn module(service: &str) -> String {
    let chars: Vec<char> = service.chars().collect();
    let mut out = String::new();
    for (at, &now) in chars.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| chars[at]);
        let ends_run = chars.get(at + 1).is_some_and(|after| after.is_lowercase());
        if now.is_uppercase()
            && before.is_some_and(|before| before != '_' && (!before.is_uppercase() || ends_run))
        {
            out.push('_');
        }
        out.extend(now.to_lowercase());
    }
    // These may not be raw.
    if matches!(out.as_str(), "self" | "super" | "crate") {
        out.push('_');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{marker, module};

    #[test]
    fn names_are_those_of_the_macro() {
        for (method, name) in [("get_a1", "GetA1"), ("get_a_1", "GetA1"), ("r#type", "Type"), ("_1", "1")] {
            assert_eq!(marker(method), name);
        }
        for (service, name) in [
            ("BankAccount", "bank_account"),
            ("HTTPServer", "http_server"),
            ("A1B", "a1_b"),
            ("AB", "ab"),
            ("Type", "type"),
            ("Super", "super_"),
            ("Self_", "self_"),
            ("_1", "_1"),
        ] {
            assert_eq!(module(service), name);
        }
    }
}
