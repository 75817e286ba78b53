//! [`Target`]: what names the servers that a channel's calls go to.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::discovery::resolver::{InvalidName, Name};
use crate::status::{Certainty, Status};
use crate::transport::{Address, InvalidAddress};

/// What names the servers that a channel's calls go to: the [`Address`] of one, or a [`Name`] that a resolver knows.
///
/// `host:port`, `tcp://`, `unix://` and `memory://` are addresses; every other scheme is a name:
/// `static://10.0.0.1:7000,10.0.0.2:7000`, `dns://orders.internal:7000`, `file:///run/services/demo.v1.Greeter`,
/// `etcd://10.0.0.1:2379/demo.v1.Greeter`. A resolver that a channel is given for one of the address schemes comes first
/// there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(pub(crate) Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Address(Address),
    Name(Name),
}

/// A text that is no target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTarget(Invalid);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Invalid {
    Address(InvalidAddress),
    Name(InvalidName),
    Scheme { target: String, known: String },
}

impl InvalidTarget {
    /// A name whose scheme no resolver of the channel has.
    pub(crate) fn scheme(name: &Name, known: &str) -> Self {
        Self(Invalid::Scheme { target: name.to_string(), known: known.to_owned() })
    }
}

impl fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Invalid::Address(error) => error.fmt(f),
            Invalid::Name(error) => error.fmt(f),
            Invalid::Scheme { target, known } => write!(
                f,
                "{target:?} has a scheme that this channel cannot resolve: it knows {known}; give \
                 `Channel::builder(..)` the resolver of the scheme with `.resolver(..)`"
            ),
        }
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
        match text.split_once("://") {
            None | Some(("tcp" | "unix" | "memory", _)) => {
                let address: Address =
                    text.parse().map_err(|error| InvalidTarget(Invalid::Address(error)))?;
                Ok(address.into())
            }
            Some(_) => {
                let name = text.parse().map_err(|error| InvalidTarget(Invalid::Name(error)))?;
                Ok(Self(Kind::Name(name)))
            }
        }
    }
}

impl From<Address> for Target {
    fn from(address: Address) -> Self {
        Self(Kind::Address(address))
    }
}

impl From<Name> for Target {
    fn from(name: Name) -> Self {
        Self(Kind::Name(name))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Address(address) => address.fmt(f),
            Kind::Name(name) => name.fmt(f),
        }
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
        Ok(self.into())
    }
}

impl IntoTarget for &Address {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        Ok(self.clone().into())
    }
}

impl IntoTarget for SocketAddr {
    fn into_target(self) -> Result<Target, InvalidTarget> {
        Ok(Address::from(self).into())
    }
}
