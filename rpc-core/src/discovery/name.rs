//! What services and instances may be called in a registry, and how their names become parts of keys and paths.
//!
//! ```
//! use rpc_core::discovery::name;
//!
//! name::check_service("demo.v1.Greeter")?;
//! assert!(name::check_service("a/b").is_err());
//! assert_eq!(name::encode("unix:///run/a.sock"), "unix:%2F%2F%2Frun%2Fa.sock");
//! assert_eq!(name::decode("unix:%2F%2F%2Frun%2Fa.sock").as_deref(), Some("unix:///run/a.sock"));
//! # Ok::<(), rpc_core::Status>(())
//! ```

use crate::status::Status;

/// How many bytes a name may have once it is encoded: a file's name has 255 at most, and needs an ending.
pub const MAX_LENGTH: usize = 200;

/// Whether a service, or an application, can have this name in a registry.
///
/// # Errors
/// `INVALID_ARGUMENT` for one that is empty, too long, or holds a slash or a control character.
pub fn check_service(service: &str) -> Result<(), Status> {
    if service.contains('/') {
        return Err(wrong("service", service, "it holds a slash"));
    }
    check("service", service)
}

/// Whether an instance can have this id.
///
/// # Errors
/// `INVALID_ARGUMENT` for one that is empty, too long, or holds a control character.
pub fn check_id(id: &str) -> Result<(), Status> {
    check("instance", id)
}

fn check(what: &str, name: &str) -> Result<(), Status> {
    if name.is_empty() {
        return Err(wrong(what, name, "it is empty"));
    }
    if name.chars().any(char::is_control) {
        return Err(wrong(what, name, "it holds a control character"));
    }
    // Whoever sends a name of a megabyte need not have it encoded.
    if name.len() > MAX_LENGTH || encode(name).len() > MAX_LENGTH {
        return Err(wrong(what, &name.chars().take(40).collect::<String>(), "it is too long"));
    }
    Ok(())
}

fn wrong(what: &str, name: &str, why: &str) -> Status {
    Status::invalid_argument(format!("{name:?} cannot be registered as the name of {what}: {why}"))
}

/// The name as one part of a key or a path: `%` and two hexadecimal digits for each byte that is no ASCII letter or
/// digit and not one of `-._~:@`, and for a dot at the beginning.
pub fn encode(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for (at, byte) in name.bytes().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"-_~:@".contains(&byte) || (byte == b'.' && at > 0);
        if plain {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The name that was [encoded](encode), or nothing if this cannot be.
pub fn decode(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            bytes.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back_and_is_one_part_of_a_path() {
        for name in ["a", "..", ".hidden", "a/b", "a%2Fb", "naïve name", "unix:///x", "[::1]:80"] {
            let encoded = encode(name);
            assert_eq!(decode(&encoded).as_deref(), Some(name), "{encoded}");
            assert!(!encoded.contains('/') && !encoded.starts_with('.'), "{encoded}");
        }
    }

    #[test]
    fn what_nobody_encoded_is_no_name() {
        for text in ["%", "%4", "%zz", "%FF"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_wrong_name_says_what_is_wrong() {
        for (name, part) in
            [("", "empty"), ("a/b", "slash"), ("a\nb", "control"), (&"ä".repeat(90), "too long")]
        {
            let error = check_service(name).unwrap_err().to_string();
            assert!(error.contains(part), "{name}: {error}");
        }
        assert!(check_id("unix:///run/a.sock").is_ok());
    }
}
