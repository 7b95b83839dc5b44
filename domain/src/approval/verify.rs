//! Verifies one signed decision or apply order by checks in a fixed order; the error names the first that fails.

use super::reason::check_length;
use super::refusal::{ApprovalRefusal, ApprovalRule};
use super::{ApplyOrder, Decision, DecisionKind, SignatureAudience, SignerInfo};
use crate::digest::Digest;
use crate::limits::CLOCK_SKEW_SECONDS;
use crate::proposal::Proposal;
use crate::review::{Renderer, ReviewDocument};
use crate::signing::{DsseEnvelope, EnvelopeError, ObjectKind};
use crate::timestamp::{Span, Timestamp, issued_in_future};
use crate::trust::{APPLIER, Position, TrustFile};

/// Inputs that a verifier trusts: its trust file, its clock and the proposal.
#[derive(Debug, Clone, Copy)]
pub struct VerificationContext<'a> {
    pub trust: &'a TrustFile,
    pub now: Timestamp,
    pub proposal: &'a Proposal,
    pub proposal_digest: Digest,
}

/// A decision with verified signature, signer, subject and times. Not yet a quorum.
#[derive(Debug, Clone)]
pub struct VerifiedDecision {
    digest: Digest,
    decision: Decision,
    person: String,
}

/// An apply order, verified in the same way.
#[derive(Debug, Clone)]
pub struct VerifiedOrder {
    digest: Digest,
    order: ApplyOrder,
    person: String,
}

impl VerifiedDecision {
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    pub const fn decision(&self) -> &Decision {
        &self.decision
    }
    /// Operator of the key, from the verifier's trust file.
    pub fn person(&self) -> &str {
        &self.person
    }
    pub fn is_deny(&self) -> bool {
        self.decision.decision == DecisionKind::Reject
    }
}

impl VerifiedOrder {
    pub const fn digest(&self) -> Digest {
        self.digest
    }
    pub const fn order(&self) -> &ApplyOrder {
        &self.order
    }
    pub fn person(&self) -> &str {
        &self.person
    }
}

/// Verifies one decision. A rejection counts from every operator key of this deployment that is not revoked,
/// with any roles and at any time, and needs no render digest: a rejection can only prevent a write.
pub fn verify_decision(
    envelope: &DsseEnvelope,
    judge: &VerificationContext<'_>,
) -> Result<VerifiedDecision, ApprovalRefusal> {
    verify_decision_at(envelope, judge, &Position::Unproven)
}

/// Verifies one decision that the log holds at `position`: an approval under a retired key counts if it was logged
/// before the retirement. A rejection by a retired key is valid too.
pub fn verify_decision_at(
    envelope: &DsseEnvelope,
    judge: &VerificationContext<'_>,
    position: &Position<'_>,
) -> Result<VerifiedDecision, ApprovalRefusal> {
    let decision: Decision = envelope
        .decode_unverified(ObjectKind::Decision)
        .map_err(malformed)?;
    let digest = envelope.digest(ObjectKind::Decision).map_err(malformed)?;
    let deny = decision.decision == DecisionKind::Reject;
    let claim = SignedClaim {
        subject: (
            decision.v,
            &decision.proposal_id,
            decision.proposal_digest,
            decision.contract_digest,
        ),
        approver: &decision.approver,
        audience: &decision.audience,
        times: (decision.issued_at, decision.not_before, decision.expires_at),
        nonce: &decision.nonce,
        role: if deny {
            None
        } else {
            Some(&judge.proposal.approval.required_role)
        },
        ceiling: judge.trust.decision_ceiling(),
        position,
    };
    let person = claim.verify(envelope, ObjectKind::Decision, judge)?;
    check_length(decision.reason.as_deref())
        .map_err(|refusal| refused(ApprovalRule::Malformed, refusal.public))?;
    if !deny {
        check_document(&decision, judge)?;
    }
    Ok(VerifiedDecision {
        digest,
        decision,
        person,
    })
}

