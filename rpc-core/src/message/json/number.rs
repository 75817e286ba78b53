//! Numbers and `bool`. 64-bit integers go out as strings, since JavaScript's numbers hold only 53 bits; any number may
//! come in as a string, and an integer also as `1.0` or `1e3`.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::ser::Serializer;

/// Writes `true` or `false`.
#[inline]
pub fn write_bool<S: Serializer>(value: bool, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(value)
}

/// Writes a number.
#[inline]
pub fn write_i32<S: Serializer>(value: i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i32(value)
}

/// Writes a number.
#[inline]
pub fn write_u32<S: Serializer>(value: u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u32(value)
}

/// Writes a string of digits.
pub fn write_i64<S: Serializer>(value: i64, serializer: S) -> Result<S::Ok, S::Error> {
    write_digits(value.unsigned_abs(), value < 0, serializer)
}

/// Writes a string of digits.
pub fn write_u64<S: Serializer>(value: u64, serializer: S) -> Result<S::Ok, S::Error> {
    write_digits(value, false, serializer)
}

/// On the stack: the longest are twenty characters.
fn write_digits<S: Serializer>(mut value: u64, negative: bool, serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = [b'-'; 20];
    let mut start = text.len();
    loop {
        start -= 1;
        text[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    start -= usize::from(negative);
    match str::from_utf8(&text[start..]) {
        Ok(text) => serializer.serialize_str(text),
        Err(error) => Err(serde::ser::Error::custom(error)),
    }
}

/// Writes a number, or the name of what JSON has no number for.
pub fn write_f32<S: Serializer>(value: f32, serializer: S) -> Result<S::Ok, S::Error> {
    match special(f64::from(value)) {
        Some(name) => serializer.serialize_str(name),
        None => serializer.serialize_f32(value),
    }
}

/// Writes a number, or the name of what JSON has no number for.
pub fn write_f64<S: Serializer>(value: f64, serializer: S) -> Result<S::Ok, S::Error> {
    match special(value) {
        Some(name) => serializer.serialize_str(name),
        None => serializer.serialize_f64(value),
    }
}

fn special(value: f64) -> Option<&'static str> {
    match value {
        _ if value.is_finite() => None,
        _ if value.is_nan() => Some("NaN"),
        _ if value > 0.0 => Some("Infinity"),
        _ => Some("-Infinity"),
    }
}

/// Reads `true` or `false`.
#[inline]
pub fn bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::Deserialize::deserialize(deserializer)
}

macro_rules! integers {
    ($($type:ident)*) => {$(
        /// Reads an integer.
        #[inline]
        pub fn $type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
            deserializer.deserialize_any(Integer::<$type>(concat!("an integer of type ", stringify!($type)), PhantomData))
        }
    )*};
}
integers!(i32 i64 u32 u64);

struct Integer<T>(&'static str, PhantomData<T>);

impl<T: TryFrom<i64> + TryFrom<u64> + TryFrom<i128> + FromStr> Visitor<'_> for Integer<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    #[inline]
    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(Unexpected::Signed(value), &self))
    }

    #[inline]
    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::try_from(value).map_err(|_| E::invalid_value(Unexpected::Unsigned(value), &self))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        whole(value).ok_or_else(|| E::invalid_value(Unexpected::Float(value), &self))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        // Rust also parses `+1`, which is no number in JSON.
        let number = if text.starts_with('+') { None } else { text.parse().ok() };
        number
            .or_else(|| T::try_from(decimal(text)?).ok())
            .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// The integer that a float is, if it is one.
pub(super) fn whole<T: TryFrom<i128>>(value: f64) -> Option<T> {
    // The conversion to `i128` saturates, far outside of what any `T` takes.
    (value.fract() == 0.0).then(|| T::try_from(value as i128).ok()).flatten()
}

/// The integer that JSON's spelling of a number with a point or an exponent means, if it is one: exactly, for a float
/// would round it.
fn decimal(text: &str) -> Option<i128> {
    // More digits are no integer of 64 bits, unless the last ones are zeros; those are cut off below.
    const MOST: usize = 38;

    let (negative, plain) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (number, exponent) = match plain.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.strip_prefix('+').unwrap_or(exponent)),
        None => (plain, "0"),
    };
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (number, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    if whole.is_empty() || leading_zero || !digits(whole) || !digits(fraction) || exponent.starts_with('+') {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mut shift = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let all = [whole, fraction].concat();
    let mut all = all.trim_start_matches('0');
    while shift < 0 {
        all = match all.strip_suffix('0') {
            Some(rest) => rest,
            // Zero, however it is written.
            None if all.is_empty() => break,
            None => return None,
        };
        shift += 1;
    }
    if all.is_empty() {
        return Some(0);
    }
    let shift = usize::try_from(shift).ok()?;
    if all.len().checked_add(shift)? > MOST {
        return None;
    }
    let value = all.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(u32::try_from(shift).ok()?)?)?;
    Some(if negative { -value } else { value })
}

/// A number as JSON spells it: Rust also parses `inf`, `nan` and `+1`.
fn finite(text: &str) -> Option<f64> {
    let plain = text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    text.parse().ok().filter(|value: &f64| plain && value.is_finite())
}

/// Reads a float.
#[inline]
pub fn f64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    deserializer.deserialize_any(Float)
}

/// Reads a float that is not too large for 32 bits.
pub fn f32<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f32, D::Error> {
    let wide = deserializer.deserialize_any(Float)?;
    let narrow = wide as f32;
    if narrow.is_infinite() && wide.is_finite() {
        return Err(D::Error::invalid_value(Unexpected::Float(wide), &"a float of 32 bits"));
    }
    Ok(narrow)
}

struct Float;

impl Visitor<'_> for Float {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"NaN\", \"Infinity\" or \"-Infinity\"")
    }

    #[inline]
    fn visit_f64<E>(self, value: f64) -> Result<f64, E> {
        Ok(value)
    }

    fn visit_i64<E>(self, value: i64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_u64<E>(self, value: u64) -> Result<f64, E> {
        Ok(value as f64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<f64, E> {
        match text {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            _ => finite(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}
