//! [`Metadata`]: named values that travel beside a request, a reply or an error.
//!
//! ```
//! use rpc_core::Metadata;
//!
//! let mut metadata = Metadata::new();
//! metadata.insert("tenant", "a")?;
//! metadata.append("tag", "x")?;
//! metadata.append("tag", "y")?;
//! assert_eq!(metadata.get("tenant"), Some("a"));
//! assert_eq!(metadata.get_all("tag").collect::<Vec<_>>(), [b"x", b"y"]);
//! # Ok::<(), rpc_core::InvalidName>(())
//! ```

use std::fmt;

use bytes::Bytes;

/// Named values beside a message, in the order in which they were added. A name may occur more than once.
///
/// Names are 1 to 128 bytes of `a-z`, `0-9`, `-`, `_` and `.`; values are any bytes, most often UTF-8. How much of it
/// may travel is a limit of the connection: by default 16 KiB of header in all, and 128 entries.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    // A list and not a map: there are few entries, and order is kept. In a box, because a call moves and drops half a
    // dozen of these, nearly always empty: one word that is null costs less than three (200 instructions less a call).
    // `None` if there are no entries, so that equal ones are equal.
    #[expect(clippy::box_collection, reason = "that is the point: see above")]
    entries: Option<Box<Vec<Entry>>>,
}

type Entry = (Box<str>, Bytes);

/// The longest name, in bytes: a name's length is one byte on the wire, and the upper half of it is kept free.
pub const MAX_NAME: usize = 128;

/// A metadata name with a character that is not allowed, empty, or too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName(String);

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no metadata name: use 1 to {MAX_NAME} characters of a-z, 0-9, '-', '_' and '.'",
            self.0
        )
    }
}

impl std::error::Error for InvalidName {}

impl Metadata {
    /// No entries. Does not allocate.
    pub const fn new() -> Self {
        Self { entries: None }
    }

    fn entries(&self) -> &[Entry] {
        self.entries.as_ref().map_or(&[], |entries| entries)
    }

    fn entries_mut(&mut self) -> &mut Vec<Entry> {
        self.entries.get_or_insert_default()
    }

    /// The first value of this name, if there is one and it is UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(name)?).ok()
    }

    /// The first value of this name, as bytes.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// Every value of this name, in order.
    pub fn get_all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.entries().iter().filter(move |(key, _)| &**key == name).map(|(_, value)| &value[..])
    }

    /// Sets the only value of this name, in place of all that it had.
    ///
    /// # Errors
    /// [`InvalidName`] if the name cannot travel; nothing is changed then.
    pub fn insert(&mut self, name: &str, value: impl Into<Bytes>) -> Result<(), InvalidName> {
        check(name)?;
        self.remove(name);
        self.entries_mut().push((name.into(), value.into()));
        Ok(())
    }

    /// Adds a value to those that this name has.
    ///
    /// # Errors
    /// [`InvalidName`] if the name cannot travel; nothing is changed then.
    pub fn append(&mut self, name: &str, value: impl Into<Bytes>) -> Result<(), InvalidName> {
        check(name)?;
        self.entries_mut().push((name.into(), value.into()));
        Ok(())
    }

    /// Takes every value of this name out; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.len();
        if let Some(entries) = &mut self.entries {
            entries.retain(|(key, _)| &**key != name);
        }
        if self.entries().is_empty() {
            self.entries = None;
        }
        self.len() != before
    }

    /// Adds every entry of `other` behind the own ones.
    pub fn extend(&mut self, other: Self) {
        if let Some(entries) = other.entries {
            self.entries_mut().extend(*entries);
        }
    }

    /// Every entry, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.entries().iter().map(|(name, value)| (&**name, &value[..]))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_none()
    }
}

/// Whether a name may travel.
pub(crate) fn is_valid_name(name: &[u8]) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
}

fn check(name: &str) -> Result<(), InvalidName> {
    if is_valid_name(name.as_bytes()) { Ok(()) } else { Err(InvalidName(name.to_owned())) }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.entries().iter().map(|(name, value)| (name, String::from_utf8_lossy(value))))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn insert_replaces_and_append_adds() {
        let mut metadata = Metadata::new();
        metadata.append("a", "1").unwrap();
        metadata.append("a", "2").unwrap();
        metadata.insert("a", "3").unwrap();
        assert_eq!(metadata.get_all("a").collect::<Vec<_>>(), [b"3"]);
        assert!(metadata.remove("a") && metadata.is_empty());
    }

    #[test]
    fn a_wrong_name_changes_nothing() {
        let mut metadata = Metadata::new();
        for name in ["", "Tenant", "a b", "ä", &"x".repeat(MAX_NAME + 1)] {
            assert!(metadata.insert(name, "v").is_err() && metadata.append(name, "v").is_err(), "{name:?}");
        }
        assert!(metadata.is_empty());
        assert!(metadata.insert(&"x".repeat(MAX_NAME), Bytes::new()).is_ok());
    }
}
