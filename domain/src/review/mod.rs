//! The document that a person signs: a pure function of the proposal, 80 columns of printable ASCII.
//!
//! Everything that could hide or imitate something is spelled out: whatever is not printable ASCII becomes
//! `\u{..}`, and so do leading and trailing spaces. Approvals so far, posture and relative times are shown
//! beside the document by the CLI and are not part of it.

use crate::contract::VersionAdvance;
use crate::digest::Digest;
use crate::proposal::{GuardKind, GuardStrength, Proposal, RowGuard};
use crate::signing::ObjectKind;
use crate::value::{ColumnValue, Value, ValueKind, find};

const WIDTH: usize = 80;
const INDENT: usize = 4;
/// Printed characters of one value; a longer one is shown by head, tail, length and digest.
const VALUE_CHARS_MAX: usize = 2_000;
const TAIL_CHARS: usize = 200;

/// The digest that an approval covers.
pub fn digest(proposal: &Proposal, proposal_digest: Digest) -> Digest {
    Digest::of(
        ObjectKind::ReviewDocument,
        document(proposal, proposal_digest).as_bytes(),
    )
}

/// Whether a value of the change is too long to be shown whole, so that approving asks for the short code.
pub fn is_abbreviated(proposal: &Proposal) -> bool {
    let long = |c: &ColumnValue| shown(&c.value).chars().count() > VALUE_CHARS_MAX;
    proposal.set.iter().any(long) || proposal.before.iter().any(long)
}

/// The document, lines ended by `\n`.
pub fn document(proposal: &Proposal, proposal_digest: Digest) -> String {
    let mut page = ReviewWriter::default();
    page.line("SYNAPSOR CHANGE REVIEW  renderer cli/1");
    page.rule();
    head(&mut page, proposal, proposal_digest);
    page.rule();
    changes(&mut page, proposal);
    page.rule();
    terms(&mut page, proposal);
    page.rule();
    page.line("text from the agent, unverified:");
    for (name, value) in &proposal.args {
        page.field(&format!("  {}", escape(name)), &abbreviate(&shown(value)));
    }
    page.text
}

fn head(page: &mut ReviewWriter, proposal: &Proposal, digest: Digest) {
    page.field("proposal", proposal.id.as_str());
    page.field("digest", &digest.to_string());
    page.field("code", &digest.short_code());
    page.field("action", &escape(&proposal.capability));
    page.field("environment", proposal.environment.as_str());
    page.field(
        "source",
        &format!(
            "{} ({})",
            escape(&proposal.source.id),
            escape(&proposal.source.engine)
        ),
    );
    page.field("database", &escape(&proposal.source.fingerprint));
    page.field(
        "table",
        &format!(
            "{}.{}",
            escape(&proposal.target.schema),
            escape(&proposal.target.table)
        ),
    );
    page.field("row", &column(&proposal.target.primary_key));
    match &proposal.target.tenant {
        Some(tenant) => page.field("tenant", &column(tenant)),
        None => page.field("tenant", "NONE: a single-tenant development target"),
    }
    let asked = &proposal.requested_by;
    page.field(
        "asked by",
        &format!(
            "{} of tenant {} ({})",
            quote(&asked.principal),
            quote(&asked.tenant),
            escape(&asked.provenance)
        ),
    );
    if let Some(other) = &proposal.on_behalf_of {
        page.field("on behalf of", &quote(other));
    }
}

fn changes(page: &mut ReviewWriter, proposal: &Proposal) {
    let count = proposal.set.len() + usize::from(proposal.guard.advance == VersionAdvance::Now);
    page.line(&format!("changes to {count} column(s) of 1 row:"));
    for new in &proposal.set {
        page.line(&format!("  {}", escape(&new.column)));
        let before = find(&proposal.before, &new.column);
        page.field(
            "    before",
            &before.map_or_else(|| "(not read)".to_owned(), |v| abbreviate(&shown(v))),
        );
        page.field("    after", &abbreviate(&shown(&new.value)));
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
        page.field("    before", &abbreviate(&shown(&version.value)));
        page.field("    after", "(the database's time when it is written)");
    }
    page.line("all columns of the row as it was read:");
    for old in &proposal.before {
        page.field(
            &format!("  {}", escape(&old.column)),
            &abbreviate(&shown(&old.value)),
        );
    }
}

