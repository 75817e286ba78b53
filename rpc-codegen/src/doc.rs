//! Comments of a `.proto` as documentation that rustdoc takes as text.
//!
//! People write comments for readers, not for rustdoc: there are code samples in other languages, which rustdoc would
//! compile and run as tests, brackets that look like links, `<placeholders>` that look like HTML, and the odd control
//! character, which rustc refuses. What is Markdown on purpose (lists, emphasis, `code`, links) stays.

use prost_types::source_code_info::Location;

/// The lines of documentation for what stands at `location`: the comment above it and the one at the end of its line.
pub(crate) fn lines(location: Option<&Location>) -> Vec<String> {
    let Some(location) = location else { return Vec::new() };
    let mut lines = markdown(location.leading_comments());
    let trailing = markdown(location.trailing_comments());
    if !lines.is_empty() && !trailing.is_empty() {
        lines.push(String::new());
    }
    lines.extend(trailing);
    lines
}

/// Turns the text of a comment into lines of Markdown without code that could run, dead links or HTML.
pub(crate) fn markdown(comment: &str) -> Vec<String> {
    let text: Vec<String> = comment.lines().map(clean).collect();
    let margin = text.iter().filter(|line| !line.is_empty()).map(|line| indent(line)).min().unwrap_or(0);
    let mut out = Lines::default();
    for line in &text {
        out.push(line.get(margin..).unwrap_or_default());
    }
    out.finish()
}

/// Without what rustc refuses in a comment, tabs, and blanks at the end.
fn clean(line: &str) -> String {
    let line = line.replace('\t', "    ");
    let kept: String = line
        .chars()
        // Control characters, and the marks that turn the direction of text: rustc denies both.
        .filter(|c| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .collect();
    kept.trim_end().to_owned()
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// How many columns make a paragraph into a block of code, in Markdown.
const CODE_INDENT: usize = 4;

#[derive(Default)]
struct Lines {
    out: Vec<String>,
    block: Block,
    /// Whether the last line of text was part of a list.
    list: bool,
}

#[derive(Default, PartialEq)]
enum Block {
    /// Nothing that an indented line could continue.
    #[default]
    Start,
    Paragraph,
    /// Between fences, and which one ends it.
    Fence(String),
    /// An indented block, which we put between fences.
    Indented,
}

impl Lines {
    fn push(&mut self, line: &str) {
        if let Block::Fence(fence) = &self.block {
            if is_fence_end(line, fence) {
                self.out.push(fence.clone());
                self.block = Block::Start;
            } else {
                self.out.push(line.to_owned());
            }
            return;
        }
        if self.block == Block::Indented {
            if line.is_empty() || indent(line) >= CODE_INDENT {
                self.out.push(line.get(CODE_INDENT..).unwrap_or_default().to_owned());
                return;
            }
            self.end_indented();
        }
        if let Some(fence) = fence(line) {
            // `text` whatever it was called: rustdoc runs what has no name, or a name that it does not know.
            self.out.push(format!("{fence}text"));
            self.block = Block::Fence(fence);
        } else if line.is_empty() {
            self.out.push(String::new());
            self.block = Block::Start;
        } else if is_rule(line) {
            // A banner of dashes or equals signs would make a headline of the line above it.
            self.block = Block::Start;
        } else if indent(line) >= CODE_INDENT && self.block == Block::Start && !self.list {
            self.out.push("```text".to_owned());
            self.block = Block::Indented;
            self.out.push(line[CODE_INDENT..].to_owned());
        } else {
            let text = line.trim_start_matches(' ');
            // Deeper than this, the line after a blank one would be code.
            let depth =
                if self.block == Block::Start { indent(line).min(CODE_INDENT - 1) } else { indent(line) };
            self.list = is_list_item(text) || (self.list && (self.block == Block::Paragraph || depth > 0));
            self.out.push(format!("{}{}", " ".repeat(depth), escape(text)));
            self.block = if text.starts_with('#') { Block::Start } else { Block::Paragraph };
        }
    }

    fn end_indented(&mut self) {
        let mut blanks = 0;
        while self.out.last().is_some_and(String::is_empty) {
            self.out.pop();
            blanks += 1;
        }
        self.out.push("```".to_owned());
        self.out.extend(std::iter::repeat_n(String::new(), blanks));
        self.block = Block::Start;
    }

    fn finish(mut self) -> Vec<String> {
        match std::mem::take(&mut self.block) {
            Block::Indented => self.end_indented(),
            // A fence that nobody closed would swallow the documentation that follows.
            Block::Fence(fence) => self.out.push(fence),
            Block::Start | Block::Paragraph => {}
        }
        while self.out.last().is_some_and(String::is_empty) {
            self.out.pop();
        }
        let blank = self.out.iter().take_while(|line| line.is_empty()).count();
        self.out.drain(..blank);
        self.out
    }
}

/// The fence that this line opens, without its indentation and what stands behind it.
fn fence(line: &str) -> Option<String> {
    let text = line.trim_start_matches(' ');
    let mark = text.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = text.chars().take_while(|c| *c == mark).count();
    // "```a```" in one line is code in a sentence.
    let opens = length >= 3 && !(mark == '`' && text[length..].contains('`'));
    opens.then(|| mark.to_string().repeat(length))
}

fn is_fence_end(line: &str, fence: &str) -> bool {
    let text = line.trim();
    text.starts_with(fence) && text.chars().all(|c| fence.starts_with(c))
}

/// A line of nothing but one sign.
fn is_rule(line: &str) -> bool {
    let text = line.trim();
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return false };
    text.len() >= 3 && !first.is_alphanumeric() && chars.all(|c| c == first) && first != '.'
}

fn is_list_item(text: &str) -> bool {
    let bullet = text.strip_prefix(['-', '*', '+']);
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = if digits.len() < text.len() { digits.strip_prefix(['.', ')']) } else { None };
    bullet.or(number).is_some_and(|rest| rest.starts_with(' '))
}

/// Escapes what would be a link or HTML, and marks web addresses as links; code in backticks stays as it is.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = if c == '`' {
            code_span(rest)
        } else if c == '\\' {
            1 + rest[1..].chars().next().map_or(0, char::len_utf8)
        } else if rest.starts_with("http://") || rest.starts_with("https://") {
            let address = address(rest);
            out.push('<');
            out.push_str(&rest[..address]);
            out.push('>');
            rest = &rest[address..];
            continue;
        } else if c == '<' && (rest.starts_with("<http://") || rest.starts_with("<https://")) {
            rest.find('>').map_or(1, |end| end + 1)
        } else if c == '[' {
            link(rest).unwrap_or(0)
        } else if matches!(c, '<' | ']') {
            0
        } else {
            c.len_utf8()
        };
        if taken == 0 {
            out.push('\\');
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out.push_str(&rest[..taken]);
            rest = &rest[taken..];
        }
    }
    out
}

