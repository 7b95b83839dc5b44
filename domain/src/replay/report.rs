//! Replay of one proposal as data: request, decisions and outcome.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{BundleError, Entry, EventBody};
use crate::approval::{ApplyOrder, Decision, DecisionKind, SignerInfo};
use crate::digest::Digest;
use crate::event::EventKind;
use crate::evidence::Evidence;
use crate::ids::{EvidenceId, ProposalId};
use crate::proposal::{
    Proposal, ProposalState, ProposalTransition, RowGuard, RowTarget, SourceRef, transition,
};
use crate::shadow::HumanAction;
use crate::signing::{DsseEnvelope, KeyId, ObjectKind};
use crate::timestamp::Timestamp;
use crate::trust::DeploymentEnvironment;
use crate::value::{ColumnValue, Value, find};
use crate::writeback::{AttemptReport, AttemptResult, Receipt};

/// Everything that the log holds about one proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    pub v: u32,
    pub replay_id: String,
    pub proposal_id: ProposalId,
    pub proposal_digest: Digest,
    /// For comparison by operators across devices.
    pub short_code: String,
    /// State computed from the events with the transition table.
    pub state: ProposalState,
    pub environment: DeploymentEnvironment,
    pub source: SourceRef,
    pub request: Request,
    pub trusted_context: ReplayContext,
    pub target: RowTarget,
    pub guard: RowGuard,
    pub evidence: Vec<EvidenceSummary>,
    pub diff: Vec<ReplayColumnChange>,
    pub decisions: Vec<DecisionSummary>,
    pub orders: Vec<OrderLine>,
    /// Present only if the agent withdrew the proposal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawal: Option<WithdrawalLine>,
    pub attempts: Vec<AttemptLine>,
    pub receipt: Option<ReceiptLine>,
    /// Present only for a shadow proposal with which a person's action was recorded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub human_actions: Vec<HumanActionLine>,
    pub events: Vec<EventLine>,
}

/// Request of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    pub capability: String,
    pub contract_digest: Digest,
    pub args: Vec<ColumnValue>,
    pub created_at: Timestamp,
    pub not_after: Timestamp,
}

/// Trusted context of the request, as the reader knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayContext {
    pub tenant: String,
    pub principal: String,
    pub provenance: String,
    pub client: String,
    pub on_behalf_of: Option<String>,
}

/// Evidence of one read of the row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EvidenceSummary {
    pub seq: u64,
    pub id: EvidenceId,
    pub digest: Digest,
    /// Whether the proposal cites it; other evidence comes from repeated calls.
    pub cited: bool,
    pub reader: KeyId,
    pub read_at: Timestamp,
    pub row: Vec<ColumnValue>,
}

/// One column that the proposal sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayColumnChange {
    pub column: String,
    pub before: Option<Value>,
    pub after: Value,
}

/// Decision of one operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DecisionSummary {
    pub seq: u64,
    pub digest: Digest,
    pub decision: DecisionKind,
    pub approver: SignerInfo,
    pub reason: Option<String>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// One apply order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OrderLine {
    pub seq: u64,
    pub digest: Digest,
    pub approver: SignerInfo,
    pub decision_digests: Vec<Digest>,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Withdrawal: the gateway that sent it, and the reader that attested tenant and principal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WithdrawalLine {
    pub seq: u64,
    pub at: Timestamp,
    pub gateway: String,
    pub reader: KeyId,
}

/// Writer's report of one attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttemptLine {
    pub seq: u64,
    pub attempt: u32,
    pub fence: u64,
    pub writer: String,
    pub result: AttemptResult,
    pub message: String,
    pub order_digest: Option<Digest>,
    pub at: Timestamp,
}

/// Receipt with its digest and the key that signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReceiptLine {
    pub seq: u64,
    pub digest: Digest,
    pub writer_key: KeyId,
    pub receipt: Receipt,
}

/// What a person did in place of a shadow proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HumanActionLine {
    pub seq: u64,
    pub digest: Digest,
    pub operator: SignerInfo,
    pub patch: Vec<ColumnValue>,
    pub notes: Option<String>,
    pub issued_at: Timestamp,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventLine {
    pub seq: u64,
    pub kind: EventKind,
    pub at: Timestamp,
    pub actor: String,
}

impl ReplayReport {
    /// Builds the replay of these records, oldest first; exactly one of them must be the proposal. It verifies
    /// nothing: verification is [`super::verify`].
    pub fn build(entries: &[Entry]) -> Result<Self, BundleError> {
        let mut proposals = entries.iter().filter_map(|e| match &e.body {
            EventBody::Proposal(envelope) => Some((e.event.seq, envelope)),
            _ => None,
        });
        let (Some((seq, envelope)), None) = (proposals.next(), proposals.next()) else {
            return Err(BundleError::Proposal("expected exactly one".to_owned()));
        };
        let proposal: Proposal = peek(seq, envelope, ObjectKind::Proposal)?;
        let mut story = Self::opening(&proposal, Digest::of(ObjectKind::Proposal, &envelope.payload));
        for entry in entries {
            story.add(entry, &proposal)?;
        }
        story.state = fold(&story, proposal.approval.quorum, entries);
        Ok(story)
    }

