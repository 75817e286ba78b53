//! Durations as attributes spell them: `"250us"`, `"200ms"`, `"3s"`, `"5m"`.

use std::time::Duration;

/// Reads a whole number with a unit; the error says what to write.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let in_micros: u64 = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        "m" => 60_000_000,
        _ => return Err(advice(text)),
    };
    let number: u64 = number.parse().map_err(|_| advice(text))?;
    match number.checked_mul(in_micros) {
        Some(0) => Err("a timeout of zero would fail every call; leave it out for none".to_owned()),
        Some(micros) => Ok(Duration::from_micros(micros)),
        None => Err(advice(text)),
    }
}

fn advice(text: &str) -> String {
    format!("`{text}` is no duration: write a whole number and a unit (us, ms, s or m), as in \"200ms\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_is_read() {
        assert_eq!(parse("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(parse("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(parse("3s"), Ok(Duration::from_secs(3)));
        assert_eq!(parse("5m"), Ok(Duration::from_secs(300)));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "200",
            "ms",
            "-1s",
            "1.5s",
            "1 s",
            "1h",
            "0s",
            "99999999999999999999s",
            "18446744073709551615m",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
