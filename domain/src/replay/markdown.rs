//! Renders a replay as Markdown. Values are escaped as in the review document, so that text from a database or
//! an agent cannot imitate the surrounding page. The reasons of operators are spelled by the caller.

use std::fmt::Write as _;

use super::ReplayReport;
use crate::approval::{DecisionKind, SignerInfo};
use crate::proposal::GuardKind;
use crate::review::{escape, shown};
use crate::value::ColumnValue;

/// Renders the page; lines end with `\n`. `reason_text` spells the reasons of decisions on one line, safe to print.
pub fn markdown(story: &ReplayReport, reason_text: fn(&str) -> String) -> String {
    let mut page = MarkdownWriter::default();
    page.line(&format!("# Replay of {}", story.proposal_id));
    page.blank();
    page.item("state", story.state.as_str());
    page.item("code", &story.short_code);
    page.item("digest", &story.proposal_digest.to_string());
    request(&mut page, story);
    evidence(&mut page, story);
    diff(&mut page, story);
    decisions(&mut page, story, reason_text);
    writeback(&mut page, story);
    human_actions(&mut page, story, reason_text);
    page.section("Events");
    for event in &story.events {
        page.line(&format!(
            "- {} {} {} by {}",
            event.seq,
            event.at,
            event.kind,
            code(&event.actor)
        ));
    }
    page.blank();
    page.line("This is a replay of what was recorded, not a view of the database at that time.");
    page.text
}

fn request(page: &mut MarkdownWriter, story: &ReplayReport) {
    page.section("Request");
    page.item("action", &code(&story.request.capability));
    page.item("proposed at", &story.request.created_at.to_string());
    page.item("expires at", &story.request.not_after.to_string());
    page.line("- arguments, unverified text from the agent:");
    for arg in &story.request.args {
        page.line(&format!("  - {}", column(arg)));
    }
    page.section("Trusted context");
    let context = &story.trusted_context;
    page.item("tenant", &code(&context.tenant));
    page.item("principal", &code(&context.principal));
    page.item("from", &code(&context.provenance));
    page.item("client", &code(&context.client));
    if let Some(other) = &context.on_behalf_of {
        page.item("on behalf of", &code(other));
    }
    page.item(
        "source",
        &format!(
            "{} ({}), {}",
            code(&story.source.id),
            code(&story.source.engine),
            story.environment
        ),
    );
    let target = &story.target;
    page.item(
        "row",
        &format!(
            "{} where {}",
            code(&format!("{}.{}", target.schema, target.table)),
            target.keys.iter().map(column).collect::<Vec<_>>().join(" and ")
        ),
    );
}

fn evidence(page: &mut MarkdownWriter, story: &ReplayReport) {
    page.section("Evidence");
    for line in &story.evidence {
        let role = if line.cited {
            "cited by the proposal"
        } else {
            "of a repeated call"
        };
        page.line(&format!(
            "- {} read at {}, {role}, {}",
            line.id, line.read_at, line.digest
        ));
        for value in &line.row {
            page.line(&format!("  - {}", column(value)));
        }
    }
}

fn diff(page: &mut MarkdownWriter, story: &ReplayReport) {
    page.section("Diff");
    for change in &story.diff {
        let before = change
            .before
            .as_ref()
            .map_or_else(|| "(not read)".to_owned(), |v| code_raw(&shown(v)));
        page.line(&format!(
            "- {}: {before} to {}",
            code(&change.column),
            code_raw(&shown(&change.after))
        ));
    }
    match (story.guard.kind, &story.guard.version) {
        (GuardKind::VersionColumn, Some(version)) if story.guard.is_weak() => {
            page.item("guard", &format!("WEAK: {}", column(version)))
        }
        (GuardKind::VersionColumn, Some(version)) => page.item("guard", &column(version)),
        (GuardKind::VersionColumn | GuardKind::Weak, _) => {
            page.item("guard", "WEAK: only the values that were read")
        }
    }
}

