//! [`Address`]: where a server listens.
//!
//! ```
//! use rpc_core::transport::Address;
//!
//! assert_eq!("localhost:7000".parse::<Address>()?.to_string(), "localhost:7000");
//! assert_eq!("tcp://localhost:7000".parse::<Address>()?.to_string(), "localhost:7000");
//! assert_eq!("unix:///run/a.sock".parse::<Address>()?.to_string(), "unix:///run/a.sock");
//! assert_eq!("memory://test".parse::<Address>()?.to_string(), "memory://test");
//! assert!("localhost".parse::<Address>().is_err());
//! # Ok::<(), rpc_core::transport::InvalidAddress>(())
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a server listens, and where a connection goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// A host name or an IP address, a colon, and a port: `host:port` or `tcp://host:port`. A name is looked up each
    /// time that a connection is made, and each address that it has is tried.
    Tcp(String),
    /// The path of a Unix socket: `unix:///path`.
    Unix(PathBuf),
    /// A name within this process: `memory://name`.
    Memory(String),
}

/// A text that is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAddress {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no address: {}; write host:port, tcp://host:port, unix:///path or memory://name",
            self.text, self.reason
        )
    }
}

impl std::error::Error for InvalidAddress {}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = |reason| InvalidAddress { text: text.to_owned(), reason };
        match text.split_once("://") {
            Some(("tcp", rest)) => tcp(rest).map_err(invalid),
            None => tcp(text).map_err(invalid),
            Some(("unix", "")) => Err(invalid("the path is missing")),
            Some(("unix", path)) => Ok(Self::Unix(path.into())),
            Some(("memory", "")) => Err(invalid("the name is missing")),
            Some(("memory", name)) => Ok(Self::Memory(name.to_owned())),
            Some(_) => Err(invalid("the scheme is not known")),
        }
    }
}

fn tcp(text: &str) -> Result<Address, &'static str> {
    let (host, port) = text.rsplit_once(':').ok_or("the port is missing")?;
    if host.is_empty() {
        return Err("the host is missing");
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("an IPv6 address stands in brackets");
    }
    port.parse::<u16>().map_err(|_| "the port is no number up to 65535")?;
    Ok(Address::Tcp(text.to_owned()))
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address.to_string())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Memory(name) => write!(f, "memory://{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_address_says_what_is_wrong() {
        for (text, part) in [
            ("", "port is missing"),
            (":80", "host is missing"),
            ("::1:80", "brackets"),
            ("a:70000", "no number up to 65535"),
            ("http://a:80", "scheme is not known"),
            ("unix://", "path is missing"),
            ("memory://", "name is missing"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!("[::1]:80".parse::<Address>().is_ok());
    }
}
