//! What a person sees: titled sections, aligned rows, and colour where it is wanted.

use std::error::Error;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::Instant;

/// How a part of the tour went.
pub(crate) type Shown = Result<(), Box<dyn Error>>;

/// The width of a row's label.
const LABEL: usize = 15;

/// The page that the tour writes.
pub(crate) struct Page {
    colour: bool,
    sections: u32,
    checks: u32,
    began: Instant,
}

impl Page {
    pub(crate) fn new() -> Self {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { colour, sections: 0, checks: 0, began: Instant::now() }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Begins a section.
    pub(crate) fn title(&mut self, title: &str, about: &str) {
        self.sections += 1;
        let number = self.sections;
        println!("\n{}  {}", self.paint("1;36", &format!("{number}. {title}")), self.paint("2", about));
    }

    /// A line of a section: what it is about, and what there is to say.
    pub(crate) fn row(&self, label: &str, text: &str) {
        // Padded before it is painted: the codes take no place on the screen.
        println!("   {} {text}", self.paint("33", &format!("{label:<LABEL$}")));
    }

    /// A remark, beneath a row.
    pub(crate) fn remark(&self, text: &str) {
        println!("   {:<LABEL$} {}", "", self.paint("2", text));
    }

    /// A bar on a line from 0 to `whole`: from `start`, of this length.
    pub(crate) fn bar(&self, start: f64, length: f64, whole: f64) -> String {
        const WIDTH: f64 = 40.0;
        let at = |value: f64| (value / whole * WIDTH).round().clamp(0.0, WIDTH) as usize;
        let (from, to) = (at(start), at(start + length));
        let filled = (to - from).max(1);
        let rest = (WIDTH as usize).saturating_sub(from + filled);
        let mut bar = self.paint("2", &"·".repeat(from));
        let _ =
            write!(bar, "{}{}", self.paint("32", &"█".repeat(filled)), self.paint("2", &"·".repeat(rest)));
        bar
    }

    /// Holds the tour to what it says.
    ///
    /// # Errors
    /// If it does not hold: what was claimed.
    pub(crate) fn check(&mut self, holds: bool, claim: impl Into<String>) -> Shown {
        self.checks += 1;
        if holds { Ok(()) } else { Err(claim.into().into()) }
    }

    /// The last line of a tour that went well.
    pub(crate) fn end(&self) {
        let (checks, took) = (self.checks, self.began.elapsed());
        println!("\n{}", self.paint("1;32", &format!("All as claimed: {checks} checks in {took:.1?}.")));
    }

    /// The last line of one that did not.
    pub(crate) fn failed(&self, error: &dyn Error) {
        println!();
        eprintln!("The tour breaks off. Not as claimed: {error}");
    }
}
