//! Attempts of writers, and receipts.

use rusqlite::{Connection, params};
use synapsor_domain::digest::Digest;
use synapsor_domain::event::{AttemptFinishedBody, AttemptStartedBody, EventKind, EventRecord};
use synapsor_domain::proposal::ProposalTransition;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::{AttemptReport, Receipt, ReceiptOutcome};

use super::super::error::StoreError;
use super::super::row::to_sql;
use super::{erasures, proposal_id, proposals, receipts, wrong_body};

pub(super) fn started(
    conn: &Connection,
    event: &EventRecord,
    body: &AttemptStartedBody,
) -> Result<(), StoreError> {
    let id = proposal_id(event)?;
    if body.proposal_id.as_str() != id {
        return Err(wrong_body(event));
    }
    proposals::step(conn, event, ProposalTransition::Start)?;
    conn.prepare_cached("UPDATE proposals SET started = 1, attempts = ?2 WHERE proposal_id = ?1")?
        .execute(params![id, body.attempt])?;
    conn.prepare_cached(
        "INSERT INTO attempts (proposal_id, attempt, fence, seq, writer) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        id,
        body.attempt,
        to_sql(body.fence),
        to_sql(event.seq),
        body.writer
    ])?;
    Ok(())
}

/// Records an attempt that applied nothing, or whose result is not yet known.
pub(super) fn reported(
    conn: &Connection,
    event: &EventRecord,
    envelope: &DsseEnvelope,
    step: ProposalTransition,
) -> Result<(), StoreError> {
    let report: AttemptReport = envelope
        .decode_unverified(ObjectKind::Attempt)
        .map_err(|_| wrong_body(event))?;
    result(conn, event, &report)?;
    proposals::step(conn, event, step).map(|_| ())
}

pub(super) fn settled(
    conn: &Connection,
    event: &EventRecord,
    body: &AttemptFinishedBody,
) -> Result<(), StoreError> {
    let report: AttemptReport = body
        .attempt
        .decode_unverified(ObjectKind::Attempt)
        .map_err(|_| wrong_body(event))?;
    let receipt: Receipt = body
        .receipt
        .decode_unverified(ObjectKind::Receipt)
        .map_err(|_| wrong_body(event))?;
    let id = proposal_id(event)?;
    if receipt.proposal_id.as_str() != id || event.kind != kind_of(receipt.outcome) {
        return Err(wrong_body(event));
    }
    result(conn, event, &report)?;
    let digest = Digest::of(ObjectKind::Receipt, &body.receipt.payload);
    conn.prepare_cached(
        "INSERT INTO receipts (proposal_id, seq, digest, outcome, reason, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        id,
        to_sql(event.seq),
        digest.as_bytes(),
        receipt.outcome.as_str(),
        receipt.reason,
        receipt.created_at.as_unix_millis(),
    ])?;
    receipts::settled(conn, event, digest, receipt.created_at.as_unix_millis())?;
    if erasures::is_of_erased(conn, event)? {
        return Ok(());
    }
    proposals::step(conn, event, ProposalTransition::Settle(receipt.outcome)).map(|_| ())
}

/// Returns the event kind of a receipt with this outcome.
pub(crate) fn kind_of(outcome: ReceiptOutcome) -> EventKind {
    match outcome {
        ReceiptOutcome::Applied => EventKind::WritebackApplied,
        ReceiptOutcome::Conflict => EventKind::WritebackConflict,
        ReceiptOutcome::Failed => EventKind::WritebackFailed,
        ReceiptOutcome::Rejected
        | ReceiptOutcome::Cancelled
        | ReceiptOutcome::Expired
        | ReceiptOutcome::Abandoned => EventKind::WritebackCanceled,
    }
}

fn result(conn: &Connection, event: &EventRecord, report: &AttemptReport) -> Result<(), StoreError> {
    let id = proposal_id(event)?;
    if report.proposal_id.as_str() != id {
        return Err(wrong_body(event));
    }
    // A report without a start comes from a reconciler or a refusal: there is no attempt to close.
    conn.prepare_cached(
        "UPDATE attempts SET result_seq = ?3, result = ?4 WHERE proposal_id = ?1 AND attempt = ?2",
    )?
    .execute(params![
        id,
        report.attempt,
        to_sql(event.seq),
        report.result.to_string()
    ])?;
    Ok(())
}
