//! [`DecodeError`]: bytes that are no message, where in them it showed, and why.

use std::borrow::Cow;
use std::fmt;

/// Bytes that are no message of the type: which field of which type, and why.
///
/// ```
/// use bytes::Bytes;
/// use rpc_core::message;
/// use rpc_core::message::Message;
///
/// #[message]
/// struct Circle { center: Point, radius: f64 }
/// #[message]
/// struct Point { x: f64, y: f64 }
///
/// let error = Circle::decode(Bytes::new()).err().map(|error| error.to_string());
/// assert_eq!(error.as_deref(), Some("Circle.center: the field is absent, and its type has no default"));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError(Box<Inner>);

// Behind a box, because a `Result` with this error is returned for each field of each message.
#[derive(Clone, PartialEq, Eq)]
struct Inner {
    reason: Cow<'static, str>,
    /// Type and field, the innermost first.
    path: Vec<(&'static str, &'static str)>,
}

/// How many steps of the way are shown at either end.
const ENDS: usize = 4;

impl DecodeError {
    /// An error with this reason, for a reader who has the schema before them.
    #[cold]
    pub fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { reason: reason.into(), path: Vec::new() }))
    }

    /// The same error, found while reading this field of this type.
    #[cold]
    #[must_use]
    pub fn within(mut self, message: &'static str, field: &'static str) -> Self {
        self.0.path.push((message, field));
        self
    }

    /// A field that must be there is not.
    #[cold]
    pub(crate) fn absent() -> Self {
        Self::new("the field is absent, and its type has no default")
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (message, field)) in self.0.path.iter().rev().enumerate() {
            let left = self.0.path.len() - at;
            if at >= ENDS && left > ENDS {
                // Messages that stand in themselves a hundred deep would fill a page.
                if at == ENDS {
                    f.write_str("… ")?;
                }
                continue;
            }
            match *field {
                "" => write!(f, "{message}: ")?,
                field => write!(f, "{message}.{field}: ")?,
            }
        }
        f.write_str(&self.0.reason)
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecodeError({:?})", self.to_string())
    }
}

impl std::error::Error for DecodeError {}

impl From<prost::DecodeError> for DecodeError {
    fn from(error: prost::DecodeError) -> Self {
        Self::new(error.to_string())
    }
}