/// Checks that an approval covers the document that this proposal renders to, in the version that was signed.
fn check_document(decision: &Decision, judge: &VerificationContext<'_>) -> Result<(), ApprovalRefusal> {
    let is_same = Renderer::named(&decision.render.renderer).is_some_and(|renderer| {
        let document = ReviewDocument::rendered(judge.proposal, judge.proposal_digest, renderer);
        document.digest() == decision.render.digest
    });
    if is_same {
        return Ok(());
    }
    Err(refused(
        ApprovalRule::Render,
        "the document that was signed is not the one that this proposal renders to; approve with this version",
    ))
}

/// Verifies one apply order; role `applier`.
pub fn verify_order(
    envelope: &DsseEnvelope,
    judge: &VerificationContext<'_>,
) -> Result<VerifiedOrder, ApprovalRefusal> {
    verify_order_at(envelope, judge, &Position::Unproven)
}

/// Verifies one apply order that the log holds at `position`.
pub fn verify_order_at(
    envelope: &DsseEnvelope,
    judge: &VerificationContext<'_>,
    position: &Position<'_>,
) -> Result<VerifiedOrder, ApprovalRefusal> {
    let order: ApplyOrder = envelope
        .decode_unverified(ObjectKind::ApplyOrder)
        .map_err(malformed)?;
    let digest = envelope.digest(ObjectKind::ApplyOrder).map_err(malformed)?;
    let claim = SignedClaim {
        subject: (
            order.v,
            &order.proposal_id,
            order.proposal_digest,
            order.contract_digest,
        ),
        approver: &order.approver,
        audience: &order.audience,
        times: (order.issued_at, order.not_before, order.expires_at),
        nonce: &order.nonce,
        role: Some(APPLIER),
        ceiling: judge.trust.order_ceiling(),
        position,
    };
    let person = claim.verify(envelope, ObjectKind::ApplyOrder, judge)?;
    if order.decision_digests.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(refused(
            ApprovalRule::Malformed,
            "decision_digests must be sorted, without duplicates",
        ));
    }
    Ok(VerifiedOrder {
        digest,
        order,
        person,
    })
}

/// Common part of all objects that an operator signs.
struct SignedClaim<'a> {
    subject: (u32, &'a crate::ids::ProposalId, Digest, Digest),
    approver: &'a SignerInfo,
    audience: &'a SignatureAudience,
    times: (Timestamp, Timestamp, Timestamp),
    nonce: &'a str,
    /// The role that the signature must carry; `None`: any.
    role: Option<&'a str>,
    ceiling: Span,
    /// Position of the object in the log.
    position: &'a Position<'a>,
}