    fn opening(proposal: &Proposal, digest: Digest) -> Self {
        let by = &proposal.requested_by;
        let change = |new: &ColumnValue| ReplayColumnChange {
            column: new.column.clone(),
            before: find(&proposal.before, &new.column).cloned(),
            after: new.value.clone(),
        };
        Self {
            v: 1,
            replay_id: format!("replay_{}", proposal.id),
            proposal_id: proposal.id.clone(),
            proposal_digest: digest,
            short_code: digest.short_code(),
            state: ProposalState::PendingReview,
            environment: proposal.environment,
            source: proposal.source.clone(),
            request: Request {
                capability: proposal.capability.clone(),
                contract_digest: proposal.contract_digest,
                args: proposal
                    .args
                    .iter()
                    .map(|(name, value)| ColumnValue::new(name, value.clone()))
                    .collect(),
                created_at: proposal.created_at,
                not_after: proposal.not_after,
            },
            trusted_context: ReplayContext {
                tenant: by.tenant.clone(),
                principal: by.principal.clone(),
                provenance: by.provenance.clone(),
                client: by.client.clone(),
                on_behalf_of: proposal.on_behalf_of.clone(),
            },
            target: proposal.target.clone(),
            guard: proposal.guard.clone(),
            evidence: Vec::new(),
            diff: proposal.set.iter().map(change).collect(),
            decisions: Vec::new(),
            orders: Vec::new(),
            withdrawal: None,
            attempts: Vec::new(),
            receipt: None,
            human_actions: Vec::new(),
            events: Vec::new(),
        }
    }

    fn add(&mut self, entry: &Entry, proposal: &Proposal) -> Result<(), BundleError> {
        let event = &entry.event;
        let seq = event.seq;
        self.events.push(EventLine {
            seq,
            kind: event.kind,
            at: event.at,
            actor: event.actor.clone(),
        });
        match &entry.body {
            EventBody::Evidence(envelope)
            | EventBody::Read {
                evidence: envelope, ..
            } => {
                self.evidence.push(evidence_line(seq, envelope, proposal)?);
            }
            EventBody::Decision(envelope) => {
                let d: Decision = peek(seq, envelope, ObjectKind::Decision)?;
                self.decisions.push(DecisionSummary {
                    seq,
                    digest: Digest::of(ObjectKind::Decision, &envelope.payload),
                    decision: d.decision,
                    approver: d.approver,
                    reason: d.reason,
                    issued_at: d.issued_at,
                    expires_at: d.expires_at,
                });
            }
            EventBody::Order(envelope) => {
                let o: ApplyOrder = peek(seq, envelope, ObjectKind::ApplyOrder)?;
                self.orders.push(OrderLine {
                    seq,
                    digest: Digest::of(ObjectKind::ApplyOrder, &envelope.payload),
                    approver: o.approver,
                    decision_digests: o.decision_digests,
                    issued_at: o.issued_at,
                    expires_at: o.expires_at,
                });
            }
            EventBody::Withdrawn(ticket) => {
                self.withdrawal = Some(WithdrawalLine {
                    seq,
                    at: event.at,
                    gateway: event.actor.clone(),
                    reader: signer(seq, ticket)?,
                });
            }
            EventBody::Attempt(envelope) => self.attempts.push(attempt_line(seq, envelope)?),
            EventBody::Settled(settled) => {
                self.attempts.push(attempt_line(seq, &settled.attempt)?);
                self.receipt = Some(receipt_line(seq, &settled.receipt)?);
            }
            EventBody::HumanAction(envelope) => self.human_actions.push(human_action_line(seq, envelope)?),
            EventBody::Proposal(_)
            | EventBody::LedgerStarted(_)
            | EventBody::Audit(_)
            | EventBody::Repeated(_)
            | EventBody::DecisionRefused(_)
            | EventBody::Expired
            | EventBody::Started(_)
            | EventBody::Alarm(_)
            | EventBody::Switch(_)
            | EventBody::Confirmation(_)
            | EventBody::Finding(_)
            | EventBody::ReceiptOrder(_)
            | EventBody::Erasure(_)
            | EventBody::Discontinuity(_)
            | EventBody::Erased => {}
        }
        Ok(())
    }
}

