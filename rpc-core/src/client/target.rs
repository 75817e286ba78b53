//! [`Target`]: what names the servers that a channel's calls go to.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::status::{Certainty, Status};
use crate::transport::{Address, InvalidAddress};

/// What names the servers that a channel's calls go to: today one [`Address`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(pub(crate) Address);

/// A text that is no target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTarget(InvalidAddress);

impl fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for InvalidTarget {}

impl From<InvalidTarget> for Status {
    fn from(error: InvalidTarget) -> Self {
        Self::invalid_argument(error.to_string()).with_certainty(Certainty::NotSent).with_source(error)
    }
}

/// What converts into a [`Target`]: a text like `"localhost:7000"`, what a server gives as its `local_addr()`, a
/// `SocketAddr`.
pub trait IntoTarget {
    /// The target.
    ///
    /// # Errors
    /// [`InvalidTarget`] if it is none.
    fn into_target(self) -> Result<Target, InvalidTarget>;
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        text.parse().map(Self).map_err(InvalidTarget)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl IntoTarget for Target {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        Ok(self)
    }
}

impl IntoTarget for &str {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        self.parse()
    }
}

impl IntoTarget for &String {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        self.parse()
    }
}

impl IntoTarget for String {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        self.parse()
    }
}

impl IntoTarget for Address {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        Ok(Target(self))
    }
}

impl IntoTarget for &Address {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        Ok(Target(self.clone()))
    }
}

impl IntoTarget for SocketAddr {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        Ok(Target(self.into()))
    }
}
