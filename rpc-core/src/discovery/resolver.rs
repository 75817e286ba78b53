//! What turns a target into a watch: one [`Builder`] for each scheme.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::discovery::watch::Watch;
use crate::status::Status;

/// Makes the resolvers of one scheme.
///
/// A resolver is a task that publishes whole [`Snapshot`](crate::discovery::Snapshot)s and ends when nobody watches any more
/// ([`Publisher::closed`](crate::discovery::watch::Publisher::closed)).
pub trait Builder: Send + Sync + 'static {
    /// The scheme: `"dns"` for `dns://…`. Lower case.
    fn scheme(&self) -> &str;

    /// Begins to resolve the name. Called within a tokio runtime.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a name that this scheme cannot have. What may pass by itself is told through the watch.
    fn build(&self, name: &Name) -> Result<Watch, Status>;
}

impl<B: Builder + ?Sized> Builder for Arc<B> {
    fn scheme(&self) -> &str {
        (**self).scheme()
    }

    fn build(&self, name: &Name) -> Result<Watch, Status> {
        (**self).build(name)
    }
}

/// The resolvers that every channel has.
pub(crate) fn built_in() -> Vec<Arc<dyn Builder>> {
    vec![
        Arc::new(crate::discovery::Fixed),
        Arc::new(crate::discovery::Dns::default()),
        Arc::new(crate::discovery::file::Files::default()),
    ]
}

/// A name to be resolved: `scheme://authority/path`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// `etcd` in `etcd://10.0.0.1:2379/demo.v1.Greeter`.
    pub scheme: String,
    /// `10.0.0.1:2379` there; may be empty.
    pub authority: String,
    /// `demo.v1.Greeter` there, without the slash before it; may be empty.
    pub path: String,
}

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName(String);

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| InvalidName(text.to_owned()))?;
        let is_scheme = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
        if scheme.is_empty() || !scheme.chars().all(is_scheme) {
            return Err(InvalidName(text.to_owned()));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self { scheme: scheme.to_owned(), authority: authority.to_owned(), path: path.to_owned() })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)?;
        if !self.path.is_empty() {
            write!(f, "/{}", self.path)?;
        }
        Ok(())
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no name: write scheme://authority/path, the scheme in lower case", self.0)
    }
}

impl std::error::Error for InvalidName {}