fn decisions(page: &mut MarkdownWriter, story: &ReplayReport, reason_text: fn(&str) -> String) {
    page.section("Decisions");
    if story.decisions.is_empty() {
        page.line("- none");
    }
    for line in &story.decisions {
        let verdict = match line.decision {
            DecisionKind::Approve => "approved",
            DecisionKind::Reject => "rejected",
        };
        page.line(&format!(
            "- {verdict} by {} at {}, valid until {}",
            person(&line.approver),
            line.issued_at,
            line.expires_at
        ));
        if let Some(reason) = &line.reason {
            page.line(&format!("  - reason: {}", code_raw(&reason_text(reason))));
        }
    }
    for line in &story.orders {
        page.line(&format!(
            "- apply ordered by {} at {}, valid until {}, based on {} decision(s)",
            person(&line.approver),
            line.issued_at,
            line.expires_at,
            line.decision_digests.len()
        ));
    }
    if let Some(line) = &story.withdrawal {
        page.line(&format!(
            "- withdrawn by its agent at {} through {}",
            line.at,
            code(&line.gateway)
        ));
    }
}

fn human_actions(page: &mut MarkdownWriter, story: &ReplayReport, reason_text: fn(&str) -> String) {
    if story.human_actions.is_empty() {
        return;
    }
    page.section("Human actions");
    for line in &story.human_actions {
        page.line(&format!(
            "- recorded by {} at {}",
            person(&line.operator),
            line.issued_at
        ));
        for change in &line.patch {
            page.line(&format!("  - {}", column(change)));
        }
        if let Some(notes) = &line.notes {
            page.line(&format!("  - notes: {}", code_raw(&reason_text(notes))));
        }
    }
}

fn writeback(page: &mut MarkdownWriter, story: &ReplayReport) {
    page.section("Guarded writeback");
    if story.attempts.is_empty() {
        page.line("- no attempt");
    }
    for line in &story.attempts {
        let what = format!(
            "attempt {} of writer {} at {}: {}",
            line.attempt,
            code(&line.writer),
            line.at,
            line.result
        );
        page.line(&format!("- {what} {}", code(&line.message)));
    }
    let Some(line) = &story.receipt else { return };
    let receipt = &line.receipt;
    // An `applied` outcome needs no reason.
    let mut reason = if receipt.reason.is_empty() {
        String::new()
    } else {
        format!(" {}", code(&receipt.reason))
    };
    if let Some(violated) = &receipt.constraint {
        reason.push_str(&format!(" by the {}", code(&violated.to_string())));
    }
    page.line(&format!("- receipt {}: {}{reason}", line.digest, receipt.outcome));
    page.line(&format!("  - rows changed: {}", receipt.rows_affected));
    page.line(&format!(
        "  - written at {} under key {}",
        receipt.created_at, line.writer_key
    ));
}

fn person(approver: &SignerInfo) -> String {
    format!(
        "{} as {} ({})",
        code(&approver.person),
        code(&approver.role),
        approver.key_id
    )
}

fn column(column: &ColumnValue) -> String {
    format!("{} = {}", code(&column.column), code_raw(&shown(&column.value)))
}

fn code(text: &str) -> String {
    code_raw(&escape(text))
}

/// Returns a code span. It is delimited by one back-tick more than the text has in a row, so that none of them ends it.
fn code_raw(text: &str) -> String {
    if text.is_empty() {
        return "(empty)".to_owned();
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    match longest {
        0 => format!("`{text}`"),
        _ => {
            let delimiter = "`".repeat(longest + 1);
            format!("{delimiter} {text} {delimiter}")
        }
    }
}

#[derive(Default)]
struct MarkdownWriter {
    text: String,
}

impl MarkdownWriter {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }

    fn section(&mut self, title: &str) {
        let _ = write!(self.text, "\n## {title}\n\n");
    }

    fn item(&mut self, name: &str, value: &str) {
        self.line(&format!("- {name}: {value}"));
    }
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn no_text_ends_its_code_span() {
        for (text, span) in [
            ("plain", "`plain`"),
            ("the `x`", "`` the `x` ``"),
            ("a``b`c", "``` a``b`c ```"),
            ("", "(empty)"),
        ] {
            assert_eq!(code(text), span);
        }
    }
}
