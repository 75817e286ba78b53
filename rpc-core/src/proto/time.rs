//! Timestamps and durations as proto3's JSON spells them: RFC 3339 in UTC, and seconds with an `s`.
//!
//! Dates follow Howard Hinnant's "chrono-Compatible Low-Level Date Algorithms": days are counted in eras of 400 years
//! that start on the first of March, so that the leap day is the last of its year.

const NANOS: i32 = 1_000_000_000;
const DAY: i64 = 86_400;
/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z, the limits of a timestamp.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;
/// The limit of a duration, either way: about 10,000 years.
const LONGEST: u64 = 315_576_000_000;

/// `2026-01-31T12:00:00.500Z`; `None` if it is not in the years 1 to 9999.
pub(super) fn timestamp(seconds: i64, nanos: i32) -> Option<String> {
    if !(FIRST..=LAST).contains(&seconds) || !(0..NANOS).contains(&nanos) {
        return None;
    }
    let (year, month, day) = date(seconds.div_euclid(DAY));
    let second = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = fraction(nanos);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
}

/// `1.500s`; `None` if it is too long, or its parts have different signs.
pub(super) fn duration(seconds: i64, nanos: i32) -> Option<String> {
    let same_sign = seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0);
    if seconds.unsigned_abs() > LONGEST || nanos.unsigned_abs() >= NANOS as u32 || !same_sign {
        return None;
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    Some(format!("{sign}{}{}s", seconds.unsigned_abs(), fraction(nanos.abs())))
}

/// The fraction in 0, 3, 6 or 9 digits.
fn fraction(nanos: i32) -> String {
    match nanos {
        0 => String::new(),
        _ if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        _ if nanos % 1_000 == 0 => format!(".{:06}", nanos / 1_000),
        _ => format!(".{nanos:09}"),
    }
}

/// Reads a time of RFC 3339 with any offset from UTC.
pub(super) fn parse_timestamp(text: &str) -> Option<(i64, i32)> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    skip(&mut rest, b'-')?;
    let month = digits(&mut rest, 2)?;
    skip(&mut rest, b'-')?;
    let day = digits(&mut rest, 2)?;
    skip(&mut rest, b'T')?;
    let hour = digits(&mut rest, 2)?;
    skip(&mut rest, b':')?;
    let minute = digits(&mut rest, 2)?;
    skip(&mut rest, b':')?;
    let second = digits(&mut rest, 2)?;
    let nanos = parse_fraction(&mut rest)?;
    let offset = match rest {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), rest @ ..] => {
            let mut rest = rest;
            let hours = digits(&mut rest, 2)?;
            skip(&mut rest, b':')?;
            let minutes = digits(&mut rest, 2)?;
            if !rest.is_empty() || hours > 23 || minutes > 59 {
                return None;
            }
            let offset = hours * 3600 + minutes * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    if year < 1 || !(1..=12).contains(&month) || !(1..=month_days(year, month)).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days(year, month, day) * DAY + hour * 3600 + minute * 60 + second - offset;
    (FIRST..=LAST).contains(&seconds).then_some((seconds, nanos))
}

/// Reads seconds with an `s` behind them.
pub(super) fn parse_duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let (negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number),
    };
    let mut rest = number.as_bytes();
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=12).contains(&count) {
        return None;
    }
    let seconds = digits(&mut rest, count)?;
    let nanos = parse_fraction(&mut rest)?;
    if !rest.is_empty() || seconds.unsigned_abs() > LONGEST {
        return None;
    }
    Some(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
}

/// A point and 1 to 9 digits, in nanoseconds; 0 if there is no point.
fn parse_fraction(rest: &mut &[u8]) -> Option<i32> {
    if skip(rest, b'.').is_none() {
        return Some(0);
    }
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let value = digits(rest, count)? as i32;
    Some(value * 10_i32.pow(9 - count as u32))
}

fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (number, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    number.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

fn skip(rest: &mut &[u8], expected: u8) -> Option<()> {
    let tail = rest.strip_prefix(&[expected])?;
    *rest = tail;
    Some(())
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to this date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day, so many days after 1970-01-01.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_read_as_they_are_written() {
        let mut at = FIRST;
        while at <= LAST {
            let text = timestamp(at, 1).unwrap();
            assert_eq!(parse_timestamp(&text), Some((at, 1)), "{text}");
            at += 86_399 * 1_009;
        }
        assert_eq!(timestamp(FIRST, 0).unwrap(), "0001-01-01T00:00:00Z");
        assert_eq!(timestamp(LAST, 999_999_999).unwrap(), "9999-12-31T23:59:59.999999999Z");
        assert_eq!(timestamp(951_782_400, 500_000_000).unwrap(), "2000-02-29T00:00:00.500Z");
        assert_eq!(timestamp(-1, 1_000).unwrap(), "1969-12-31T23:59:59.000001Z");
        assert!(
            timestamp(LAST + 1, 0).is_none() && timestamp(0, -1).is_none() && timestamp(0, NANOS).is_none()
        );
    }

    #[test]
    fn offsets_count() {
        assert_eq!(parse_timestamp("1970-01-01T01:30:00+01:30"), Some((0, 0)));
        assert_eq!(parse_timestamp("1969-12-31T23:00:00.1-01:00"), Some((0, 100_000_000)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01t00:00:00Z",
            "1970-01-01T00:00:00z",
            "1970-02-29T00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "1970-01-01T00:00:60Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00+0100",
            "1970-01-01T00:00:00.1234567890Z",
            "10000-01-01T00:00:00Z",
            " 1970-01-01T00:00:00Z",
            "1970-1-1T00:00:00Z",
        ] {
            assert_eq!(parse_timestamp(text), None, "{text}");
        }
    }

    #[test]
    fn durations_have_one_sign() {
        assert_eq!(duration(-1, -500_000_000).unwrap(), "-1.500s");
        assert_eq!(duration(0, -1).unwrap(), "-0.000000001s");
        assert_eq!(duration(3, 0).unwrap(), "3s");
        assert!(duration(1, -1).is_none() && duration(315_576_000_001, 0).is_none());
        assert_eq!(parse_duration("-0.5s"), Some((0, -500_000_000)));
        assert_eq!(parse_duration("315576000000s"), Some((315_576_000_000, 0)));
        for text in
            ["", "s", "1", "1.s", ".5s", "+1s", "--1s", "1 s", "315576000001s", "1e3s", "1.0000000001s"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
