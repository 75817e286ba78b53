//! Everybody who is measured, by name.

use crate::Result;
use crate::courier::{Courier, Unary, UnaryJson};
use crate::echo::Peer;
use crate::raw::{Raw, RawLarge, RawSpawn, RawTimer, RawYield};

/// What to do with whoever is measured.
pub trait Visit {
    /// What comes of it.
    type Output;

    /// Does it.
    fn visit<P: Peer>(self) -> Self::Output;
}

/// Calls `visit` with the one of this name.
///
/// # Errors
/// If there is none of this name.
pub fn with_peer<V: Visit>(name: &str, visit: V) -> Result<V::Output> {
    Ok(match name {
        "courier" => visit.visit::<Courier<Unary>>(),
        "courier-json" => visit.visit::<Courier<UnaryJson>>(),
        "raw" => visit.visit::<Raw>(),
        "raw-spawn" => visit.visit::<RawSpawn>(),
        "raw-large" => visit.visit::<RawLarge>(),
        "raw-timer" => visit.visit::<RawTimer>(),
        "raw-yield" => visit.visit::<RawYield>(),
        #[cfg(feature = "peers")]
        "tonic" => visit.visit::<crate::peers::Tonic>(),
        #[cfg(feature = "peers")]
        "tarpc" => visit.visit::<crate::peers::Tarpc>(),
        #[cfg(feature = "peers")]
        "volo-thrift" => visit.visit::<crate::peers::VoloThrift>(),
        _ => return Err(format!("nobody is called {name:?}; see src/peer.rs for who is").into()),
    })
}
