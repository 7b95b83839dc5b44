//! Event kinds of the transparency log and the envelope that becomes a leaf.

mod erasure_body;
mod read_body;

use std::fmt;
use std::str::FromStr;
use synapsor_codes::ErrorCode;

use serde::{Deserialize, Serialize};

pub use erasure_body::{ErasedProposal, ErasureBody};
pub use read_body::ReadBody;

use crate::digest::Digest;
use crate::ids::ProposalId;
use crate::timestamp::Timestamp;

/// Leaf of the log, in canonical form. The body is stored separately and committed by `body_digest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventRecord {
    /// Certificate identity of the sender, or the operator who signed.
    pub actor: String,
    pub at: Timestamp,
    /// Salted commitment to the body.
    pub body_digest: Digest,
    pub kind: EventKind,
    pub proposal_id: Option<ProposalId>,
    /// Position in the log, from 0.
    pub seq: u64,
    /// Hint for finding the call in traces; not verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

/// Kind of an event; each comment names the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A ledger process opened the store: trust file digest and software version.
    LedgerStarted,
    /// Envelope of the evidence of a proposal, signed by a reader; before [`Self::ReadRecorded`] also of a read.
    EvidenceRecorded,
    /// Audit record of a call that made a proposal; before [`Self::ReadRecorded`] also of a read.
    QueryAudited,
    /// Evidence of a read, signed by a reader, and the audit record of its call.
    ReadRecorded,
    /// Audit record of a refused call.
    CallRefused,
    /// Envelope of the proposal, signed by a reader.
    ProposalCreated,
    /// Ids of new evidence and audit for a proposal that was already open.
    ProposalRepeated,
    /// Envelope of an approving decision, signed by an operator.
    ProposalApproved,
    /// Envelope of a rejecting decision, signed by an operator.
    ProposalRejected,
    /// The presented decision or order, and the reason for its refusal.
    DecisionRefused,
    /// Envelope of the apply order, signed by an operator.
    ApplyRequested,
    ProposalExpired,
    /// Envelope of the context ticket under which the agent withdrew the proposal, signed by a reader.
    ProposalWithdrawn,
    /// Proposal, fence and attempt that a writer announced.
    WritebackStarted,
    /// Envelope of the attempt report, signed by the writer: refused or retryable.
    WritebackReleased,
    /// Envelope of the attempt report, signed by the writer.
    WritebackInDoubt,
    /// Envelopes of attempt report and receipt, signed by the writer; the next three kinds have the same body.
    WritebackApplied,
    WritebackConflict,
    WritebackFailed,
    WritebackCanceled,
    /// Two different receipts for one proposal, or one that does not verify.
    ReceiptAlarm,
    /// Envelope of a rejecting decision that arrived after a writer had started, signed by an operator. The
    /// ledger forwards it to the writers; the proposal ends with their receipt.
    RejectionRecorded,
    /// Envelope of a freeze of the whole deployment, signed by an operator.
    WritebackFrozen,
    /// Envelope of the lift that ended a freeze, signed by an operator.
    FreezeLifted,
    /// Envelope of a writer's confirmation of a freeze or lift, signed by the writer.
    SwitchConfirmed,
    /// Envelope of a finding, signed by the writer: a source lacks receipts that the ledger holds.
    EffectLost,
    /// Envelope of a finding, signed by the writer: a source holds receipts that the ledger refused to settle
    /// with.
    OrphanReceipt,
    /// Envelope of a finding, signed by the writer: a COMMIT left another version of the row than the one checked.
    RowChangedInCommit,
    /// Envelope of a receipt order, signed by an operator.
    ReceiptsOrdered,
    /// The order of an operator to erase bodies, their positions, and what is kept of the proposals among them.
    BodiesErased,
    /// Envelope of what a person did in place of a shadow proposal, signed by an operator.
    ShadowHumanActionRecorded,
    /// Envelope of a discontinuity, signed by an operator: events after an earlier head were lost.
    DiscontinuityRecorded,
}

