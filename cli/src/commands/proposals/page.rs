//! Review output: the document that is signed, and the current unsigned state beside it.

use synapsor_chassis::run::ExitError;
use synapsor_domain::approval::DecisionKind;
use synapsor_domain::review::ReviewDocument;

use crate::output::shape::time_left;
use crate::output::{self, safe};
use crate::readable;
use crate::workflows::{self, ProposalView};

/// Prints the document before a prompt: on stdout, or on stderr when stdout is JSON.
pub(crate) fn show(looked: &ProposalView, is_json: bool) -> Result<(), ExitError> {
    let document = document(looked);
    let page = document.text
        + &readable::document(looked.attested.proposal(), false)
        + &status_fields(looked, false);
    if is_json {
        output::note(page.trim_end());
        return Ok(());
    }
    output::text(&page)
}

pub(crate) fn document(looked: &ProposalView) -> ReviewDocument {
    ReviewDocument::of(looked.attested.proposal(), looked.attested.digest())
}

/// Every value in full, in the escaped spelling and in the readable form.
pub(super) fn in_full(looked: &ProposalView) -> String {
    let proposal = looked.attested.proposal();
    ReviewDocument::in_full(proposal, looked.attested.digest()) + &readable::document(proposal, true)
}

/// Formats the current, unsigned state: proposal state, approvals so far, time left.
pub(crate) fn status_fields(looked: &ProposalView, details: bool) -> String {
    let mut fields = standing(looked);
    fields.extend(decision_fields(looked));
    if let Some(attempt) = &looked.attempt {
        fields.push((
            "last attempt",
            format!("{} {}", attempt.result, safe(&attempt.message)),
        ));
    }
    if let Some(withdrawal) = &looked.withdrawal {
        let gateway = safe(&withdrawal.gateway);
        fields.push((
            "withdrawn",
            format!("by its caller at {} through {gateway}", withdrawal.at),
        ));
    }
    if details {
        fields.extend(references(looked));
    }
    let lines: String = fields
        .iter()
        .map(|(name, value)| format!("{name:<16}{value}\n"))
        .collect();
    format!("\n{lines}\n")
}

fn standing(looked: &ProposalView) -> Vec<(&'static str, String)> {
    let proposal = looked.attested.proposal();
    let mut fields = vec![
        ("state", looked.state.to_string()),
        ("source changed", source_changed(looked)),
    ];
    if !looked.state.is_terminal() {
        fields.push(("time left", time_left(workflows::now(), proposal.not_after)));
    }
    if document(looked).is_abbreviated {
        let text = format!(
            "read the rest with `synapsor-runner proposals show {} --full`",
            proposal.id
        );
        fields.push(("not in full", text));
    }
    let needed = proposal.approval.quorum.max(1);
    fields.push(("approvals", format!("{} of {needed}", looked.approvers().len())));
    fields
}

fn decision_fields(looked: &ProposalView) -> Vec<(&'static str, String)> {
    let now = workflows::now();
    let mut fields = Vec::new();
    for decision in &looked.decisions {
        let d = decision.decision();
        let left = time_left(now, d.expires_at);
        let text = match d.decision {
            DecisionKind::Approve => format!("{} approved, valid for {left}", decision.person()),
            DecisionKind::Reject => format!("{} rejected", decision.person()),
        };
        fields.push(("", text));
        if let Some(reason) = &d.reason {
            fields.push(("", format!("  reason: {}", safe(reason))));
        }
    }
    for lapsed in &looked.lapsed {
        let person = safe(&lapsed.decision.approver.person);
        fields.push(("", format!("{person} not counted: {}", lapsed.refusal.code)));
    }
    fields
}

/// Digests, keys and the tree head.
fn references(looked: &ProposalView) -> Vec<(&'static str, String)> {
    let log = &looked.checkpoint;
    let mut fields = vec![
        (
            "log",
            format!("{} events, root {}", log.size, hex::encode(log.root)),
        ),
        ("orders", looked.orders.to_string()),
    ];
    for d in &looked.decisions {
        fields.push((
            "decision",
            format!("{} {}", d.digest(), d.decision().approver.key_id),
        ));
    }
    for e in &looked.attested.proposal().evidence {
        fields.push(("evidence", format!("{} {}", e.id, e.digest)));
    }
    if let Some(r) = &looked.receipt {
        fields.push((
            "receipt",
            format!("{} {} {}", r.digest, r.receipt.outcome, r.writer_key),
        ));
    }
    fields
}

fn source_changed(looked: &ProposalView) -> String {
    match &looked.receipt {
        Some(r) if r.receipt.rows_affected > 0 => format!("yes, once, at {}", r.receipt.created_at),
        Some(_) => "no".to_owned(),
        None if looked.started => "unknown: an attempt has started".to_owned(),
        None => "no".to_owned(),
    }
}
