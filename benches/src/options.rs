//! What the command line of a benchmark says.
//!
//! ```text
//! --only a,b      only the tables whose names have one of these words
//! --peers a,b     only these (default: whoever the table is about)
//! --rounds n      how often each cell is run
//! --millis n      how long each cell is measured
//! --full          every payload and every number of calls in flight
//! --list          the names of the tables
//! ```

use crate::Result;

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    only: Vec<String>,
    peers: Vec<String>,
    rounds: Option<usize>,
    millis: Option<u64>,
    /// Whether every payload and every number of calls in flight is wanted.
    pub full: bool,
    list: bool,
}

impl Options {
    /// Reads the command line.
    ///
    /// # Errors
    /// An option that there is not, or one without its value.
    pub fn from_args() -> Result<Self> {
        Self::parse(std::env::args().skip(1))
    }

    fn parse(args: impl IntoIterator<Item = String>) -> Result<Self> {
        let mut options = Self::default();
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} is to be followed by a value"));
            let words = |text: String| text.split(',').map(str::to_owned).collect();
            match arg.as_str() {
                "--only" => options.only = words(value()?),
                "--peers" => options.peers = words(value()?),
                "--rounds" => options.rounds = Some(value()?.parse()?),
                "--millis" => options.millis = Some(value()?.parse()?),
                "--full" => options.full = true,
                "--list" => options.list = true,
                // Cargo says so to every benchmark.
                "--bench" => {}
                _ => {
                    return Err(format!(
                        "{arg} is no option; there are --only, --peers, --rounds, --millis, --full and --list"
                    )
                    .into());
                }
            }
        }
        Ok(options)
    }

    /// Whether the table of this name is wanted.
    pub fn wants(&self, table: &str) -> bool {
        if self.list {
            println!("{table}");
            return false;
        }
        self.only.is_empty() || self.only.iter().any(|word| table.contains(word.as_str()))
    }

    /// Who is to be in a table that is about these.
    pub fn peers<'a>(&'a self, default: &[&'a str]) -> Vec<&'a str> {
        if self.peers.is_empty() {
            return default.to_vec();
        }
        self.peers.iter().map(String::as_str).collect()
    }

    /// How often each cell is run.
    pub fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.full { 5 } else { 3 })
    }

    /// How long each cell is measured, in milliseconds.
    pub fn millis(&self) -> u64 {
        self.millis.unwrap_or(if self.full { 1_500 } else { 500 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_subset_is_picked_by_words_of_the_names() {
        let options = parse("--bench --only unary,memory --rounds 1 --peers courier").unwrap();
        assert!(options.wants("unary, one thread") && options.wants("memory") && !options.wants("oneway"));
        assert_eq!((options.rounds(), options.peers(&["raw"])), (1, vec!["courier"]));
    }

    #[test]
    fn by_default_everything_is_wanted() {
        let options = parse("--bench").unwrap();
        assert!(options.wants("anything"));
        assert_eq!(options.peers(&["raw", "courier"]), ["raw", "courier"]);
    }

    #[test]
    fn an_option_that_there_is_not_is_an_error_and_so_is_one_without_its_value() {
        assert!(parse("--onyl unary").unwrap_err().to_string().contains("--onyl is no option"));
        assert!(parse("--rounds").unwrap_err().to_string().contains("followed by a value"));
        assert!(parse("--rounds many").is_err());
    }
}
