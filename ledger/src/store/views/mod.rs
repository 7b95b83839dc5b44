//! The views: tables that follow from events and bodies alone. This is the only code that writes them, both when
//! an event is appended and when a verification derives them anew.

mod proposals;
mod records;
mod reviews;
mod writebacks;

pub(crate) use writebacks::kind_of;

use rusqlite::{Connection, params};
use serde::de::DeserializeOwned;
use synapsor_domain::canonical;
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::limits::ENVELOPE_BYTES_MAX;
use synapsor_domain::proposal::Step as ProposalStep;
use synapsor_domain::signing::Envelope;

use super::error::StoreError;
use super::row::to_sql;

/// Tables that [`apply`] writes, each with the columns of its primary key.
pub(crate) const TABLES: [(&str, &str); 9] = [
    ("event_index", "seq"),
    ("proposals", "proposal_id"),
    ("decisions", "digest"),
    ("apply_orders", "digest"),
    ("attempts", "proposal_id, attempt"),
    ("receipts", "proposal_id"),
    ("evidence", "evidence_id"),
    ("evidence_links", "proposal_id, evidence_id"),
    ("audit", "audit_id"),
];

/// Brings the views up to date with one more event.
pub(crate) fn apply(conn: &Connection, event: &EventRecord, body: &[u8]) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT INTO event_index (seq, kind, at, proposal_id) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            to_sql(event.seq),
            event.kind.as_str(),
            event.at.as_unix_millis(),
            event.proposal_id.as_ref().map(ProposalId::as_str)
        ])?;
    match event.kind {
        EventKind::LedgerStarted | EventKind::DecisionRefused | EventKind::ReceiptAlarm => Ok(()),
        EventKind::EvidenceRecorded => records::evidence(conn, event, &envelope(event, body)?),
        EventKind::QueryAudited | EventKind::CallRefused => {
            records::audit(conn, event, &object(event, body)?)
        }
        EventKind::ProposalCreated => proposals::created(conn, event, &envelope(event, body)?),
        EventKind::ProposalRepeated => proposals::repeated(conn, event, &object(event, body)?),
        EventKind::ProposalApproved | EventKind::ProposalRejected => {
            reviews::decided(conn, event, &envelope(event, body)?)
        }
        EventKind::ApplyRequested => reviews::ordered(conn, event, &envelope(event, body)?),
        EventKind::ProposalExpired => proposals::step(conn, event, ProposalStep::Expire).map(|_| ()),
        EventKind::WritebackStarted => writebacks::started(conn, event, &object(event, body)?),
        EventKind::WritebackReleased => {
            writebacks::reported(conn, event, &envelope(event, body)?, ProposalStep::Release)
        }
        EventKind::WritebackInDoubt => {
            writebacks::reported(conn, event, &envelope(event, body)?, ProposalStep::Doubt)
        }
        EventKind::WritebackApplied
        | EventKind::WritebackConflict
        | EventKind::WritebackFailed
        | EventKind::WritebackCanceled => writebacks::settled(conn, event, &object(event, body)?),
    }
}

fn object<T: DeserializeOwned>(event: &EventRecord, body: &[u8]) -> Result<T, StoreError> {
    canonical::decode_within(body, 2 * ENVELOPE_BYTES_MAX).map_err(|_| wrong_body(event))
}

fn envelope(event: &EventRecord, body: &[u8]) -> Result<Envelope, StoreError> {
    Envelope::from_bytes(body).map_err(|_| wrong_body(event))
}

fn wrong_body(event: &EventRecord) -> StoreError {
    StoreError::Tampered(format!(
        "the body of event {} is not what its kind prescribes",
        event.seq
    ))
}

fn proposal_id(event: &EventRecord) -> Result<&str, StoreError> {
    event
        .proposal_id
        .as_ref()
        .map(ProposalId::as_str)
        .ok_or_else(|| wrong_body(event))
}
