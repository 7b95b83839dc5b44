//! Review output: the document that is signed, and the current unsigned state beside it.

use synapsor_chassis::run::ExitError;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::review::ReviewDocument;
use synapsor_domain::writeback::{AttemptReport, AttemptResult};

use crate::output::shape::time_left;
use crate::output::{self, safe};
use crate::readable;
use crate::workflows::{self, ProposalView};

/// Prints the document before a prompt: on stdout, or on stderr when stdout is JSON.
pub(crate) fn show(view: &ProposalView, is_json: bool) -> Result<(), ExitError> {
    let document = document(view);
    let page =
        document.text + &readable::document(view.attested.proposal(), false) + &status_fields(view, false);
    if is_json {
        output::note(page.trim_end());
        return Ok(());
    }
    output::text(&page)
}

pub(crate) fn document(view: &ProposalView) -> ReviewDocument {
    ReviewDocument::of(view.attested.proposal(), view.attested.digest())
}

/// Every value in full, in the escaped spelling and in the readable form.
pub(super) fn in_full(view: &ProposalView) -> String {
    let proposal = view.attested.proposal();
    ReviewDocument::in_full(proposal, view.attested.digest()) + &readable::document(proposal, true)
}

/// Formats the current, unsigned state: proposal state, approvals so far, time left.
pub(crate) fn status_fields(view: &ProposalView, details: bool) -> String {
    let mut fields = standing(view);
    fields.extend(decision_fields(view));
    if let Some(attempt) = &view.attempt {
        fields.push((
            "last attempt",
            format!("{} {}", attempt.result, safe(&attempt.message)),
        ));
    }
    if let Some(withdrawal) = &view.withdrawal {
        let gateway = safe(&withdrawal.gateway);
        fields.push((
            "withdrawn",
            format!("by its caller at {} through {gateway}", withdrawal.at),
        ));
    }
    if details {
        fields.extend(references(view));
    }
    let lines: String = fields
        .iter()
        .map(|(name, value)| format!("{name:<16}{value}\n"))
        .collect();
    format!("\n{lines}\n")
}

fn standing(view: &ProposalView) -> Vec<(&'static str, String)> {
    let proposal = view.attested.proposal();
    let mut fields = vec![
        ("state", view.state.to_string()),
        ("source changed", source_changed(view)),
    ];
    if !view.state.is_terminal() {
        fields.push(("time left", time_left(workflows::now(), proposal.not_after)));
    }
    if document(view).is_abbreviated {
        let text = format!(
            "read the rest with `synapsor-runner proposals show {} --full`",
            proposal.id
        );
        fields.push(("not in full", text));
    }
    let needed = proposal.approval.quorum.max(1);
    fields.push(("approvals", format!("{} of {needed}", view.approvers().len())));
    fields
}

fn decision_fields(view: &ProposalView) -> Vec<(&'static str, String)> {
    let now = workflows::now();
    let mut fields = Vec::new();
    for decision in &view.decisions {
        let d = decision.decision();
        let left = time_left(now, d.expires_at);
        let text = match d.decision {
            DecisionKind::Approve => format!("{} approved, valid for {left}", decision.person()),
            DecisionKind::Reject => format!("{} rejected", decision.person()),
        };
        fields.push(("", text));
        if let Some(reason) = &d.reason {
            fields.push(("", readable::reason(reason)));
        }
    }
    for lapsed in &view.lapsed {
        let person = safe(&lapsed.decision.approver.person);
        fields.push(("", format!("{person} not counted: {}", lapsed.refusal.code)));
    }
    fields
}

/// Digests, keys and the tree head.
fn references(view: &ProposalView) -> Vec<(&'static str, String)> {
    let log = &view.checkpoint;
    let mut fields = vec![
        (
            "log",
            format!("{} events, root {}", log.size, hex::encode(log.root)),
        ),
        ("orders", view.orders.to_string()),
    ];
    for d in &view.decisions {
        fields.push((
            "decision",
            format!("{} {}", d.digest(), d.decision().approver.key_id),
        ));
    }
    for e in &view.attested.proposal().evidence {
        fields.push(("evidence", format!("{} {}", e.id, e.digest)));
    }
    if let Some(r) = &view.receipt {
        fields.push((
            "receipt",
            format!("{} {} {}", r.digest, r.receipt.outcome, r.writer_key),
        ));
    }
    fields
}

fn source_changed(view: &ProposalView) -> String {
    match &view.receipt {
        Some(r) if r.receipt.rows_affected > 0 => format!("yes, once, at {}", r.receipt.created_at),
        Some(_) => "no".to_owned(),
        None if view.started && view.attempt.as_ref().is_none_or(is_in_doubt) => {
            "unknown: an attempt has started".to_owned()
        }
        None => "no".to_owned(),
    }
}

fn is_in_doubt(report: &AttemptReport) -> bool {
    report.result == AttemptResult::InDoubt
}

#[cfg(test)]
mod tests {
    use synapsor_domain::approval::{VerificationContext, VerifiedDecision, verify_decision};
    use synapsor_domain::proposal::{ProposalState, VerifiedProposal};
    use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
    use synapsor_domain::trust::TrustFile;

    use super::*;
    use crate::sign::fixture::{attested, checkpoint, key, now, trust};
    use crate::sign::{Terms, decision};

    fn decided(
        attested: &VerifiedProposal,
        trust: &TrustFile,
        kind: DecisionKind,
        reason: &str,
    ) -> VerifiedDecision {
        let seen = checkpoint();
        let terms = Terms {
            trust,
            seen: &seen,
            key_id: key(4).key_id(),
            person: "ann",
            now: now(),
            nonce: [4; 16],
            minutes: None,
            known_switch: None,
        };
        let signed = decision(attested, kind, Some(reason), &terms).unwrap();
        let envelope = DsseEnvelope::sign(ObjectKind::Decision, &signed, &key(4)).unwrap();
        let verification = VerificationContext {
            trust,
            now: now(),
            proposal: attested.proposal(),
            proposal_digest: attested.digest(),
        };
        verify_decision(&envelope, &verification).unwrap()
    }

    #[test]
    fn reason_of_a_decision_is_readable_in_its_script() {
        let trust = trust("dev");
        let attested = attested("plain", &trust);
        for kind in [DecisionKind::Approve, DecisionKind::Reject] {
            let decisions = ["réservé", "p\u{430}y"].map(|reason| decided(&attested, &trust, kind, reason));
            let view = ProposalView {
                attested: attested.clone(),
                state: ProposalState::PendingReview,
                started: false,
                updated_at: now(),
                decisions: decisions.into(),
                lapsed: Vec::new(),
                orders: 0,
                attempt: None,
                receipt: None,
                withdrawal: None,
                human_action: None,
                known_switch: None,
                checkpoint: checkpoint(),
            };
            let shown = status_fields(&view, false);
            assert!(shown.contains("\n                  reason: réservé\n"), "{shown}");
            assert!(
                shown.contains("\n     esc | p\\u{430}y\n  (printed with escapes: it mixes Latin"),
                "{shown}"
            );
        }
    }
}
