//! Attempts of writers, and receipts.

use rusqlite::{Connection, params};
use synapsor_domain::digest::Digest;
use synapsor_domain::event::{EventKind, EventRecord, SettleBody, StartBody};
use synapsor_domain::proposal::Step;
use synapsor_domain::signing::{Envelope, Kind};
use synapsor_domain::writeback::{AttemptReport, Outcome, Receipt};

use super::super::error::StoreError;
use super::super::row::to_sql;
use super::{proposal_id, proposals, receipts, wrong_body};

pub(super) fn started(conn: &Connection, event: &EventRecord, body: &StartBody) -> Result<(), StoreError> {
    let id = proposal_id(event)?;
    if body.proposal_id.as_str() != id {
        return Err(wrong_body(event));
    }
    proposals::step(conn, event, Step::Start)?;
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

/// An attempt that came to nothing, or whose outcome is not known yet.
pub(super) fn reported(
    conn: &Connection,
    event: &EventRecord,
    envelope: &Envelope,
    step: Step,
) -> Result<(), StoreError> {
    let report: AttemptReport = envelope.peek(Kind::Attempt).map_err(|_| wrong_body(event))?;
    result(conn, event, &report)?;
    proposals::step(conn, event, step).map(|_| ())
}

pub(super) fn settled(conn: &Connection, event: &EventRecord, body: &SettleBody) -> Result<(), StoreError> {
    let report: AttemptReport = body.attempt.peek(Kind::Attempt).map_err(|_| wrong_body(event))?;
    let receipt: Receipt = body.receipt.peek(Kind::Receipt).map_err(|_| wrong_body(event))?;
    let id = proposal_id(event)?;
    if receipt.proposal_id.as_str() != id || event.kind != kind_of(receipt.outcome) {
        return Err(wrong_body(event));
    }
    result(conn, event, &report)?;
    let digest = Digest::of(Kind::Receipt, &body.receipt.payload);
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
    proposals::step(conn, event, Step::Settle(receipt.outcome)).map(|_| ())
}

/// The kind of event that a receipt with this outcome becomes.
pub(crate) fn kind_of(outcome: Outcome) -> EventKind {
    match outcome {
        Outcome::Applied => EventKind::WritebackApplied,
        Outcome::Conflict => EventKind::WritebackConflict,
        Outcome::Failed => EventKind::WritebackFailed,
        Outcome::Denied | Outcome::Cancelled | Outcome::Expired | Outcome::Abandoned => {
            EventKind::WritebackCanceled
        }
    }
}

fn result(conn: &Connection, event: &EventRecord, report: &AttemptReport) -> Result<(), StoreError> {
    let id = proposal_id(event)?;
    if report.proposal_id.as_str() != id {
        return Err(wrong_body(event));
    }
    // A report without a start before it is a reconciler's or a refusal's: there is no attempt to close.
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
