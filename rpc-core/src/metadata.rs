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
use std::ops::Deref;
use std::sync::Arc;

use bytes::{BufMut, Bytes};

/// Named values beside a message, in the order in which they were added. A name may occur more than once.
///
/// Names are 1 to 128 bytes of `a-z`, `0-9`, `-`, `_` and `.`; values are any bytes, most often UTF-8. How much of it
/// may travel is a limit of the connection: by default 16 KiB of header in all, and 128 entries.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    // One word, because a call moves and drops half a dozen of these, nearly always empty; shared, because the others are
    // cloned more often than changed. `None` if there are no entries, so that equal ones are equal.
    packed: Option<Arc<Packed>>,
}

/// Entries one behind the other in one buffer. A list and not a map: there are few, and order is kept. Not a box for each
/// name and each value: an entry would cost five allocations on its way, where all of them together cost two.
#[derive(Clone, PartialEq, Eq)]
struct Packed {
    count: usize,
    /// For each entry: the length of the name in a byte, the name, the length of the value in eight, the value.
    bytes: Buffer,
}

/// Bytes that lie here as long as there are few: one entry or two of the usual size.
#[derive(Clone)]
enum Buffer {
    Here { len: u8, bytes: [u8; HERE] },
    Apart(Vec<u8>),
}

/// With the length and the kind it is a whole number of words.
const HERE: usize = 62;

/// What an entry takes beside its name and its value.
const LENGTHS: usize = 1 + size_of::<u64>();

impl Packed {
    const EMPTY: Self = Self { count: 0, bytes: Buffer::Here { len: 0, bytes: [0; HERE] } };

    /// Adds an entry whose name was checked.
    fn push(&mut self, name: &[u8], value: &[u8]) {
        self.bytes.append(LENGTHS + name.len() + value.len(), |place| {
            for part in [&[name.len() as u8], name, &(value.len() as u64).to_le_bytes(), value] {
                place.put_slice(part);
            }
        });
        self.count += 1;
    }
}

impl Buffer {
    /// Adds so many bytes, which `put` writes.
    fn append(&mut self, more: usize, put: impl FnOnce(&mut dyn BufMut)) {
        match self {
            Self::Here { len, bytes } => {
                let (before, after) = bytes.split_at_mut(usize::from(*len));
                if let Some(mut place) = after.get_mut(..more) {
                    put(&mut place);
                    *len += more as u8;
                } else {
                    let mut apart = Vec::with_capacity((before.len() + more).next_power_of_two());
                    apart.extend_from_slice(before);
                    put(&mut apart);
                    *self = Self::Apart(apart);
                }
            }
            Self::Apart(bytes) => {
                bytes.reserve(more);
                put(bytes);
            }
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Here { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Self::Apart(bytes) => bytes,
        }
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Buffer {}

/// Names and values, in order.
#[derive(Clone)]
struct Entries<'a> {
    left: usize,
    rest: &'a [u8],
}

impl<'a> Entries<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (&len, rest) = self.rest.split_first()?;
        self.rest = rest;
        let name = self.take(usize::from(len))?;
        let (len, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        // It is the length of what was in memory.
        let value = self.take(u64::from_le_bytes(*len) as usize)?;
        self.left = self.left.saturating_sub(1);
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Entries<'_> {}

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

/// Nothing.
impl Default for &Metadata {
    fn default() -> Self {
        static NOTHING: Metadata = Metadata::new();
        &NOTHING
    }
}

impl Metadata {
    /// No entries. Does not allocate.
    pub const fn new() -> Self {
        Self { packed: None }
    }

    fn entries(&self) -> Entries<'_> {
        let empty = Entries { left: 0, rest: &[] };
        self.packed.as_ref().map_or(empty, |packed| Entries { left: packed.count, rest: &packed.bytes })
    }

    fn packed_mut(&mut self) -> &mut Packed {
        Arc::make_mut(self.packed.get_or_insert_with(|| Arc::new(Packed::EMPTY)))
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
        self.entries().filter(move |(key, _)| *key == name.as_bytes()).map(|(_, value)| value)
    }

    /// Sets the only value of this name, in place of all that it had.
    ///
    /// # Errors
    /// [`InvalidName`] if the name cannot travel; nothing is changed then.
    pub fn insert(&mut self, name: &str, value: impl Into<Bytes>) -> Result<(), InvalidName> {
        check(name)?;
        self.remove(name);
        self.append(name, value)
    }

    /// Adds a value to those that this name has.
    ///
    /// # Errors
    /// [`InvalidName`] if the name cannot travel; nothing is changed then.
    pub fn append(&mut self, name: &str, value: impl Into<Bytes>) -> Result<(), InvalidName> {
        check(name)?;
        self.packed_mut().push(name.as_bytes(), &value.into());
        Ok(())
    }

    /// Adds an entry as it came from a peer; whether its name is one.
    pub(crate) fn append_raw(&mut self, name: &[u8], value: &[u8]) -> bool {
        let is_valid = is_valid_name(name);
        if is_valid {
            self.packed_mut().push(name, value);
        }
        is_valid
    }

    /// Takes every value of this name out; whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        if self.get_bytes(name).is_none() {
            return false;
        }
        let mut others = Self::new();
        for (key, value) in self.entries().filter(|(key, _)| *key != name.as_bytes()) {
            others.packed_mut().push(key, value);
        }
        *self = others;
        true
    }