fn terms(page: &mut ReviewWriter, proposal: &Proposal) {
    page.field("guard", &guard(&proposal.guard));
    match (proposal.guard.advance, &proposal.guard.version) {
        (VersionAdvance::None, _) | (_, None) => {}
        (VersionAdvance::Increment, Some(version)) => {
            let text = format!(
                "the writer adds 1 to {} in the same update",
                escape(&version.column)
            );
            page.field("advance", &text);
        }
        (VersionAdvance::Now, Some(version)) => {
            let name = escape(&version.column);
            page.field(
                "advance",
                &format!("the writer sets {name} to the database's time"),
            );
        }
    }
    if proposal.side_effects.is_empty() {
        page.field("side effects", "none known");
    }
    for effect in &proposal.side_effects {
        page.field("side effects", &escape(effect));
    }
    page.field("executor", &escape(&proposal.executor));
    page.field("contract", &proposal.contract_digest.short_code());
    let terms = &proposal.approval;
    page.field(
        "approval",
        &format!(
            "{} person(s) with role {}",
            terms.quorum,
            escape(&terms.required_role)
        ),
    );
    page.field("proposed at", &proposal.created_at.to_string());
    page.field("expires at", &proposal.not_after.to_string());
}

/// The guard in one line: its column and how well that guards. A weak one begins with the word `WEAK`.
pub fn guard(guard: &RowGuard) -> String {
    let Some(version) = guard
        .version
        .as_ref()
        .filter(|_| guard.kind == GuardKind::VersionColumn)
    else {
        return "WEAK: no version column, only the values shown above".to_owned();
    };
    let declared = guard.declared_type.as_deref().map_or(String::new(), escape);
    let shown = column(version);
    match guard.strength {
        None => format!("version column {shown}"),
        Some(GuardStrength::Weak) => {
            format!("WEAK: version column {shown} ({declared}) is too coarse to tell two quick changes apart")
        }
        Some(strength @ (GuardStrength::Strong | GuardStrength::Medium)) => {
            format!("version column {shown} ({declared}, {})", strength.as_str())
        }
    }
}

fn column(column: &ColumnValue) -> String {
    format!(
        "{} = {}",
        escape(&column.column),
        abbreviate(&shown(&column.value))
    )
}

/// A value in one of three unmistakable glyphs: `NULL`, digits or a word, or quoted text.
pub fn shown(value: &Value) -> String {
    match (value.kind(), value.as_text()) {
        (ValueKind::Null, _) | (_, None) => "NULL".to_owned(),
        (ValueKind::Int | ValueKind::Dec | ValueKind::Bool, Some(text)) => escape(text),
        (ValueKind::Text, Some(text)) => quote(text),
        (kind, Some(text)) => format!("{} {}", format!("{kind:?}").to_lowercase(), quote(text)),
    }
}

fn quote(text: &str) -> String {
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

fn abbreviate(text: &str) -> String {
    let length = text.chars().count();
    if length <= VALUE_CHARS_MAX {
        return text.to_owned();
    }
    let digest = Digest::of_typed("text/plain", text.as_bytes());
    let head: String = text.chars().take(VALUE_CHARS_MAX - TAIL_CHARS).collect();
    let tail: String = text.chars().skip(length - TAIL_CHARS).collect();
    format!("{head} [... {length} characters in all, {digest} ...] {tail}")
}

#[derive(Default)]
struct ReviewWriter {
    text: String,
}

impl ReviewWriter {
    fn rule(&mut self) {
        self.line(&"-".repeat(WIDTH));
    }

    fn line(&mut self, line: &str) {
        let indent = line.len() - line.trim_start_matches(' ').len() + INDENT;
        let mut rest = line;
        let mut room = WIDTH;
        loop {
            // Everything here is ASCII by construction, so bytes are characters.
            let cut = rest.len().min(room);
            self.text.push_str(&rest[..cut]);
            self.text.push('\n');
            rest = &rest[cut..];
            if rest.is_empty() {
                return;
            }
            self.text.push_str(&" ".repeat(indent));
            room = WIDTH - indent;
        }
    }

    fn field(&mut self, name: &str, value: &str) {
        // The space also stands behind a name that fills its column: `fee` 5500 must not look like `fee5` 500.
        self.line(&format!("{name:<15} {value}"));
    }
}
