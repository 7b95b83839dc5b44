//! What changes: every column with its value before and after, the row as it was read, and the arguments.

use super::Renderer;
use super::difference::{Difference, differences};
use super::text::{escape, quote, shown};
use super::writer::{ReviewWriter, head_and_tail};
use crate::contract::VersionAdvance;
use crate::digest::Digest;
use crate::proposal::Proposal;
use crate::value::{Value, find};

/// Printed characters of one value; a longer one is cut.
pub const VALUE_CHARS_MAX: usize = 2_000;
const TAIL_CHARS: usize = 200;
/// Printed characters of a value that is shown in full without its differences.
pub const SHORT_VALUE_CHARS: usize = 240;
/// Equal characters that are shown on each side of a part that differs.
const CONTEXT_CHARS: usize = 40;
/// Maximum number of characters of one side of a part; a longer one is shown by head and tail.
const PART_CHARS_MAX: usize = 600;
const PART_TAIL_CHARS: usize = 200;
/// Maximum number of parts of one column that are shown.
const PARTS_SHOWN_MAX: usize = 16;
/// Maximum number of further parts of one column of which the position is listed.
const PARTS_LISTED_MAX: usize = 200;

pub(super) fn changes(page: &mut ReviewWriter, proposal: &Proposal) {
    let count = proposal.set.len() + usize::from(proposal.guard.advance == VersionAdvance::Now);
    page.line(&format!("changes to {count} column(s) of 1 row:"));
    for new in &proposal.set {
        page.line(&format!("  {}", escape(&new.column)));
        let before = find(&proposal.before, &new.column);
        match page.renderer {
            Renderer::Cli1 => whole_or_cut(page, before, &new.value),
            Renderer::Cli2 => change(page, before, &new.value),
        }
        if before == Some(&new.value) {
            page.line("    (no change)");
        }
    }
    if let Some(version) = proposal
        .guard
        .version
        .as_ref()
        .filter(|_| proposal.guard.advance == VersionAdvance::Now)
    {
        page.line(&format!("  {}", escape(&version.column)));
        let before = abbreviate(page, &shown(&version.value));
        page.field("    before", &before);
        page.field("    after", "(the database's time when it is written)");
    }
    page.line("all columns of the row as it was read:");
    for old in &proposal.before {
        let spelled = shown(&old.value);
        let is_above = page.renderer != Renderer::Cli1 && find(&proposal.set, &old.column).is_some();
        let value = if is_above && is_long(&spelled) {
            "(the value before above)".to_owned()
        } else {
            abbreviate(page, &spelled)
        };
        page.field(&format!("  {}", escape(&old.column)), &value);
    }
}

pub(super) fn agent_text(page: &mut ReviewWriter, proposal: &Proposal) {
    for (name, value) in &proposal.args {
        let spelled = shown(value);
        let set = proposal.set.iter().find(|new| new.value == *value);
        let text = match set.filter(|_| page.renderer != Renderer::Cli1 && is_long(&spelled)) {
            Some(new) => format!("(the value after of {})", escape(&new.column)),
            None => abbreviate(page, &spelled),
        };
        page.field(&format!("  {}", escape(name)), &text);
    }
}

/// Returns a spelled value, or its head, length, digest and tail.
pub(super) fn abbreviate(page: &mut ReviewWriter, spelled: &str) -> String {
    let length = spelled.chars().count();
    if page.is_full || length <= VALUE_CHARS_MAX {
        return spelled.to_owned();
    }
    page.is_abbreviated = true;
    let digest = Digest::of_typed("text/plain", spelled.as_bytes());
    let (head, tail) = head_and_tail(page.renderer, spelled, VALUE_CHARS_MAX, TAIL_CHARS);
    format!("{head} [... {length} characters in all, {digest} ...] {tail}")
}

fn is_long(spelled: &str) -> bool {
    spelled.chars().count() > SHORT_VALUE_CHARS
}

fn whole_or_cut(page: &mut ReviewWriter, before: Option<&Value>, after: &Value) {
    let before = before.map_or_else(
        || "(not read)".to_owned(),
        |value| abbreviate(page, &shown(value)),
    );
    page.field("    before", &before);
    let after = abbreviate(page, &shown(after));
    page.field("    after", &after);
}

/// Shows short values in full, longer ones in full and by their differences, and the longest by their
/// differences alone.
fn change(page: &mut ReviewWriter, before: Option<&Value>, after: &Value) {
    let Some((old, new)) = before.and_then(|before| comparable(before, after)) else {
        return whole_or_cut(page, before, after);
    };
    for (name, value) in [("    before", &old), ("    after", &new)] {
        let text = whole_or_length(page, value);
        page.field(name, &text);
    }
    parts(page, &old.chars, &new.chars);
}

