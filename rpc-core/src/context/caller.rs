//! [`Caller`]: the connection that a call came over, as far as a context has to know it.
//!
//! A handler may call back over it. What that takes is known on floors above; here it is only kept, behind a pointer,
//! in place of the peer's name, which it knows.

use std::any::Any;
use std::fmt;

use crate::context::peer::Peer;

/// The connection that a call came over.
pub(crate) trait Caller: Any + Send + Sync + fmt::Debug {
    /// Who calls.
    fn peer(&self) -> &Peer;
}
