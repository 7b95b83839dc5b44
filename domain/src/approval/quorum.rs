//! Derives an approval from verified signatures: enough distinct operators, none of them the requester, no
//! rejection.

use std::collections::BTreeSet;

use super::refusal::{ApprovalRefusal, ApprovalRule};
use super::verify::{VerificationContext, VerifiedDecision, VerifiedOrder, refused};
use crate::trust::SeparationOfDuties;

/// Proof that enough operators approved this exact proposal and one signed its apply order. Only
/// [`verify_quorum`] creates one.
#[derive(Debug)]
pub struct VerifiedApproval {
    order: VerifiedOrder,
    persons: BTreeSet<String>,
}

impl VerifiedApproval {
    pub const fn order(&self) -> &VerifiedOrder {
        &self.order
    }
    /// Operators whose approval was counted.
    pub const fn persons(&self) -> &BTreeSet<String> {
        &self.persons
    }
}

/// Verifies decisions and order together. `quorum` is the contract's; a trust file can only raise it.
pub fn verify_quorum(
    judge: &VerificationContext<'_>,
    quorum: u32,
    decisions: &[VerifiedDecision],
    order: VerifiedOrder,
) -> Result<VerifiedApproval, ApprovalRefusal> {
    if judge.now >= judge.proposal.not_after {
        return Err(refused(
            ApprovalRule::Expired,
            format!("the proposal expired at {}", judge.proposal.not_after),
        ));
    }
    check_nonces(decisions, &order)?;
    if decisions.iter().any(VerifiedDecision::is_deny) {
        return Err(refused(
            ApprovalRule::Rejected,
            "the proposal was rejected; a rejection overrides all approvals",
        ));
    }
    let persons: BTreeSet<String> = decisions.iter().map(|d| d.person().to_owned()).collect();
    if persons.len() < usize::try_from(quorum.max(1)).unwrap_or(usize::MAX) {
        return Err(refused(
            ApprovalRule::Quorum,
            format!(
                "approved by {} distinct person(s), {} needed",
                persons.len(),
                quorum.max(1)
            ),
        ));
    }
    let counted: Vec<_> = decisions
        .iter()
        .map(VerifiedDecision::digest)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if order.order().decision_digests != counted {
        return Err(refused(
            ApprovalRule::Order,
            "the apply order is based on other decisions than the ones presented",
        ));
    }
    check_duties(judge, &persons)?;
    Ok(VerifiedApproval { order, persons })
}

fn check_nonces(decisions: &[VerifiedDecision], order: &VerifiedOrder) -> Result<(), ApprovalRefusal> {
    let nonces = decisions
        .iter()
        .map(|d| &d.decision().nonce)
        .chain([&order.order().nonce]);
    let distinct: BTreeSet<_> = nonces.collect();
    if distinct.len() != decisions.len() + 1 {
        return Err(refused(ApprovalRule::Nonce, "nonce reused in two signed objects"));
    }
    Ok(())
}

fn check_duties(judge: &VerificationContext<'_>, persons: &BTreeSet<String>) -> Result<(), ApprovalRefusal> {
    if judge.trust.separation_of_duties() == SeparationOfDuties::Off {
        return Ok(());
    }
    let requester = &judge.proposal.requested_by.principal;
    for principal in [Some(requester), judge.proposal.on_behalf_of.as_ref()]
        .into_iter()
        .flatten()
    {
        let person = judge.trust.person_of(principal).ok_or_else(|| {
            refused(
                ApprovalRule::SeparationOfDuties,
                "separation of duties is on and the trust file's `aliases` name no person for the principal",
            )
        })?;
        if persons.contains(person) {
            return Err(refused(
                ApprovalRule::SeparationOfDuties,
                format!("{person} asked for this change and cannot approve it"),
            ));
        }
    }
    Ok(())
}
