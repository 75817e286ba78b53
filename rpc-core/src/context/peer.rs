//! [`Peer`]: the other end of a connection.

use std::fmt;
use std::sync::Arc;

/// The other end of a connection.
///
/// ```
/// use rpc_core::Peer;
///
/// assert_eq!(Peer::new("127.0.0.1:7000").address(), "127.0.0.1:7000");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer(Arc<str>);

impl Peer {
    /// A peer of this address, `127.0.0.1:7000` or `unix:/run/x.sock` for instance.
    pub fn new(address: impl Into<Arc<str>>) -> Self {
        Self(address.into())
    }

    /// The address, in words.
    pub fn address(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
