//! What a method's options say about its calls: `(rpc.v1.method)`, from `proto/rpc/v1/options.proto`.

use prost_reflect::{MethodDescriptor, ReflectMessage, Value};

use crate::error::Problem;

/// The policies of one method, as `#[rpc(…)]` takes them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Policy {
    /// As written, and known to be a duration; empty if not given.
    pub(crate) timeout: String,
    pub(crate) oneway: bool,
    pub(crate) idempotent: bool,
}

/// Reads the policies of `method`, which stands at `place`.
pub(crate) fn read(method: &MethodDescriptor, place: &str, problems: &mut Vec<Problem>) -> Policy {
    let options = method.options();
    let Some(extension) = options.descriptor().parent_pool().get_extension_by_name("rpc.v1.method") else {
        return Policy::default();
    };
    if !options.has_extension(&extension) {
        return Policy::default();
    }
    let value = options.get_extension(&extension);
    let Some(message) = value.as_message() else { return Policy::default() };
    let flag = |name| message.get_field_by_name(name).and_then(|value| value.as_bool()).unwrap_or(false);
    let text = |name| {
        let value = message.get_field_by_name(name);
        value.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let policy = Policy { timeout: text("timeout"), oneway: flag("oneway"), idempotent: flag("idempotent") };
    if !policy.timeout.is_empty() && !is_duration(&policy.timeout) {
        problems.push(Problem::new(
            place,
            format!("`{}` is not a timeout", policy.timeout),
            "write a whole number and a unit (us, ms, s or m): \"200ms\"",
        ));
    }
    policy
}

/// Whether this is what `#[rpc(timeout = …)]` takes.
fn is_duration(text: &str) -> bool {
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = text[..text.len() - unit.len()].parse::<u64>().unwrap_or(0);
    let in_micros = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        _ => 0,
    };
    number.checked_mul(in_micros).is_some_and(|micros| micros > 0)
}

#[cfg(test)]
mod tests {
    use super::is_duration;

    #[test]
    fn a_timeout_is_a_whole_number_and_a_unit() {
        for good in ["1ms", "200ms", "2s", "10m", "5us"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in [
            "",
            "ms",
            "200",
            "0s",
            "-1s",
            "1.5s",
            "1 s",
            "1h",
            "99999999999999999999s",
            "18446744073709551615m",
        ] {
            assert!(!is_duration(bad), "{bad}");
        }
    }
}
