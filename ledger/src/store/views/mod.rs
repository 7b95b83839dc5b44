//! The views: tables derived from events and bodies alone. Only this code writes them, both when an event is
//! appended and when a verification derives them again.

mod erasures;
mod human_actions;
mod proposals;
mod receipts;
mod records;
mod reviews;
mod switches;
mod writebacks;

pub(crate) use erasures::{Erasures, is_erased, without_body};
pub(crate) use receipts::kind_of_finding;
pub(crate) use records::{AuditView, EvidenceView, RECORD_KINDS, RecordView};
pub(crate) use writebacks::kind_of;

use std::sync::Arc;

use rusqlite::{Connection, params};
use serde::de::DeserializeOwned;
use synapsor_domain::canonical;
use synapsor_domain::context_ticket::ContextTicket;
use synapsor_domain::digest::Digest;
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::limits::ENVELOPE_BYTES_MAX;
use synapsor_domain::proposal::{Proposal, ProposalTransition};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::timestamp::Timestamp;

use super::error::StoreError;
use super::row::to_sql;

/// Tables that follow from the events, each with the columns of its primary key.
pub(crate) const TABLES: [(&str, &str); 22] = [
    ("event_index", "seq"),
    ("event_times", "segment"),
    ("proposals", "proposal_id"),
    ("open_contexts", "tenant, principal"),
    ("decisions", "digest"),
    ("apply_orders", "digest"),
    ("attempts", "proposal_id, attempt"),
    ("receipts", "proposal_id"),
    ("human_actions", "digest"),
    ("evidence", "seq"),
    ("record_segments", "field, value, segment"),
    ("record_postings", "field, segment"),
    ("record_times", "segment"),
    ("evidence_links", "proposal_id, evidence_id"),
    ("audit", "seq"),
    ("switches", "digest"),
    ("switch_confirmations", "switch_digest, writer"),
    ("source_receipts", "seq"),
    ("erased_ranges", "first"),
    ("receipt_incidents", "place"),
    ("receipt_orders", "digest"),
    (
        "receipt_order_refs",
        "source_id, proposal_id, receipt_digest, action, seq",
    ),
];

/// A decoded body, so that the writing thread need not decode it again.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum ParsedBody<'a> {
    /// The body was not decoded, or its kind is decoded here.
    #[default]
    No,
    /// What the views show of a body of [`RECORD_KINDS`].
    Records {
        evidence: Option<&'a Arc<EvidenceView>>,
        audit: Option<&'a Arc<AuditView>>,
    },
    Proposal(&'a ReadProposal),
}

/// A proposal with the values derived from its bytes.
#[derive(Debug)]
pub(crate) struct ReadProposal {
    pub(crate) proposal: Proposal,
    /// Digest of the signed payload.
    pub(crate) digest: Digest,
    /// Digest of the content that makes two proposals identical.
    pub(crate) content_digest: Digest,
}

impl ReadProposal {
    pub(crate) fn new(proposal: Proposal, payload: &[u8]) -> Self {
        Self {
            digest: Digest::of(ObjectKind::Proposal, payload),
            content_digest: proposal.content_digest(),
            proposal,
        }
    }
}

