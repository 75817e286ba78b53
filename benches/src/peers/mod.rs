//! The others, each with its defaults, in the way its documentation shows; what was set differently stands beside it.
//!
//! | peer | on the wire | connections of a client |
//! |---|---|---|
//! | [`Tonic`] | gRPC over HTTP/2, protobuf | one |
//! | [`Tarpc`] | length and bincode | one |
//! | [`VoloThrift`] | TTHeader and Thrift's binary protocol | a pool: one call at a time on each |

mod tarpc;
mod tonic;
mod volo;

pub use self::tarpc::{Tarpc, TarpcClient};
pub use self::tonic::{Tonic, TonicClient};
pub use self::volo::{VoloClient, VoloThrift};
