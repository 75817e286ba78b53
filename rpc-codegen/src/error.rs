//! What is wrong with a `.proto`, and how to mend it.

use std::fmt;

/// Why nothing was generated: all the problems that were found, each with its place and its mend.
///
/// `Debug` prints the same text as `Display`, because `fn main() -> Result<(), rpc_codegen::Error>` of a build script
/// shows the former to the user.
///
/// ```
/// let error = rpc_codegen::compile(&["no/such.proto"], &["."]).unwrap_err();
/// assert!(error.to_string().contains("no/such.proto"));
/// ```
pub struct Error {
    problems: Vec<Problem>,
}

/// One problem.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// `shop/v1/catalog.proto:12`, or as much of it as is known.
    place: String,
    what: String,
    mend: String,
}

impl Problem {
    pub(crate) fn new(place: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { place: place.into(), what: what.into(), mend: mend.into() }
    }
}

impl Error {
    pub(crate) fn of(problems: Vec<Problem>) -> Self {
        Self { problems }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.what)?;
        if !self.mend.is_empty() {
            write!(f, "\n  help: {}", self.mend)?;
        }
        Ok(())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
