//! Lays out the readable form of the texts of a proposal.

use std::ops::Range;

use synapsor_domain::proposal::Proposal;
use synapsor_domain::review::{SHORT_VALUE_CHARS, VALUE_CHARS_MAX, differences};
use synapsor_domain::value::{Value, find};

use super::line::{ReadableLine, System, needs_reading, token, width};
use crate::output::safe;

/// Terminal columns of one row of text.
const ROW_COLUMNS: usize = 68;
/// Terminal columns of a status field without its name.
const FIELD_COLUMNS: usize = 64;
/// Equal characters that are printed on each side of a part that differs.
const CONTEXT_CHARS: usize = 40;
/// Why a readable line has escapes.
const BLANKS_ESCAPED: &str = "it has blanks other than U+0020";
/// Maximum number of parts of one change that are printed.
const PARTS_MAX: usize = 16;

/// Returns the readable form of every text of a proposal that needs one; empty if none does. Texts that the
/// signed document cuts are cut here too, unless `is_full`.
pub(crate) fn document(proposal: &Proposal, is_full: bool) -> String {
    let mut page = String::new();
    let (target, asked) = (&proposal.target, &proposal.requested_by);
    let limit = if is_full { usize::MAX } else { VALUE_CHARS_MAX };
    for key in &target.keys {
        value(
            &mut page,
            &format!("row {}", safe(&key.column)),
            &key.value,
            limit,
        );
    }
    if let Some(tenant) = &target.tenant {
        value(
            &mut page,
            &format!("tenant {}", safe(&tenant.column)),
            &tenant.value,
            limit,
        );
    }
    text(&mut page, "asked by", &asked.principal, limit);
    if target.tenant.as_ref().and_then(|tenant| tenant.value.as_text()) != Some(&asked.tenant) {
        text(&mut page, "asked by, tenant", &asked.tenant, limit);
    }
    text(
        &mut page,
        "on behalf of",
        proposal.on_behalf_of.as_deref().unwrap_or_default(),
        limit,
    );
    for new in &proposal.set {
        text(&mut page, "column name", &new.column, limit);
        let null = Value::null();
        let before = find(&proposal.before, &new.column).unwrap_or(&null);
        change(&mut page, &safe(&new.column), before, &new.value, limit);
    }
    for old in &proposal.before {
        if find(&proposal.set, &old.column).is_none() {
            value(
                &mut page,
                &format!("{} as read", safe(&old.column)),
                &old.value,
                limit,
            );
        }
    }
    for (name, given) in &proposal.args {
        if !proposal.set.iter().any(|new| new.value == *given) {
            value(&mut page, &format!("argument {}", safe(name)), given, limit);
        }
    }
    if page.is_empty() {
        return page;
    }
    format!("\nreadable form of the text above, not signed:\n{page}")
}

/// Formats the reason of a decision. Unlike a text of the proposal it has no other spelling, so it is always printed.
pub(crate) fn reason(text: &str) -> String {
    let lines: Vec<ReadableLine> = lines(text).map(ReadableLine::of).collect();
    if let [
        ReadableLine::Plain {
            text,
            system,
            has_blanks: false,
        },
    ] = lines.as_slice()
    {
        let field = format!("  reason{}: {text}", script(*system));
        if columns(&field) <= FIELD_COLUMNS {
            return field;
        }
    }
    let mut page = "  reason:\n".to_owned();
    bars(&mut page, &lines);
    page.truncate(page.trim_end_matches('\n').len());
    page
}

/// Appends both values of a change; of long ones only the parts that differ.
pub(crate) fn change(page: &mut String, name: &str, before: &Value, after: &Value, limit: usize) {
    let long = |text: &str| text.chars().count() > SHORT_VALUE_CHARS.min(limit);
    let texts = before.as_text().zip(after.as_text());
    match texts.filter(|(old, new)| old != new && (long(old) || long(new))) {
        Some((old, new)) if limit != usize::MAX => parts(page, name, old, new),
        _ => {
            value(page, &format!("{name} before"), before, limit);
            if before != after {
                value(page, &format!("{name} after"), after, limit);
            }
        }
    }
}