    /// Adds every entry of `other` behind the own ones.
    pub fn extend(&mut self, other: Self) {
        let Some(more) = other.packed else { return };
        if self.packed.is_none() {
            self.packed = Some(more);
            return;
        }
        let packed = self.packed_mut();
        packed.bytes.append(more.bytes.len(), |place| place.put_slice(&more.bytes));
        packed.count += more.count;
    }

    /// Every entry, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        // Names are ASCII: they were checked as they came in.
        self.entries().map(|(name, value)| (std::str::from_utf8(name).unwrap_or_default(), value))
    }

    /// Every entry, in order, with its name as bytes.
    pub(crate) fn iter_raw(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.entries()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.packed.as_ref().map_or(0, |packed| packed.count)
    }

    /// How many bytes the entries take: at least as many as on the wire.
    pub(crate) fn size(&self) -> usize {
        self.packed.as_ref().map_or(0, |packed| packed.bytes.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.packed.is_none()
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
            .entries(self.iter().map(|(name, value)| (name, String::from_utf8_lossy(value))))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_the_same_whether_they_lie_here_or_apart() {
        let value = [b'v'; 3 * HERE];
        // One byte of a name, and so much of a value that all of it fits just about, or just about not.
        for first in HERE - LENGTHS - 2..=HERE - LENGTHS {
            for second in [0, 1, HERE, 2 * HERE] {
                let mut metadata = Metadata::new();
                metadata.append("a", value[..first].to_vec()).unwrap();
                metadata.append("b", value[..second].to_vec()).unwrap();
                let kept = metadata.clone();
                metadata.append("a", "last").unwrap();
                let all: Vec<_> = metadata.iter().collect();
                assert_eq!(all, [("a", &value[..first]), ("b", &value[..second]), ("a", b"last")]);
                assert_eq!((metadata.len(), kept.len()), (3, 2), "a clone is one of its own");
                // What was apart and what never was are equal.
                assert!(metadata.remove("b") && metadata.remove("a"));
                assert_eq!(metadata, Metadata::new());
                let mut joined = Metadata::new();
                joined.append("a", value[..first].to_vec()).unwrap();
                let mut more = Metadata::new();
                more.append("b", value[..second].to_vec()).unwrap();
                joined.extend(more);
                assert_eq!(joined, kept);
            }
        }
    }

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
    fn a_clone_is_one_of_its_own_and_others_come_behind() {
        let mut metadata = Metadata::new();
        metadata.append("a", "1").unwrap();
        let before = metadata.clone();
        let mut more = Metadata::new();
        more.append("empty", "").unwrap();
        more.append("a", vec![0xff; 300]).unwrap();
        metadata.extend(more);
        assert_eq!(before.iter().collect::<Vec<_>>(), [("a", &b"1"[..])]);
        assert_eq!((metadata.len(), metadata.iter().len()), (3, 3));
        assert_eq!(
            metadata.iter().map(|(name, value)| (name, value.len())).collect::<Vec<_>>(),
            [("a", 1), ("empty", 0), ("a", 300)]
        );
        assert!(metadata.remove("a") && !metadata.remove("a"));
        assert_eq!(metadata.iter().collect::<Vec<_>>(), [("empty", &b""[..])]);
        let mut taken = Metadata::new();
        taken.extend(metadata.clone());
        assert_eq!(taken, metadata);
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