/// Updates the views with one more event, except those of records: see [`RecordView`]. `read` must match `body`.
pub(crate) fn apply(
    conn: &Connection,
    event: &EventRecord,
    body: &[u8],
    read: ParsedBody<'_>,
) -> Result<(), StoreError> {
    if RECORD_KINDS.contains(&event.kind) {
        return Ok(());
    }
    index(conn, event.seq, event.kind, event.at, event.proposal_id.as_ref())?;
    match event.kind {
        EventKind::LedgerStarted
        | EventKind::DecisionRefused
        | EventKind::EvidenceRecorded
        | EventKind::QueryAudited
        | EventKind::ReadRecorded
        | EventKind::CallRefused
        | EventKind::DiscontinuityRecorded => Ok(()),
        EventKind::ReceiptAlarm => receipts::alarm(conn, event, &object(event, body)?),
        EventKind::EffectLost | EventKind::OrphanReceipt | EventKind::RowChangedInCommit => {
            receipts::found(conn, event, &envelope(event, body)?)
        }
        EventKind::ReceiptsOrdered => receipts::ordered(conn, event, &envelope(event, body)?),
        EventKind::ShadowHumanActionRecorded => human_actions::recorded(conn, event, &envelope(event, body)?),
        EventKind::ProposalCreated => match read {
            ParsedBody::Proposal(read) => proposals::created(conn, event, read),
            ParsedBody::No | ParsedBody::Records { .. } => {
                let envelope = envelope(event, body)?;
                let proposal = envelope
                    .decode_unverified(ObjectKind::Proposal)
                    .map_err(|_| wrong_body(event))?;
                proposals::created(conn, event, &ReadProposal::new(proposal, &envelope.payload))
            }
        },
        EventKind::ProposalRepeated => proposals::repeated(conn, event, &object(event, body)?),
        EventKind::ProposalApproved | EventKind::ProposalRejected => {
            reviews::decided(conn, event, &envelope(event, body)?)
        }
        EventKind::RejectionRecorded => switches::rejected(conn, event, &envelope(event, body)?),
        EventKind::WritebackFrozen => switches::frozen(conn, event, &envelope(event, body)?),
        EventKind::FreezeLifted => switches::lifted(conn, event, &envelope(event, body)?),
        EventKind::SwitchConfirmed => switches::confirmed(conn, event, &envelope(event, body)?),
        EventKind::ApplyRequested => reviews::ordered(conn, event, &envelope(event, body)?),
        // The row is as the erasure left it.
        EventKind::ProposalExpired
        | EventKind::WritebackStarted
        | EventKind::WritebackReleased
        | EventKind::WritebackInDoubt
            if erasures::is_of_erased(conn, event)? =>
        {
            Ok(())
        }
        EventKind::ProposalExpired => proposals::step(conn, event, ProposalTransition::Expire).map(|_| ()),
        EventKind::ProposalWithdrawn => withdrawn(conn, event, body),
        EventKind::BodiesErased => erasures::erased(conn, event, body),
        EventKind::WritebackStarted => writebacks::started(conn, event, &object(event, body)?),
        EventKind::WritebackReleased => writebacks::reported(
            conn,
            event,
            &envelope(event, body)?,
            ProposalTransition::ReturnToApproved,
        ),
        EventKind::WritebackInDoubt => writebacks::reported(
            conn,
            event,
            &envelope(event, body)?,
            ProposalTransition::MarkInDoubt,
        ),
        EventKind::WritebackApplied
        | EventKind::WritebackConflict
        | EventKind::WritebackFailed
        | EventKind::WritebackCanceled => writebacks::settled(conn, event, &object(event, body)?),
    }
}

fn withdrawn(conn: &Connection, event: &EventRecord, body: &[u8]) -> Result<(), StoreError> {
    let _: ContextTicket = envelope(event, body)?
        .decode_unverified(ObjectKind::ContextTicket)
        .map_err(|_| wrong_body(event))?;
    proposals::step(conn, event, ProposalTransition::Withdraw).map(|_| ())
}

fn index(
    conn: &Connection,
    seq: u64,
    kind: EventKind,
    at: Timestamp,
    proposal: Option<&ProposalId>,
) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT INTO event_index (seq, kind, at, proposal_id) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            to_sql(seq),
            kind.as_str(),
            at.as_unix_millis(),
            proposal.map(ProposalId::as_str)
        ])?;
    Ok(())
}

fn object<T: DeserializeOwned>(event: &EventRecord, body: &[u8]) -> Result<T, StoreError> {
    canonical::decode_within(body, 2 * ENVELOPE_BYTES_MAX).map_err(|_| wrong_body(event))
}

fn envelope(event: &EventRecord, body: &[u8]) -> Result<DsseEnvelope, StoreError> {
    DsseEnvelope::from_bytes(body).map_err(|_| wrong_body(event))
}

fn wrong_body(event: &EventRecord) -> StoreError {
    StoreError::Tampered(format!("the body of event {} does not match its kind", event.seq))
}

fn proposal_id(event: &EventRecord) -> Result<&str, StoreError> {
    event
        .proposal_id
        .as_ref()
        .map(ProposalId::as_str)
        .ok_or_else(|| wrong_body(event))
}
