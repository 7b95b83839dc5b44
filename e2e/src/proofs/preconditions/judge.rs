//! Invariants of every attempt: one row, one receipt, one outcome, and a refusal with a specific reason.

use super::cases::Case;
use super::scene::{Approved, Ended, Scene};
use super::state::State;
use super::tally::{Moment, Tally};
use crate::proofs::findings::Findings;

/// Results that name their reason. A conflict is one: the owner's definition may have changed the row itself.
const NAMED: [&str; 3] = ["refused:", "failed:", "conflict:"];
/// Database refusals that no check of the writer named.
const GENERIC: [&str; 2] = ["refused:database", "refused:"];

/// Expected result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Refused,
    Applied,
    /// Either one; the row, the receipt and the outcome agree.
    Either,
}

/// Violations, and the number of attempts.
#[derive(Debug, Default)]
pub(super) struct CellVerdicts {
    pub(super) findings: Findings,
    pub(super) tally: Tally,
}

impl CellVerdicts {
    /// Adds the counts of another judge.
    pub(super) fn add(&mut self, other: &Self) {
        self.findings.violations += other.findings.violations;
        self.tally.add_all(&other.tally);
    }

    /// Records a definition that could not be created or a writer that did not start: the cell proves nothing.
    pub(super) fn failed(&mut self, case: &Case, moment: Moment, error: &anyhow::Error) {
        self.tally.add(moment, case.kind, "not tried");
        let name = format!("{} {}", case.name, moment.name());
        self.findings.violated(&name, &format!("{error:#}"));
    }

    /// Records that the reader refused the proposal.
    pub(super) fn not_proposed(&mut self, case: &Case, moment: Moment, code: &str) {
        self.tally.add(moment, case.kind, code);
    }

    /// Compares the tables before and after an attempt.
    pub(super) fn attempt(
        &mut self,
        (case, moment, expected): (&Case, Moment, Expected),
        scene: &Scene,
        (approved, ended): (&Approved, &Ended),
        before: &State,
    ) -> anyhow::Result<bool> {
        let after = scene.state()?;
        self.tally.add(moment, case.kind, &ended.result);
        let mut wrong = differences(approved, ended, before, &after);
        let is_applied = after.outcome(&approved.id) == Some("applied");
        let is_named = NAMED.iter().any(|class| ended.result.starts_with(class));
        match expected {
            Expected::Applied if !is_applied => wrong.push("it was not applied"),
            Expected::Refused if is_applied => wrong.push("it was applied"),
            // Acknowledged code may fail by itself, for example at a unique key of another table.
            _ if moment == Moment::Acknowledged && is_named => {}
            _ if !is_applied && (!is_named || GENERIC.contains(&ended.result.as_str())) => {
                wrong.push("the refusal has no name");
            }
            _ => {}
        }
        if !wrong.is_empty() {
            let name = format!("{} {} ({})", case.name, moment.name(), approved.id);
            let text = format!(
                "{}: {ended:?}\n  {}\n{}",
                wrong.join("; "),
                before.changes(&after, &approved.invoice),
                scene.log()
            );
            self.findings.violated(&name, &text);
        }
        Ok(is_applied)
    }
}

fn differences(approved: &Approved, ended: &Ended, before: &State, after: &State) -> Vec<&'static str> {
    let mut wrong = Vec::new();
    let (old, new) = (
        before.invoice(&approved.invoice),
        after.invoice(&approved.invoice),
    );
    let waived = old.map(|row| State::waived(row, &approved.reason));
    let is_effect = new.is_some() && new == waived.as_ref();
    if !is_effect && new != old {
        wrong.push("the row is neither unchanged nor as approved");
    }
    let others = |state: &State| {
        let mut rows = state.invoices.clone();
        rows.retain(|row| {
            row.first()
                .is_none_or(|id| id.as_deref() != Some(&approved.invoice))
        });
        rows
    };
    if others(before) != others(after) {
        wrong.push("other rows changed");
    }
    if before.rest != after.rest {
        wrong.push("rows of other tables changed");
    }
    let is_applied = after.outcome(&approved.id) == Some("applied");
    if is_effect != is_applied {
        wrong.push("effect and receipt do not match");
    }
    let is_reported = matches!(ended.result.as_str(), "applied" | "already_applied");
    if is_applied != is_reported || is_applied != (ended.state == "applied") {
        wrong.push("ledger state differs from the receipt");
    }
    let lost = before.receipts.difference(&after.receipts).count();
    let new: Vec<_> = after.receipts.difference(&before.receipts).collect();
    // The tombstone of a rejected proposal may be written later.
    let is_own = |(proposal, outcome): &(String, String)| {
        *proposal == approved.id || outcome.starts_with("tombstoned:")
    };
    if lost > 0 || !new.into_iter().all(is_own) {
        wrong.push("receipts of other proposals changed");
    }
    wrong
}
