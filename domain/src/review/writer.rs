//! Lines of 80 columns. A longer line continues deeper than its first column, so that no value starts a line of
//! the document's own.

use super::Renderer;

const WIDTH: usize = 80;
const INDENT: usize = 4;
/// A line end as the document spells it.
const LINE_END: &str = "\\u{A}";

#[derive(Debug)]
pub(super) struct ReviewWriter {
    pub(super) renderer: Renderer,
    /// Whether values are written in full, whatever their length. Such a document is never signed.
    pub(super) is_full: bool,
    pub(super) text: String,
    /// Whether a value was not written in full.
    pub(super) is_abbreviated: bool,
}

impl ReviewWriter {
    pub(super) const fn new(renderer: Renderer) -> Self {
        Self {
            renderer,
            is_full: false,
            text: String::new(),
            is_abbreviated: false,
        }
    }

    pub(super) fn full() -> Self {
        Self {
            is_full: true,
            ..Self::new(Renderer::CURRENT)
        }
    }

    pub(super) fn rule(&mut self) {
        self.line(&"-".repeat(WIDTH));
    }

    pub(super) fn field(&mut self, name: &str, value: &str) {
        // The space also stands behind a name that fills its column: `fee` 5500 must not look like `fee5` 500.
        self.line(&format!("{name:<15} {value}"));
    }

    pub(super) fn line(&mut self, line: &str) {
        let indent = line.len() - line.trim_start_matches(' ').len() + INDENT;
        let rows = match self.renderer {
            Renderer::Cli1 => cut_anywhere(line, indent),
            Renderer::Cli2 => cut_between_words(line, indent),
        };
        for (n, row) in rows.iter().enumerate() {
            if n > 0 {
                self.text.push_str(&" ".repeat(indent));
            }
            self.text.push_str(row);
            self.text.push('\n');
        }
    }
}

/// Cuts at the width. The line is ASCII by construction, so bytes are characters.
fn cut_anywhere(line: &str, indent: usize) -> Vec<&str> {
    let (mut rows, mut rest, mut room) = (Vec::new(), line, WIDTH);
    loop {
        let (row, next) = rest.split_at(rest.len().min(room));
        rows.push(row);
        if next.is_empty() {
            return rows;
        }
        (rest, room) = (next, WIDTH - indent);
    }
}

/// Cuts behind every line end, and otherwise behind a single space in the second half of the line, or at the
/// width; never inside an escape. A row that ends early therefore ends with exactly one space or a line end.
fn cut_between_words(line: &str, indent: usize) -> Vec<&str> {
    let (mut rows, mut start, mut space, mut room) = (Vec::new(), 0, None, WIDTH);
    let mut at = 0;
    let mut before = "";
    while at < line.len() {
        let token = token(&line[at..]);
        if at + token.len() - start > room {
            let cut = space.filter(|cut| cut - start >= room / 2).unwrap_or(at);
            rows.push(&line[start..cut]);
            (start, space, room) = (cut, None, WIDTH - indent);
            continue;
        }
        at += token.len();
        if token == LINE_END && is_inside_value(&line[at..]) {
            rows.push(&line[start..at]);
            (start, space, room) = (at, None, WIDTH - indent);
        } else if token == " " {
            space = (before != " ").then_some(at);
        }
        before = token;
    }
    rows.push(&line[start..]);
    rows
}

/// Returns the ends of a spelled value, of `length` characters in all. The current version keeps escapes whole.
pub(super) fn head_and_tail(renderer: Renderer, spelled: &str, length: usize, tail: usize) -> (&str, &str) {
    let (mut head_end, mut tail_start) = (length - tail, spelled.len() - tail);
    if renderer != Renderer::Cli1 {
        let mut at = 0;
        let (mut ends, mut starts) = (0, spelled.len());
        while at < spelled.len() {
            if at <= head_end {
                ends = at;
            }
            if at >= tail_start {
                starts = starts.min(at);
            }
            at += token(&spelled[at..]).len();
        }
        (head_end, tail_start) = (ends, starts);
    }
    (&spelled[..head_end], &spelled[tail_start..])
}

/// Whether more of a value follows than its closing quote.
fn is_inside_value(rest: &str) -> bool {
    !matches!(rest, "" | "\"")
}

/// Returns the first character or escape of a line.
fn token(line: &str) -> &str {
    let length = match line.as_bytes() {
        [b'\\', b'u', b'{', ..] => line.find('}').map_or(1, |end| end + 1),
        [b'\\', _, ..] => 2,
        _ => 1,
    };
    &line[..length]
}