fn parts(page: &mut String, name: &str, old: &str, new: &str) {
    let (old, new): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    for (n, part) in differences(&old, &new).iter().take(PARTS_MAX).enumerate() {
        for (side, chars, range) in [("before", &old, &part.before), ("after", &new, &part.after)] {
            let label = format!("{name} part {} {side}", n + 1);
            text(page, &label, &around(chars, range), VALUE_CHARS_MAX);
        }
    }
}

/// Returns a part with its context.
fn around(chars: &[char], part: &Range<usize>) -> String {
    let start = part.start.saturating_sub(CONTEXT_CHARS);
    let end = chars.len().min(part.end + CONTEXT_CHARS);
    chars[start..end].iter().collect()
}

fn value(page: &mut String, label: &str, value: &Value, limit: usize) {
    text(page, label, value.as_text().unwrap_or_default(), limit);
}

/// Appends the readable form of a text, if it needs one.
pub(super) fn text(page: &mut String, label: &str, text: &str, limit: usize) {
    if !needs_reading(text) {
        return;
    }
    let cut = text.char_indices().nth(limit).map_or(text.len(), |(at, _)| at);
    let lines: Vec<ReadableLine> = lines(&text[..cut]).map(ReadableLine::of).collect();
    match lines.as_slice() {
        [
            ReadableLine::Plain {
                text,
                system,
                has_blanks,
            },
        ] if columns(text) <= ROW_COLUMNS => {
            page.push_str(&format!("  {label}{} reads: {text}\n", script(*system)));
            if *has_blanks {
                note(page, BLANKS_ESCAPED);
            }
        }
        lines => {
            page.push_str(&format!("  {label} reads:\n"));
            bars(page, lines);
        }
    }
    if cut < text.len() {
        page.push_str(&format!(
            "  {label}: only the first {limit} characters are printed\n"
        ));
    }
}

/// Splits at line ends, with or without a carriage return.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').map(|line| {
        let ended = line.strip_suffix('\n');
        ended.map_or(line, |line| line.strip_suffix('\r').unwrap_or(line))
    })
}

fn script(system: Option<System>) -> String {
    system.map_or_else(String::new, |system| format!(" ({})", system.name()))
}

/// Prints each line behind a bar, with its script or `esc` before the bar, and says why lines are escaped.
fn bars(page: &mut String, lines: &[ReadableLine]) {
    let mut reasons: Vec<&str> = Vec::new();
    for line in lines {
        let (mark, text, reason) = match line {
            ReadableLine::Plain {
                text,
                system,
                has_blanks,
            } => {
                let mark = system.map_or("", |system| system.code());
                (mark, text, has_blanks.then_some(BLANKS_ESCAPED))
            }
            ReadableLine::Escaped { text, reason } => ("esc", text, Some(reason.as_str())),
        };
        reasons.extend(reason.filter(|reason| !reasons.contains(reason)));
        for (n, row) in rows(text).iter().enumerate() {
            let (mark, bar) = if n == 0 { (mark, '|') } else { ("", ':') };
            page.push_str(&format!("  {mark:>6} {bar} {row}\n"));
        }
    }
    for reason in reasons {
        note(page, reason);
    }
}

fn note(page: &mut String, reason: &str) {
    page.push_str(&format!("  (printed with escapes: {reason})\n"));
}

/// Cuts a line into rows, behind a space if the row has one in its second half, so that the terminal itself never
/// starts a row within foreign text. Escapes stay whole.
fn rows(line: &str) -> Vec<&str> {
    let (mut rows, mut start, mut used) = (Vec::new(), 0, 0);
    let mut at = 0;
    while at < line.len() {
        let token = token(&line[at..]);
        if used + columns(token) > ROW_COLUMNS {
            let row = &line[start..at];
            let space = row
                .rfind(' ')
                .filter(|space| columns(&row[..*space]) * 2 >= ROW_COLUMNS);
            let cut = space.map_or(at, |space| start + space + 1);
            rows.push(&line[start..cut]);
            used = columns(&line[cut..at]);
            start = cut;
        }
        used += columns(token);
        at += token.len();
    }
    rows.push(&line[start..]);
    rows
}

fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}
