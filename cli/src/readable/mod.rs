//! Readable form of foreign text, printed beside the escaped spelling that is signed and never instead of it.
//!
//! A line is printed as it is if its letters belong to one script and nothing in it is invisible or moves other
//! characters. Every other line is printed with escapes and a note.

mod line;
mod page;

pub(crate) use page::{change, document, reason};

use line::{ReadableLine, needs_reading};

/// Formats a foreign name as its escaped spelling, followed by its readable form if that differs and is safe to print.
pub(crate) fn name(text: &str) -> String {
    let escaped = crate::output::safe(text);
    match ReadableLine::of(text) {
        ReadableLine::Plain { text: plain, .. } if needs_reading(text) => format!("{escaped} ({plain})"),
        ReadableLine::Plain { .. } | ReadableLine::Escaped { .. } => escaped,
    }
}

/// Formats foreign text for the middle of a line: each of its lines as it is if that is safe to print, else escaped.
pub(crate) fn in_one_line(text: &str) -> String {
    let lines = text.lines().map(|line| match ReadableLine::of(line) {
        ReadableLine::Plain { text, .. } | ReadableLine::Escaped { text, .. } => text,
    });
    lines.collect::<Vec<String>>().join(" / ")
}

#[cfg(test)]
mod tests;
