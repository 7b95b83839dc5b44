//! Event of the log with its body parsed by kind. Signatures are not checked here.

use serde::de::DeserializeOwned;

use super::BundleError;
use crate::canonical;
use crate::event::{
    AttemptFinishedBody, AttemptStartedBody, ErasureBody, EventKind, EventRecord, LedgerStartedBody,
    ReadBody, ReceiptAlarmBody, RefusedDecisionBody, RepeatBody,
};
use crate::evidence::AuditRecord;
use crate::limits::ENVELOPE_BYTES_MAX;
use crate::signing::DsseEnvelope;

/// Maximum size of a body, in bytes: the largest holds two envelopes.
const BODY_BYTES_MAX: usize = 2 * ENVELOPE_BYTES_MAX;

/// Event with its parsed body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub event: EventRecord,
    pub body: EventBody,
}

/// Body of an event, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventBody {
    LedgerStarted(LedgerStartedBody),
    Evidence(DsseEnvelope),
    /// Of a call that returned a row, or of a refused call.
    Audit(Box<AuditRecord>),
    Read {
        evidence: DsseEnvelope,
        audit: Box<AuditRecord>,
    },
    Proposal(DsseEnvelope),
    Repeated(RepeatBody),
    /// An approval or a rejection.
    Decision(DsseEnvelope),
    DecisionRefused(RefusedDecisionBody),
    Order(DsseEnvelope),
    Expired,
    /// Context ticket of the gateway that withdrew the proposal.
    Withdrawn(DsseEnvelope),
    Started(AttemptStartedBody),
    /// Report of an attempt that did not end the proposal.
    Attempt(DsseEnvelope),
    Settled(Box<AttemptFinishedBody>),
    Alarm(ReceiptAlarmBody),
    /// Freeze or lift, as the operator signed it.
    Switch(DsseEnvelope),
    /// A writer's confirmation of a freeze or lift.
    Confirmation(DsseEnvelope),
    /// A writer's finding about receipts.
    Finding(DsseEnvelope),
    /// An operator's order about receipts.
    ReceiptOrder(DsseEnvelope),
    /// An operator's order to erase bodies, and what it erased.
    Erasure(Box<ErasureBody>),
    /// Nothing any more: the body was erased.
    Erased,
    /// What a person did in place of a shadow proposal.
    HumanAction(DsseEnvelope),
    /// An operator's statement that events were lost.
    Discontinuity(DsseEnvelope),
}

impl Entry {
    /// Parses the event and the body as the log holds them.
    pub fn read(event_bytes: &[u8], body: &[u8]) -> Result<Self, BundleError> {
        let event: EventRecord =
            canonical::decode(event_bytes).map_err(|e| BundleError::Malformed(format!("an event: {e}")))?;
        Self::of(event, body)
    }

    /// Parses the body of an already parsed event.
    pub fn of(event: EventRecord, body: &[u8]) -> Result<Self, BundleError> {
        let seq = event.seq;
        let envelope = || {
            DsseEnvelope::from_bytes(body).map_err(|e| BundleError::Body {
                seq,
                problem: e.to_string(),
            })
        };
        let body = match event.kind {
            kind if body.is_empty() && kind.is_erasable() => EventBody::Erased,
            EventKind::LedgerStarted => EventBody::LedgerStarted(object(seq, body)?),
            EventKind::EvidenceRecorded => EventBody::Evidence(envelope()?),
            EventKind::QueryAudited | EventKind::CallRefused => {
                EventBody::Audit(Box::new(object(seq, body)?))
            }
            EventKind::ReadRecorded => read(seq, body)?,
            EventKind::ProposalCreated => EventBody::Proposal(envelope()?),
            EventKind::ProposalRepeated => EventBody::Repeated(object(seq, body)?),
            EventKind::ProposalApproved | EventKind::ProposalRejected | EventKind::RejectionRecorded => {
                EventBody::Decision(envelope()?)
            }
            EventKind::DecisionRefused => EventBody::DecisionRefused(object(seq, body)?),
            EventKind::ApplyRequested => EventBody::Order(envelope()?),
            EventKind::ProposalExpired => EventBody::Expired,
            EventKind::ProposalWithdrawn => EventBody::Withdrawn(envelope()?),
            EventKind::WritebackStarted => EventBody::Started(object(seq, body)?),
            EventKind::WritebackReleased | EventKind::WritebackInDoubt => EventBody::Attempt(envelope()?),
            EventKind::WritebackApplied
            | EventKind::WritebackConflict
            | EventKind::WritebackFailed
            | EventKind::WritebackCanceled => EventBody::Settled(Box::new(object(seq, body)?)),
            EventKind::ReceiptAlarm => EventBody::Alarm(object(seq, body)?),
            EventKind::WritebackFrozen | EventKind::FreezeLifted => EventBody::Switch(envelope()?),
            EventKind::SwitchConfirmed => EventBody::Confirmation(envelope()?),
            EventKind::EffectLost | EventKind::OrphanReceipt | EventKind::RowChangedInCommit => {
                EventBody::Finding(envelope()?)
            }
            EventKind::ReceiptsOrdered => EventBody::ReceiptOrder(envelope()?),
            EventKind::BodiesErased => EventBody::Erasure(Box::new(object(seq, body)?)),
            EventKind::ShadowHumanActionRecorded => EventBody::HumanAction(envelope()?),
            EventKind::DiscontinuityRecorded => EventBody::Discontinuity(envelope()?),
        };
        Ok(Self { event, body })
    }
}

fn read(seq: u64, bytes: &[u8]) -> Result<EventBody, BundleError> {
    let body = ReadBody::decode(bytes).map_err(|e| BundleError::Body {
        seq,
        problem: e.to_string(),
    })?;
    Ok(EventBody::Read {
        evidence: body.evidence,
        audit: Box::new(object(seq, &body.audit)?),
    })
}

fn object<T: DeserializeOwned>(seq: u64, bytes: &[u8]) -> Result<T, BundleError> {
    canonical::decode_within(bytes, BODY_BYTES_MAX).map_err(|e| BundleError::Body {
        seq,
        problem: e.to_string(),
    })
}
