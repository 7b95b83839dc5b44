//! The frame of the document: what the change is about, the terms of its approval, and the agent's text last.

use super::changes::{abbreviate, agent_text, changes};
use super::text::{escape, quote, shown};
use super::writer::ReviewWriter;
use super::{Renderer, ReviewDocument};
use crate::contract::VersionAdvance;
use crate::digest::Digest;
use crate::proposal::{GuardKind, GuardStrength, Proposal, RowGuard};
use crate::value::ColumnValue;

pub(super) fn render(proposal: &Proposal, proposal_digest: Digest, renderer: Renderer) -> ReviewDocument {
    let mut page = ReviewWriter::new(renderer);
    page.line(&format!("SYNAPSOR CHANGE REVIEW  renderer {}", renderer.as_str()));
    body(&mut page, proposal, proposal_digest);
    ReviewDocument {
        text: page.text,
        is_abbreviated: page.is_abbreviated,
    }
}

pub(super) fn render_full(proposal: &Proposal, proposal_digest: Digest) -> String {
    let mut page = ReviewWriter::full();
    page.line("SYNAPSOR CHANGE IN FULL  every value whole; not the document that is signed");
    body(&mut page, proposal, proposal_digest);
    page.text
}

fn body(page: &mut ReviewWriter, proposal: &Proposal, proposal_digest: Digest) {
    page.rule();
    head(page, proposal, proposal_digest);
    page.rule();
    changes(page, proposal);
    page.rule();
    terms(page, proposal);
    page.rule();
    page.line("text from the agent, unverified:");
    agent_text(page, proposal);
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
    for key in &proposal.target.keys {
        let row = column(page, key);
        page.field("row", &row);
    }
    match &proposal.target.tenant {
        Some(tenant) => {
            let tenant = column(page, tenant);
            page.field("tenant", &tenant);
        }
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

fn terms(page: &mut ReviewWriter, proposal: &Proposal) {
    let guard = guard_line(&proposal.guard, page);
    page.field("guard", &guard);
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
    guard_line(guard, &mut ReviewWriter::new(Renderer::CURRENT))
}

fn guard_line(guard: &RowGuard, page: &mut ReviewWriter) -> String {
    let Some(version) = guard
        .version
        .as_ref()
        .filter(|_| guard.kind == GuardKind::VersionColumn)
    else {
        return "WEAK: no version column, only the values shown above".to_owned();
    };
    let declared = guard.declared_type.as_deref().map_or(String::new(), escape);
    let shown = column(page, version);
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

fn column(page: &mut ReviewWriter, column: &ColumnValue) -> String {
    let value = abbreviate(page, &shown(&column.value));
    format!("{} = {value}", escape(&column.column))
}