/// The length of the code span that `text` starts with; of its backticks alone, if none ends it.
fn code_span(text: &str) -> usize {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let fence = &text[..ticks];
    let mut from = ticks;
    while let Some(found) = text[from..].find(fence) {
        let start = from + found;
        let run = text[start..].len() - text[start..].trim_start_matches('`').len();
        if run == ticks {
            return start + ticks;
        }
        from = start + run;
    }
    ticks
}

/// The length of the web address that `text` starts with, without the punctuation of the sentence around it.
fn address(text: &str) -> usize {
    let mut open: Vec<char> = Vec::new();
    let end = text.find(|c: char| match c {
        '(' | '[' => {
            open.push(c);
            false
        }
        // A bracket that was not opened in the address closes one around it.
        ')' | ']' => open.pop().is_none(),
        c => c.is_whitespace() || matches!(c, '<' | '>' | '"' | '`'),
    });
    text[..end.unwrap_or(text.len())].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'']).len()
}

/// The length of `[text](https://…)`, if `text` starts with that.
fn link(text: &str) -> Option<usize> {
    let middle = text.find("](")?;
    let target = &text[middle + 2..];
    let end = target.find(')')?;
    let web = target.starts_with("http://") || target.starts_with("https://");
    let plain = !text[1..middle].contains(['[', '<', '`']);
    (web && plain).then_some(middle + 2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::{escape, markdown};

    #[test]
    fn the_common_margin_goes() {
        assert_eq!(markdown(" One.\n\n  Two.\n"), ["One.", "", " Two."]);
        assert_eq!(markdown("\n\n"), Vec::<String>::new());
    }

    #[test]
    fn fenced_code_becomes_text_and_is_closed() {
        assert_eq!(markdown("```\nfn main() {}\n```"), ["```text", "fn main() {}", "```"]);
        assert_eq!(markdown("~~~rust,should_panic\n[x] <y>"), ["~~~text", "[x] <y>", "~~~"]);
        assert_eq!(markdown("Say ```x``` now [1]"), ["Say ```x``` now \\[1\\]"]);
    }

    #[test]
    fn indented_code_becomes_fenced_text() {
        assert_eq!(
            markdown("So:\n\n    let [a] = 1;\n\n      b\n\nDone."),
            ["So:", "", "```text", "let [a] = 1;", "", "  b", "```", "", "Done."]
        );
        assert_eq!(markdown("a\n# Title\n    code"), ["a", "# Title", "```text", "code", "```"]);
    }

    #[test]
    fn continued_paragraphs_and_lists_are_no_code() {
        assert_eq!(markdown("so it\n    goes on"), ["so it", "    goes on"]);
        assert_eq!(markdown("- one\n\n      more of it"), ["- one", "", "   more of it"]);
    }

    #[test]
    fn banners_go() {
        assert_eq!(markdown("======\n Title\n======"), [" Title"]);
    }

    #[test]
    fn links_and_html_are_escaped_and_code_is_not() {
        assert_eq!(escape("a [Foo] <T> `[Foo] <T>`"), "a \\[Foo\\] \\<T> `[Foo] <T>`");
        assert_eq!(escape("see https://a.b/c."), "see <https://a.b/c>.");
        assert_eq!(escape("(https://a.b/c[1]_(d))"), "(<https://a.b/c[1]_(d)>)");
        assert_eq!(escape("[docs](https://a.b) [x](y::z)"), "[docs](https://a.b) \\[x\\](y::z)");
        assert_eq!(escape("an ` alone [x]"), "an ` alone \\[x\\]");
        assert_eq!(escape("done \\[x\\] ü\\"), "done \\[x\\] ü\\");
    }

    #[test]
    fn what_rustc_refuses_goes() {
        assert_eq!(markdown("a\rb\u{202e}c\u{0}"), ["abc"]);
    }
}