impl SignedClaim<'_> {
    /// Returns the operator of the key.
    fn verify(
        &self,
        envelope: &DsseEnvelope,
        kind: ObjectKind,
        judge: &VerificationContext<'_>,
    ) -> Result<String, ApprovalRefusal> {
        self.check_subject(judge)?;
        let signer = envelope
            .signer()
            .map_err(|e| refused(ApprovalRule::Key, e.to_string()))?;
        if *signer != self.approver.key_id {
            return Err(refused(
                ApprovalRule::Key,
                "the signing key is not the one that the object names",
            ));
        }
        let operator = judge.trust.operator(signer).ok_or_else(|| {
            refused(
                ApprovalRule::Key,
                format!("{signer} is no operator key of this deployment's trust file"),
            )
        })?;
        if operator.revoked {
            return Err(refused(ApprovalRule::Key, format!("the key {signer} is revoked")));
        }
        // A rejection is valid under each key that is not revoked, independent of the key's validity period.
        if !self.is_stop() && !operator.was_valid_at(judge.now) {
            return Err(refused(
                ApprovalRule::Key,
                format!(
                    "the key {signer} is valid from {} until {}, and the clock of the machine that checks it is at {}: \
                     correct that clock, or sign with a key that is valid now",
                    operator.not_before, operator.not_after, judge.now
                ),
            ));
        }
        if !self.is_stop() {
            let counts = operator.standing().check(self.position);
            counts.map_err(|retired| refused(ApprovalRule::Key, format!("signed by {signer}: {retired}")))?;
        }
        if !self.is_stop() && operator.person != self.approver.person {
            return Err(refused(
                ApprovalRule::Key,
                "the object names another operator than the owner of the key",
            ));
        }
        envelope
            .verify_and_decode::<serde::de::IgnoredAny>(kind, &operator.public_key)
            .map_err(|e| refused(ApprovalRule::Signature, e.to_string()))?;
        self.check_audience(judge)?;
        self.check_role(operator, judge)?;
        self.check_times(judge.now)?;
        if self.nonce.len() != 32 || !self.nonce.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(refused(ApprovalRule::Nonce, "the nonce must be 32 hex digits"));
        }
        Ok(operator.person.clone())
    }

    /// A rejection: it needs no role and does not expire.
    const fn is_stop(&self) -> bool {
        self.role.is_none()
    }

    fn check_subject(&self, judge: &VerificationContext<'_>) -> Result<(), ApprovalRefusal> {
        let (version, id, digest, contract) = self.subject;
        if version != 1 {
            return Err(refused(ApprovalRule::Malformed, "v must be 1"));
        }
        if *id != judge.proposal.id || digest != judge.proposal_digest {
            return Err(refused(
                ApprovalRule::Digest,
                "the signature is for another proposal",
            ));
        }
        if contract != judge.proposal.contract_digest {
            return Err(refused(
                ApprovalRule::Digest,
                "signed under another contract digest than the proposal's",
            ));
        }
        Ok(())
    }

    fn check_audience(&self, judge: &VerificationContext<'_>) -> Result<(), ApprovalRefusal> {
        let trust = judge.trust;
        if self.audience.deployment_id != trust.deployment_id
            || self.audience.environment != trust.environment
            || self.audience.source_id != judge.proposal.source.id
        {
            return Err(refused(
                ApprovalRule::Audience,
                "signed for another deployment, environment or source",
            ));
        }
        Ok(())
    }

    fn check_role(
        &self,
        operator: &crate::trust::OperatorKey,
        judge: &VerificationContext<'_>,
    ) -> Result<(), ApprovalRefusal> {
        if let Some(role) = self.role
            && (self.approver.role != role || !operator.has_role(role))
        {
            return Err(refused(
                ApprovalRule::Role,
                format!("{} does not hold the role `{role}`", operator.person),
            ));
        }
        let proposal = judge.proposal;
        if !self.is_stop() && !operator.covers(&proposal.capability, &proposal.requested_by.tenant) {
            return Err(refused(
                ApprovalRule::Role,
                format!(
                    "the key of {} does not cover this capability and tenant",
                    operator.person
                ),
            ));
        }
        Ok(())
    }

    fn check_times(&self, now: Timestamp) -> Result<(), ApprovalRefusal> {
        if self.is_stop() {
            return Ok(());
        }
        let (issued_at, not_before, expires_at) = self.times;
        let latest = now + Span::seconds(CLOCK_SKEW_SECONDS);
        if issued_at > latest || not_before > latest {
            return Err(refused(
                ApprovalRule::Future,
                issued_in_future(issued_at.max(not_before), now),
            ));
        }
        if now >= expires_at {
            return Err(refused(
                ApprovalRule::Expired,
                format!("expired at {expires_at}; sign again"),
            ));
        }
        if expires_at - issued_at > self.ceiling {
            return Err(refused(
                ApprovalRule::Expired,
                format!(
                    "validity period exceeds the maximum of {} minutes",
                    self.ceiling.as_seconds() / 60
                ),
            ));
        }
        Ok(())
    }
}

pub(super) fn refused(rule: ApprovalRule, public: impl Into<String>) -> ApprovalRefusal {
    ApprovalRefusal {
        rule,
        public: public.into(),
    }
}

fn malformed(error: EnvelopeError) -> ApprovalRefusal {
    refused(ApprovalRule::Malformed, error.to_string())
}
