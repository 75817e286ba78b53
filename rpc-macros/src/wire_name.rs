//! Which names may travel: those that a protobuf schema could have.

/// Whether it is one name, `SayHello`: ASCII letters, digits and `_`, not beginning with a digit.
pub(crate) fn is_simple(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether it is a full name, `demo.v1.Greeter`: simple names with dots between them.
pub(crate) fn is_full(name: &str) -> bool {
    name.split('.').all(is_simple)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_names_are_simple_names_with_dots() {
        assert!(is_full("demo.v1.Greeter") && is_full("Greeter") && is_full("_x9"));
        for name in ["", ".", "a.", ".a", "a..b", "a/b", "1a", "a b", "é"] {
            assert!(!is_full(name), "{name}");
        }
        assert!(!is_simple("a.b"));
    }
}
