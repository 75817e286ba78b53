//! What the command line says.

use std::time::Duration;

/// How to run it.
pub(crate) const USAGE: &str = "usage: cargo run --bin shop -- [options]

  --seconds N      about how long, 5 to 3600 (default 10)
  --instances N    of users, stock and orders each, 2 to 9 (default 3)
  --calm           only the load: nothing is added, drained, killed or stopped
  --etcd HOST:PORT find each other in etcd, not in files; build with --features etcd";

#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) time: Duration,
    pub(crate) instances: u32,
    pub(crate) calm: bool,
    pub(crate) etcd: Option<String>,
}

impl Options {
    /// Reads the arguments.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { time: Duration::from_secs(10), instances: 3, calm: false, etcd: None };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} wants a value"));
            match arg.as_str() {
                "--seconds" => {
                    options.time = Duration::from_secs(number(&arg, &value()?, 5, 3_600)?.into());
                }
                "--instances" => options.instances = number(&arg, &value()?, 2, 9)?,
                "--calm" => options.calm = true,
                "--etcd" => options.etcd = Some(value()?),
                _ => return Err(format!("there is no option {arg:?}")),
            }
        }
        Ok(options)
    }
}

fn number(option: &str, text: &str, least: u32, most: u32) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(number),
        _ => Err(format!("{option} takes a number from {least} to {most}, not {text:?}")),
    }
}
