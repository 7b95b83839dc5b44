//! One event of the log with its body read as its kind demands. Signatures are not looked at here.

use serde::de::DeserializeOwned;

use super::BundleError;
use crate::canonical;
use crate::event::{
    EventKind, EventRecord, LedgerStartedBody, ReceiptAlarmBody, RefusedDecisionBody, RepeatBody, SettleBody,
    StartBody,
};
use crate::evidence::AuditRecord;
use crate::limits::ENVELOPE_BYTES_MAX;
use crate::signing::Envelope;

/// Bytes of the largest body: the one that holds two envelopes.
const BODY_BYTES_MAX: usize = 2 * ENVELOPE_BYTES_MAX;

/// An event and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub event: EventRecord,
    pub body: Body,
}

/// The body of an event, by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    LedgerStarted(LedgerStartedBody),
    Evidence(Envelope),
    /// Of a call that returned a row, or of one that was refused.
    Audit(Box<AuditRecord>),
    Proposal(Envelope),
    Repeated(RepeatBody),
    /// Yes or no.
    Decision(Envelope),
    DecisionRefused(RefusedDecisionBody),
    Order(Envelope),
    Expired,
    /// The context ticket of the gateway that withdrew it.
    Withdrawn(Envelope),
    Started(StartBody),
    /// The report of an attempt that did not end the proposal.
    Attempt(Envelope),
    Settled(Box<SettleBody>),
    Alarm(ReceiptAlarmBody),
    /// A freeze or a lift, as the operator signed it.
    Switch(Envelope),
    /// A writer's confirmation of a freeze or lift.
    Confirmation(Envelope),
    /// A writer's finding about receipts.
    Finding(Envelope),
    /// An operator's order about receipts.
    ReceiptOrder(Envelope),
}

impl Entry {
    /// Reads the two byte strings as the log has them.
    pub fn read(event_bytes: &[u8], body: &[u8]) -> Result<Self, BundleError> {
        let event: EventRecord =
            canonical::decode(event_bytes).map_err(|e| BundleError::Malformed(format!("an event: {e}")))?;
        Self::of(event, body)
    }

    /// Reads the body of an event that has been read already.
    pub fn of(event: EventRecord, body: &[u8]) -> Result<Self, BundleError> {
        let seq = event.seq;
        let envelope = || {
            Envelope::from_bytes(body).map_err(|e| BundleError::Body {
                seq,
                problem: e.to_string(),
            })
        };
        let body = match event.kind {
            EventKind::LedgerStarted => Body::LedgerStarted(object(seq, body)?),
            EventKind::EvidenceRecorded => Body::Evidence(envelope()?),
            EventKind::QueryAudited | EventKind::CallRefused => Body::Audit(Box::new(object(seq, body)?)),
            EventKind::ProposalCreated => Body::Proposal(envelope()?),
            EventKind::ProposalRepeated => Body::Repeated(object(seq, body)?),
            EventKind::ProposalApproved | EventKind::ProposalRejected | EventKind::RejectionRecorded => {
                Body::Decision(envelope()?)
            }
            EventKind::DecisionRefused => Body::DecisionRefused(object(seq, body)?),
            EventKind::ApplyRequested => Body::Order(envelope()?),
            EventKind::ProposalExpired => Body::Expired,
            EventKind::ProposalWithdrawn => Body::Withdrawn(envelope()?),
            EventKind::WritebackStarted => Body::Started(object(seq, body)?),
            EventKind::WritebackReleased | EventKind::WritebackInDoubt => Body::Attempt(envelope()?),
            EventKind::WritebackApplied
            | EventKind::WritebackConflict
            | EventKind::WritebackFailed
            | EventKind::WritebackCanceled => Body::Settled(Box::new(object(seq, body)?)),
            EventKind::ReceiptAlarm => Body::Alarm(object(seq, body)?),
            EventKind::WritebackFrozen | EventKind::FreezeLifted => Body::Switch(envelope()?),
            EventKind::SwitchConfirmed => Body::Confirmation(envelope()?),
            EventKind::EffectLost | EventKind::OrphanReceipt | EventKind::RowChangedInCommit => {
                Body::Finding(envelope()?)
            }
            EventKind::ReceiptsOrdered => Body::ReceiptOrder(envelope()?),
        };
        Ok(Self { event, body })
    }
}

fn object<T: DeserializeOwned>(seq: u64, bytes: &[u8]) -> Result<T, BundleError> {
    canonical::decode_within(bytes, BODY_BYTES_MAX).map_err(|e| BundleError::Body {
        seq,
        problem: e.to_string(),
    })
}
