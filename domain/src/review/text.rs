//! Spells values and foreign text as printable ASCII.

use crate::value::{Value, ValueKind};

/// A value in one of three unmistakable glyphs: `NULL`, digits or a word, or quoted text.
pub fn shown(value: &Value) -> String {
    match (value.kind(), value.as_text()) {
        (ValueKind::Null, _) | (_, None) => "NULL".to_owned(),
        (ValueKind::Int | ValueKind::Dec | ValueKind::Bool, Some(text)) => escape(text),
        (ValueKind::Text, Some(text)) => quote(text),
        (kind, Some(text)) => format!("{} {}", format!("{kind:?}").to_lowercase(), quote(text)),
    }
}

pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text))
}

/// Printable ASCII stays, save for the quote and the backslash; leading and trailing spaces and all else
/// are spelled `\u{..}`.
pub fn escape(text: &str) -> String {
    let start = text.len() - text.trim_start_matches(' ').len();
    let end = text.trim_end_matches(' ').len();
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let edge_space = c == ' ' && (at < start || at >= end);
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            ' '..='~' if !edge_space => out.push(c),
            _ => out.push_str(&format!("\\u{{{:X}}}", u32::from(c))),
        }
    }
    out
}