impl EventKind {
    pub const ALL: [Self; 32] = [
        Self::LedgerStarted,
        Self::EvidenceRecorded,
        Self::QueryAudited,
        Self::ReadRecorded,
        Self::CallRefused,
        Self::ProposalCreated,
        Self::ProposalRepeated,
        Self::ProposalApproved,
        Self::ProposalRejected,
        Self::DecisionRefused,
        Self::ApplyRequested,
        Self::ProposalExpired,
        Self::ProposalWithdrawn,
        Self::WritebackStarted,
        Self::WritebackReleased,
        Self::WritebackInDoubt,
        Self::WritebackApplied,
        Self::WritebackConflict,
        Self::WritebackFailed,
        Self::WritebackCanceled,
        Self::ReceiptAlarm,
        Self::RejectionRecorded,
        Self::WritebackFrozen,
        Self::FreezeLifted,
        Self::SwitchConfirmed,
        Self::EffectLost,
        Self::OrphanReceipt,
        Self::RowChangedInCommit,
        Self::ReceiptsOrdered,
        Self::BodiesErased,
        Self::ShadowHumanActionRecorded,
        Self::DiscontinuityRecorded,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LedgerStarted => "ledger_started",
            Self::EvidenceRecorded => "evidence_recorded",
            Self::QueryAudited => "query_audited",
            Self::ReadRecorded => "read_recorded",
            Self::CallRefused => "call_refused",
            Self::ProposalCreated => "proposal_created",
            Self::ProposalRepeated => "proposal_repeated",
            Self::ProposalApproved => "proposal_approved",
            Self::ProposalRejected => "proposal_rejected",
            Self::DecisionRefused => "decision_refused",
            Self::ApplyRequested => "apply_requested",
            Self::ProposalExpired => "proposal_expired",
            Self::ProposalWithdrawn => "proposal_withdrawn",
            Self::WritebackStarted => "writeback_started",
            Self::WritebackReleased => "writeback_released",
            Self::WritebackInDoubt => "writeback_in_doubt",
            Self::WritebackApplied => "writeback_applied",
            Self::WritebackConflict => "writeback_conflict",
            Self::WritebackFailed => "writeback_failed",
            Self::WritebackCanceled => "writeback_canceled",
            Self::ReceiptAlarm => "receipt_alarm",
            Self::RejectionRecorded => "rejection_recorded",
            Self::WritebackFrozen => "writeback_frozen",
            Self::FreezeLifted => "freeze_lifted",
            Self::SwitchConfirmed => "switch_confirmed",
            Self::EffectLost => "effect_lost",
            Self::OrphanReceipt => "orphan_receipt",
            Self::RowChangedInCommit => "row_changed_in_commit",
            Self::ReceiptsOrdered => "receipts_ordered",
            Self::BodiesErased => "bodies_erased",
            Self::ShadowHumanActionRecorded => "shadow_human_action_recorded",
            Self::DiscontinuityRecorded => "discontinuity_recorded",
        }
    }
}

impl EventKind {
    /// Whether bodies of this kind can be erased: what agents and operators wrote. What writers reported stays, so that
    /// receipts in the sources keep their counterpart.
    pub const fn is_erasable(self) -> bool {
        matches!(
            self,
            Self::EvidenceRecorded
                | Self::QueryAudited
                | Self::ReadRecorded
                | Self::CallRefused
                | Self::ProposalCreated
                | Self::ProposalRepeated
                | Self::ProposalApproved
                | Self::ProposalRejected
                | Self::DecisionRefused
                | Self::ApplyRequested
                | Self::ProposalWithdrawn
                | Self::RejectionRecorded
                | Self::ShadowHumanActionRecorded
        )
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// String that is not an event kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown event kind")]
pub struct UnknownEventKind;

impl FromStr for EventKind {
    type Err = UnknownEventKind;

    fn from_str(text: &str) -> Result<Self, UnknownEventKind> {
        Self::ALL
            .into_iter()
            .find(|k| k.as_str() == text)
            .ok_or(UnknownEventKind)
    }
}

/// Body of [`EventKind::WritebackStarted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptStartedBody {
    pub proposal_id: ProposalId,
    pub proposal_digest: Digest,
    pub order_digest: Option<Digest>,
    pub writer: String,
    pub fence: u64,
    pub attempt: u32,
}

/// Body of the four settling kinds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttemptFinishedBody {
    pub attempt: crate::signing::DsseEnvelope,
    pub receipt: crate::signing::DsseEnvelope,
}

/// Body of [`EventKind::ProposalRepeated`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepeatBody {
    pub evidence_id: crate::ids::EvidenceId,
    pub audit_id: crate::ids::AuditId,
}

/// Body of [`EventKind::DecisionRefused`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedDecisionBody {
    /// Digest of the presented object, whether valid or not.
    pub presented_digest: Digest,
    pub code: String,
    pub reason: String,
}

/// Body of [`EventKind::LedgerStarted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerStartedBody {
    pub trust_digest: Digest,
    pub version: String,
}

/// Body of [`EventKind::ReceiptAlarm`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptAlarmBody {
    pub known_digest: Option<Digest>,
    pub presented_digest: Digest,
    pub reason: String,
}

impl ReceiptAlarmBody {
    /// Returns the error code at the start of the reason; `None` for one that this release does not have.
    pub fn code(&self) -> Option<ErrorCode> {
        let (code, _) = self.reason.split_once(": ")?;
        ErrorCode::from_text(code)
    }
}