fn evidence_line(
    seq: u64,
    envelope: &DsseEnvelope,
    proposal: &Proposal,
) -> Result<EvidenceSummary, BundleError> {
    let evidence: Evidence = peek(seq, envelope, ObjectKind::Evidence)?;
    let digest = Digest::of(ObjectKind::Evidence, &envelope.payload);
    let cited = proposal
        .evidence
        .iter()
        .any(|e| e.id == evidence.id && e.digest == digest);
    let reader = signer(seq, envelope)?;
    Ok(EvidenceSummary {
        seq,
        id: evidence.id,
        digest,
        cited,
        reader,
        read_at: evidence.read_at,
        row: evidence.row,
    })
}

fn attempt_line(seq: u64, envelope: &DsseEnvelope) -> Result<AttemptLine, BundleError> {
    let report: AttemptReport = peek(seq, envelope, ObjectKind::Attempt)?;
    Ok(AttemptLine {
        seq,
        attempt: report.attempt,
        fence: report.fence,
        writer: report.writer,
        result: report.result,
        message: report.message,
        order_digest: report.order_digest,
        at: report.at,
    })
}

fn human_action_line(seq: u64, envelope: &DsseEnvelope) -> Result<HumanActionLine, BundleError> {
    let action: HumanAction = peek(seq, envelope, ObjectKind::HumanAction)?;
    Ok(HumanActionLine {
        seq,
        digest: Digest::of(ObjectKind::HumanAction, &envelope.payload),
        operator: action.operator,
        patch: action.patch,
        notes: action.notes,
        issued_at: action.issued_at,
    })
}

fn receipt_line(seq: u64, envelope: &DsseEnvelope) -> Result<ReceiptLine, BundleError> {
    let receipt = peek(seq, envelope, ObjectKind::Receipt)?;
    let digest = Digest::of(ObjectKind::Receipt, &envelope.payload);
    Ok(ReceiptLine {
        seq,
        digest,
        writer_key: signer(seq, envelope)?,
        receipt,
    })
}

/// Computes the state from the events; an event without a transition leaves the state unchanged.
fn fold(story: &ReplayReport, quorum: u32, entries: &[Entry]) -> ProposalState {
    let (mut state, mut started, mut persons) = (ProposalState::PendingReview, false, BTreeSet::new());
    let needed = usize::try_from(quorum.max(1)).unwrap_or(usize::MAX);
    for entry in entries {
        let seq = entry.event.seq;
        let step = match entry.event.kind {
            EventKind::ProposalApproved => {
                persons.extend(
                    story
                        .decisions
                        .iter()
                        .filter(|d| d.seq == seq)
                        .map(|d| &d.approver.person),
                );
                (persons.len() >= needed).then_some(ProposalTransition::Approve)
            }
            EventKind::ProposalRejected => Some(ProposalTransition::Reject),
            EventKind::ApplyRequested => Some(ProposalTransition::OrderApply),
            EventKind::ProposalExpired => Some(ProposalTransition::Expire),
            EventKind::ProposalWithdrawn => Some(ProposalTransition::Withdraw),
            EventKind::WritebackStarted => {
                started = true;
                Some(ProposalTransition::Start)
            }
            EventKind::WritebackReleased => Some(ProposalTransition::ReturnToApproved),
            EventKind::WritebackInDoubt => Some(ProposalTransition::MarkInDoubt),
            EventKind::WritebackApplied
            | EventKind::WritebackConflict
            | EventKind::WritebackFailed
            | EventKind::WritebackCanceled => story
                .receipt
                .as_ref()
                .map(|r| ProposalTransition::Settle(r.receipt.outcome)),
            EventKind::LedgerStarted
            | EventKind::EvidenceRecorded
            | EventKind::QueryAudited
            | EventKind::ReadRecorded
            | EventKind::CallRefused
            | EventKind::ProposalCreated
            | EventKind::ProposalRepeated
            | EventKind::DecisionRefused
            | EventKind::ReceiptAlarm
            | EventKind::RejectionRecorded
            | EventKind::WritebackFrozen
            | EventKind::FreezeLifted
            | EventKind::SwitchConfirmed
            | EventKind::EffectLost
            | EventKind::OrphanReceipt
            | EventKind::RowChangedInCommit
            | EventKind::ReceiptsOrdered
            | EventKind::BodiesErased
            | EventKind::ShadowHumanActionRecorded
            | EventKind::DiscontinuityRecorded => None,
        };
        if let Some(next) = step.and_then(|step| transition(state, started, step).ok()) {
            state = next;
        }
    }
    state
}

fn peek<T: DeserializeOwned>(seq: u64, envelope: &DsseEnvelope, kind: ObjectKind) -> Result<T, BundleError> {
    envelope.decode_unverified(kind).map_err(|e| BundleError::Body {
        seq,
        problem: e.to_string(),
    })
}

fn signer(seq: u64, envelope: &DsseEnvelope) -> Result<KeyId, BundleError> {
    envelope.signer().cloned().map_err(|e| BundleError::Body {
        seq,
        problem: e.to_string(),
    })
}
