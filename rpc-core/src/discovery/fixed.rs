//! [`Fixed`]: `static://…`, a list that never changes.
//!
//! ```
//! use rpc_core::discovery::{Fixed, resolver::Builder};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let name = "static://10.0.0.1:7000,10.0.0.2:7000?weight=50&zone=b".parse()?;
//! let list = Fixed.build(&name)?.changed().await?;
//! assert_eq!(list.instances()[0].weight, 100);
//! assert_eq!((list.instances()[1].weight, list.instances()[1].zone.as_str()), (50, "b"));
//! # Ok(())
//! # }
//! ```

use crate::discovery::instance::Instance;
use crate::discovery::resolver::{Builder, Name};
use crate::discovery::snapshot::Snapshot;
use crate::discovery::watch::{self, Watch};
use crate::status::Status;

/// Resolves `static://a,b`: addresses with commas between them, each with `?weight=…&zone=…&version=…` after it where that
/// is to be said; anything else there is a tag.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fixed;

impl Builder for Fixed {
    fn scheme(&self) -> &str {
        "static"
    }

    fn build(&self, name: &Name) -> Result<Watch, Status> {
        // The path of a Unix socket stands behind a slash.
        let list = if name.path.is_empty() {
            name.authority.clone()
        } else {
            format!("{}/{}", name.authority, name.path)
        };
        let instances = list.split(',').map(instance).collect::<Result<Vec<_>, _>>()?;
        let (publisher, watch) = watch::channel();
        publisher.publish(Snapshot::new(instances));
        tokio::spawn(async move { publisher.closed().await });
        Ok(watch)
    }
}

fn instance(text: &str) -> Result<Instance, Status> {
    let (address, query) = text.split_once('?').unwrap_or((text, ""));
    let address =
        address.parse().map_err(|error| Status::invalid_argument(format!("in a static:// list: {error}")))?;
    let mut instance = Instance::new(address);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((key, value)) = pair.split_once('=') else {
            return Err(Status::invalid_argument(format!("{pair:?} in {text:?} lacks its =value")));
        };
        match key {
            "weight" => {
                instance.weight = value.parse().map_err(|_| {
                    Status::invalid_argument(format!("the weight in {text:?} is no number from 0 on"))
                })?;
            }
            "zone" => value.clone_into(&mut instance.zone),
            "version" => value.clone_into(&mut instance.version),
            tag => {
                instance.tags.insert(tag.to_owned(), value.to_owned());
            }
        }
    }
    Ok(instance)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sockets_and_tags_are_fine() {
        let watch = Fixed.build(&"static://unix:///run/a.sock,b:1?group=blue".parse().unwrap()).unwrap();
        let list = watch.current().unwrap();
        assert_eq!(list.get("unix:///run/a.sock").map(|one| one.weight), Some(100));
        assert_eq!(list.get("b:1").unwrap().tags["group"], "blue");
    }

    #[tokio::test]
    async fn a_wrong_list_says_what_is_wrong() {
        for (text, part) in [
            ("static://", "port is missing"),
            ("static://a:1,", "port is missing"),
            ("static://a:1?weight=x", "weight"),
            ("static://a:1?weight", "lacks its =value"),
        ] {
            let error = Fixed.build(&text.parse().unwrap()).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
