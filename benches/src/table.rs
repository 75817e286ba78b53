//! Tables that a person can read, in Markdown, so that they can go into a document as they are.

use std::fmt;

/// A table: a head, and rows as long as the head.
#[derive(Clone, Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new<const N: usize>(columns: [&str; N]) -> Self {
        Self { rows: vec![columns.map(str::to_owned).to_vec()] }
    }

    /// Adds a row.
    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.to_vec());
    }

    /// Adds a row of any length.
    pub fn cells(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.rows.first().map_or(0, Vec::len)).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Names stand left, figures right.
                if column == 0 {
                    write!(f, "| {cell:<width$} ")?;
                } else {
                    write!(f, "| {cell:>width$} ")?;
                }
            }
            writeln!(f, "|")?;
            if index == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let colon = if column == 0 { "-" } else { ":" };
                    write!(f, "|{}{colon}", "-".repeat(width + 1))?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// What a figure is to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Goal {
    /// The goal, and whether the figure meets it.
    pub fn judge(self, figure: f64) -> String {
        let (sign, goal, met) = match self {
            Self::AtMost(goal) => ('≤', goal, figure <= goal),
            Self::AtLeast(goal) => ('≥', goal, figure >= goal),
        };
        let goal = if goal < 100.0 { format!("{goal}") } else { thousands(goal) };
        format!("{sign} {goal}: {}", if met { "met" } else { "not met" })
    }
}

/// What stands beside a figure: its goal, if it has one.
pub fn judge(goal: Option<Goal>, figure: f64) -> String {
    goal.map_or_else(String::new, |goal| goal.judge(figure))
}

/// A number with a comma at each thousand; one decimal if it is small.
pub fn thousands(number: f64) -> String {
    if number < 100.0 && number.fract() != 0.0 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_at_the_very_figure() {
        assert_eq!(Goal::AtMost(4_000.0).judge(4_000.0), "≤ 4,000: met");
        assert_eq!(Goal::AtMost(4_000.0).judge(4_000.1), "≤ 4,000: not met");
        assert_eq!(Goal::AtLeast(0.5).judge(0.5), "≥ 0.5: met");
        assert_eq!(Goal::AtLeast(0.5).judge(0.49), "≥ 0.5: not met");
        assert_eq!(judge(None, 1.0), "");
    }

    #[test]
    fn numbers_have_a_comma_at_each_thousand() {
        assert_eq!(thousands(999.0), "999");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
        assert_eq!(thousands(12.34), "12.3");
    }

    #[test]
    fn a_table_is_as_wide_as_its_widest_cells() {
        let mut table = Table::new(["who", "µs"]);
        table.row(["raw".to_owned(), "1,000".to_owned()]);
        assert_eq!(table.to_string(), "| who |    µs |\n|-----|------:|\n| raw | 1,000 |\n");
    }
}
