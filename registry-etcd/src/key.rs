//! Where things stand in etcd.
//!
//! ```text
//! /courier/services/demo.v1.Greeter/10.0.0.1:7000     one instance of one service: a Record in JSON
//! /courier/services/demo.v1.Greeter/                  who left on purpose last, written as its entry is deleted
//! /courier/locks/nightly-report/694d9a1f              one that has a lock, or waits for it
//! ```
//!
//! Each part is [encoded](rpc_core::discovery::name::encode), and whatever is asked for by prefix ends with a slash: so
//! the instances of `svc` are never those of `svc2`. A key does not hold the lease's id: an instance that registers
//! again overwrites its entry, and is not there twice.

use rpc_core::discovery::name;
use rpc_core::{Certainty, Status};

/// The first part of all keys.
#[derive(Clone, Debug)]
pub(crate) struct Root(String);

impl Root {
    /// A root of one or more parts: `courier`, or `/courier/production`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for one without a part.
    pub(crate) fn new(root: &str) -> Result<Self, Status> {
        let parts: Vec<String> = root.split('/').filter(|part| !part.is_empty()).map(name::encode).collect();
        if parts.is_empty() {
            return Err(Status::invalid_argument(format!("{root:?} is no root for keys: it has no name"))
                .with_certainty(Certainty::NotExecuted));
        }
        Ok(Self(format!("/{}/", parts.join("/"))))
    }

    /// Before all instances of the service.
    pub(crate) fn service(&self, service: &str) -> String {
        format!("{}services/{}/", self.0, name::encode(service))
    }

    /// The entry of one instance of the service.
    pub(crate) fn instance(&self, service: &str, id: &str) -> String {
        format!("{}{}", self.service(service), name::encode(id))
    }

    /// Before all that have or want the lock.
    pub(crate) fn lock(&self, lock: &str) -> String {
        format!("{}locks/{}/", self.0, name::encode(lock))
    }
}

/// The key of the service's goodbyes, for the entry of one of its instances.
pub(crate) fn goodbye(instance: &str) -> &str {
    instance.rfind('/').and_then(|slash| instance.get(..=slash)).unwrap_or(instance)
}

/// The id of the instance at this key.
pub(crate) fn id(instance: &str) -> Option<String> {
    name::decode(instance.rsplit('/').next()?)
}

/// The end of the range of all keys that begin with `prefix`, which ends with a slash: the same with the character after
/// the slash.
pub(crate) fn end(prefix: &str) -> String {
    format!("{}0", prefix.strip_suffix('/').unwrap_or(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_service_is_the_beginning_of_another() {
        let root = Root::new("courier").unwrap();
        assert_eq!(root.service("svc"), "/courier/services/svc/");
        assert!(!root.instance("svc2", "a").starts_with(&root.service("svc")));
        assert_eq!(root.instance("svc", "unix:///a b"), "/courier/services/svc/unix:%2F%2F%2Fa%20b");
        assert_eq!(id(&root.instance("svc", "a/b")).as_deref(), Some("a/b"));
        assert_eq!(goodbye(&root.instance("svc", "a/b")), root.service("svc"));
        assert_eq!(root.lock("a/b"), "/courier/locks/a%2Fb/");
    }

    #[test]
    fn the_range_holds_everything_below_the_prefix_and_nothing_else() {
        let prefix = "/courier/services/svc/";
        let range = prefix.to_owned()..end(prefix);
        for inside in ["/courier/services/svc/a", "/courier/services/svc/~", "/courier/services/svc/"] {
            assert!(range.contains(&inside.to_owned()), "{inside}");
        }
        for outside in ["/courier/services/svc", "/courier/services/svc2/a", "/courier/services/svc0"] {
            assert!(!range.contains(&outside.to_owned()), "{outside}");
        }
    }

    #[test]
    fn a_root_may_have_several_parts_but_not_none() {
        assert_eq!(Root::new("/a/b/").unwrap().service("s"), "/a/b/services/s/");
        for empty in ["", "/", "//"] {
            assert!(Root::new(empty).is_err());
        }
    }
}
