//! Verifies signatures outside the writing thread: those of presented objects, and those of the decisions that
//! count with them. The writing thread reuses the results, and verifies only objects recorded in between.

use std::collections::HashMap;

use synapsor_domain::approval::{
    ApplyOrder, ApprovalRefusal, Decision, VerificationContext, VerifiedDecision, VerifiedOrder,
    verify_decision, verify_decision_at, verify_order,
};
use synapsor_domain::digest::Digest;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::log::TreeHead;
use synapsor_domain::proposal::Proposal;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::trust::Position;

use crate::decide::relevant;
use crate::store::{ReadTransaction, StoreTxError, events, log, proposals, records};
use crate::trust::Trust;

/// Verification results for one presented object, by one trust file at one time.
#[derive(Debug, Default)]
pub(crate) struct SignatureChecks {
    /// The proposal that it names.
    pub(crate) proposal: Option<Proposal>,
    decision: Option<Result<VerifiedDecision, ApprovalRefusal>>,
    order: Option<Result<VerifiedOrder, ApprovalRefusal>>,
    /// Recorded decisions, by the digest of their payload.
    on_file: HashMap<Digest, Result<VerifiedDecision, ApprovalRefusal>>,
}

impl SignatureChecks {
    /// Verifies a decision or an order, and the recorded decisions that count with it.
    pub(crate) fn of(
        reader: &ReadTransaction<'_>,
        (kind, signed): (ObjectKind, &DsseEnvelope),
        trust: &Trust,
        now: Timestamp,
    ) -> Result<Self, StoreTxError> {
        let Some(claim) = Claim::of(kind, signed) else {
            return Ok(Self::default());
        };
        let conn = reader.conn();
        let Some(row) = proposals::find(conn, &claim.proposal)? else {
            return Ok(Self::default());
        };
        let (_, proposal) = proposals::signed(conn, &row)?;
        let verification = VerificationContext {
            trust: &trust.file,
            now,
            proposal: &proposal,
            proposal_digest: row.digest,
        };
        let mut checks = Self::default();
        match kind {
            ObjectKind::ApplyOrder => checks.order = Some(verify_order(signed, &verification)),
            _ => checks.decision = Some(verify_decision(signed, &verification)),
        }
        let on_file = records::decisions(conn, &row.id)?;
        let continued = log::continued(conn, trust.file.retirements())?;
        let continues = |head: &TreeHead| continued.contains(head);
        for decision in relevant(&on_file, claim.counts_on.as_ref()) {
            let envelope = events::envelope(conn, decision.seq)?;
            let position = Position::Logged {
                index: decision.seq,
                continues: &continues,
            };
            let verdict = verify_decision_at(&envelope, &verification, &position);
            checks.on_file.insert(decision.digest, verdict);
        }
        checks.proposal = Some(proposal);
        Ok(checks)
    }

    /// Returns the result for the presented decision.
    pub(crate) fn decision(
        &self,
        signed: &DsseEnvelope,
        verification: &VerificationContext<'_>,
    ) -> Result<VerifiedDecision, ApprovalRefusal> {
        match &self.decision {
            Some(verdict) => verdict.clone(),
            None => verify_decision(signed, verification),
        }
    }

    /// Returns the result for the presented order.
    pub(crate) fn order(
        &self,
        signed: &DsseEnvelope,
        verification: &VerificationContext<'_>,
    ) -> Result<VerifiedOrder, ApprovalRefusal> {
        match &self.order {
            Some(verdict) => verdict.clone(),
            None => verify_order(signed, verification),
        }
    }

    /// Returns the result for a recorded decision: known from before, the presented one, or one recorded in
    /// between and verified now.
    pub(crate) fn on_file(
        &self,
        digest: Digest,
        read: impl FnOnce() -> Result<DsseEnvelope, StoreTxError>,
        verification: &VerificationContext<'_>,
    ) -> Result<Result<VerifiedDecision, ApprovalRefusal>, StoreTxError> {
        if let Some(verdict) = self.on_file.get(&digest) {
            return Ok(verdict.clone());
        }
        if let Some(Ok(presented)) = &self.decision
            && presented.digest() == digest
        {
            return Ok(Ok(presented.clone()));
        }
        Ok(verify_decision(&read()?, verification))
    }
}

/// Unverified reference of a presented object to its proposal.
struct Claim {
    proposal: ProposalId,
    /// The decisions that an order names; none for a decision, which counts with all of them.
    counts_on: Option<Vec<Digest>>,
}

impl Claim {
    fn of(kind: ObjectKind, signed: &DsseEnvelope) -> Option<Self> {
        if kind == ObjectKind::ApplyOrder {
            let order: ApplyOrder = signed.decode_unverified(kind).ok()?;
            return Some(Self {
                proposal: order.proposal_id,
                counts_on: Some(order.decision_digests),
            });
        }
        let decision: Decision = signed.decode_unverified(kind).ok()?;
        Some(Self {
            proposal: decision.proposal_id,
            counts_on: None,
        })
    }
}