/// Renders one change as the current document shows it.
pub fn change_lines(before: &Value, after: &Value) -> String {
    let mut page = ReviewWriter::new(Renderer::CURRENT);
    change(&mut page, Some(before), after);
    page.text
}

struct LongText {
    spelled: String,
    chars: Vec<char>,
}

/// Returns the texts of two different values of one kind, if one of them is long.
fn comparable(before: &Value, after: &Value) -> Option<(LongText, LongText)> {
    let (old, new) = before.as_text().zip(after.as_text())?;
    let [old, new] = [(before, old), (after, new)].map(|(value, text)| LongText {
        spelled: shown(value),
        chars: text.chars().collect(),
    });
    let is_comparable = before.kind() == after.kind() && before != after;
    (is_comparable && (is_long(&old.spelled) || is_long(&new.spelled))).then_some((old, new))
}

fn whole_or_length(page: &mut ReviewWriter, value: &LongText) -> String {
    if page.is_full || value.spelled.chars().count() <= VALUE_CHARS_MAX {
        return value.spelled.clone();
    }
    page.is_abbreviated = true;
    let digest = Digest::of_typed("text/plain", value.spelled.as_bytes());
    format!("(not shown in full: {} characters, {digest})", value.chars.len())
}

fn parts(page: &mut ReviewWriter, old: &[char], new: &[char]) {
    let parts = differences(old, new);
    page.field(
        "    differs",
        &format!("in {} part(s), positions in characters from 1", parts.len()),
    );
    let has_lines = old.contains(&'\n') || new.contains(&'\n');
    for (n, part) in parts.iter().take(PARTS_SHOWN_MAX).enumerate() {
        let mut place = position(part);
        if has_lines {
            let ends = new[..part.after.start].iter().filter(|c| **c == '\n').count();
            place.push_str(&format!(", line {} after", ends + 1));
        }
        page.field(&format!("    part {}", n + 1), &place);
        excerpt(page, part, old, new);
    }
    let further = parts.get(PARTS_SHOWN_MAX..).unwrap_or_default();
    for (n, part) in further.iter().take(PARTS_LISTED_MAX).enumerate() {
        let name = format!("    part {}", n + 1 + PARTS_SHOWN_MAX);
        page.field(&name, &format!("{} (not shown)", position(part)));
    }
    let unlisted = further.get(PARTS_LISTED_MAX..).unwrap_or_default();
    if let (Some(first), Some(last)) = (unlisted.first(), unlisted.last()) {
        let span = Difference {
            before: first.before.start..last.before.end,
            after: first.after.start..last.after.end,
        };
        let text = format!(
            "{} more part(s) within {} (not shown)",
            unlisted.len(),
            position(&span)
        );
        page.field("    further", &text);
    }
}

fn position(part: &Difference) -> String {
    let range = |range: &std::ops::Range<usize>| match range.len() {
        0 => format!("nothing behind {}", range.start),
        1 => format!("{}", range.end),
        _ => format!("{} to {}", range.start + 1, range.end),
    };
    format!("{} before, {} after", range(&part.before), range(&part.after))
}

fn excerpt(page: &mut ReviewWriter, part: &Difference, old: &[char], new: &[char]) {
    let start = part.after.start.saturating_sub(CONTEXT_CHARS);
    let end = new.len().min(part.after.end + CONTEXT_CHARS);
    if start < part.after.start {
        page.field("      context", &spell(&new[start..part.after.start]));
    }
    page.field("      before", &side(&old[part.before.clone()]));
    page.field("      after", &side(&new[part.after.clone()]));
    if part.after.end < end {
        page.field("      context", &spell(&new[part.after.end..end]));
    }
}

fn side(chars: &[char]) -> String {
    if chars.is_empty() {
        return "(nothing)".to_owned();
    }
    if chars.len() <= PART_CHARS_MAX {
        return spell(chars);
    }
    let digest = Digest::of_typed("text/plain", spell(chars).as_bytes());
    let (head, rest) = chars.split_at(PART_CHARS_MAX - PART_TAIL_CHARS);
    let (middle, tail) = rest.split_at(rest.len() - PART_TAIL_CHARS);
    let length = chars.len();
    let hidden = middle.len();
    format!(
        "{} [... {hidden} of {length} characters not shown, {digest} of all ...] {}",
        spell(head),
        spell(tail)
    )
}

fn spell(chars: &[char]) -> String {
    quote(&chars.iter().collect::<String>())
}
