//! Receipts by source, the findings of writers about them, and the orders of operators.

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_codes::ErrorCode;
use synapsor_domain::approval::{ReceiptAction, ReceiptOrder};
use synapsor_domain::digest::Digest;
use synapsor_domain::event::{EventKind, EventRecord, ReceiptAlarmBody};
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::{ReceiptDiscrepancy, ReceiptFinding, ReceiptIncidentKind, ReceiptRef};

use super::super::error::StoreError;
use super::super::receipts::{self, PLACES_PER_EVENT};
use super::super::row::to_sql;
use super::{proposal_id, wrong_body};

/// Incidents that an adopt order ends.
const ADOPTABLE: [ReceiptIncidentKind; 3] = [
    ReceiptIncidentKind::OrphanReceipt,
    ReceiptIncidentKind::RowChangedInCommit,
    ReceiptIncidentKind::ReceiptUnproven,
];

/// Records a receipt that was just settled: its source must hold it from now on.
pub(super) fn settled(
    conn: &Connection,
    event: &EventRecord,
    digest: Digest,
    created_at_ms: i64,
) -> Result<(), StoreError> {
    let id = proposal_id(event)?;
    let source = source_of(conn, event, id)?;
    conn.prepare_cached(
        "INSERT INTO source_receipts (seq, source_id, proposal_id, created_at) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![to_sql(event.seq), source, id, created_at_ms])?;
    let named = named(event, digest)?;
    receipts::end_incidents(conn, event.seq, &source, &named, &ADOPTABLE)
}

/// Opens an incident for an alarm about a receipt that an operator can adopt.
pub(super) fn alarm(
    conn: &Connection,
    event: &EventRecord,
    body: &ReceiptAlarmBody,
) -> Result<(), StoreError> {
    if body.code() != Some(ErrorCode::RefusedReceiptUnproven) {
        return Ok(());
    }
    let id = proposal_id(event)?;
    let source = source_of(conn, event, id)?;
    let named = named(event, body.presented_digest)?;
    let position = event.seq * PLACES_PER_EVENT;
    receipts::insert_incident(
        conn,
        position,
        ReceiptIncidentKind::ReceiptUnproven,
        &source,
        (&named, None),
    )
}

pub(super) fn found(
    conn: &Connection,
    event: &EventRecord,
    envelope: &DsseEnvelope,
) -> Result<(), StoreError> {
    let finding: ReceiptFinding = envelope
        .decode_unverified(ObjectKind::ReceiptFinding)
        .map_err(|_| wrong_body(event))?;
    if event.kind != kind_of_finding(finding.discrepancy) {
        return Err(wrong_body(event));
    }
    let kind = ReceiptIncidentKind::of(finding.discrepancy);
    for fresh in receipts::fresh(conn, &finding)? {
        let position = event.seq * PLACES_PER_EVENT + fresh.index;
        let receipt = (fresh.named, fresh.receipt_seq);
        receipts::insert_incident(conn, position, kind, &finding.source, receipt)?;
    }
    Ok(())
}

pub(super) fn ordered(
    conn: &Connection,
    event: &EventRecord,
    envelope: &DsseEnvelope,
) -> Result<(), StoreError> {
    let order: ReceiptOrder = envelope
        .decode_unverified(ObjectKind::ReceiptOrder)
        .map_err(|_| wrong_body(event))?;
    let action = action_name(order.action);
    let before = order.before.map(|before| before.as_unix_millis());
    conn.prepare_cached(
        "INSERT INTO receipt_orders (digest, seq, source_id, action, before, person) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        Digest::of(ObjectKind::ReceiptOrder, &envelope.payload).as_bytes(),
        to_sql(event.seq),
        order.source,
        action,
        before,
        order.approver.person,
    ])?;
    let mut add = conn.prepare_cached(
        "INSERT INTO receipt_order_refs (source_id, proposal_id, receipt_digest, action, seq) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    for named in &order.receipts {
        let digest = named.receipt_digest.to_string();
        add.execute(params![
            order.source,
            named.proposal_id.as_str(),
            digest,
            action,
            to_sql(event.seq)
        ])?;
    }
    match order.action {
        ReceiptAction::GiveUp => given_up(conn, event, &order),
        ReceiptAction::Adopt => order
            .receipts
            .iter()
            .try_for_each(|named| receipts::end_incidents(conn, event.seq, &order.source, named, &ADOPTABLE)),
        ReceiptAction::Archive => archived(conn, event, &order.source, before),
    }
}

fn given_up(conn: &Connection, event: &EventRecord, order: &ReceiptOrder) -> Result<(), StoreError> {
    let lost = [ReceiptIncidentKind::EffectLost];
    for named in &order.receipts {
        if let Some(seq) = receipts::settled(conn, &order.source, named)? {
            conn.prepare_cached("UPDATE source_receipts SET is_given_up = 1 WHERE seq = ?1")?
                .execute([to_sql(seq)])?;
        }
        receipts::end_incidents(conn, event.seq, &order.source, named, &lost)?;
    }
    Ok(())
}

fn archived(
    conn: &Connection,
    event: &EventRecord,
    source: &str,
    before: Option<i64>,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE receipt_incidents SET ended_seq = ?1 \
         WHERE source_id = ?2 AND ended_seq IS NULL AND kind = 'effect_lost' \
         AND receipt_seq IN (SELECT seq FROM source_receipts WHERE source_id = ?2 AND created_at < ?3)",
    )?
    .execute(params![to_sql(event.seq), source, before])?;
    Ok(())
}

/// Returns the event kind of a finding.
pub(crate) const fn kind_of_finding(discrepancy: ReceiptDiscrepancy) -> EventKind {
    match discrepancy {
        ReceiptDiscrepancy::EffectLost => EventKind::EffectLost,
        ReceiptDiscrepancy::OrphanReceipt => EventKind::OrphanReceipt,
        ReceiptDiscrepancy::RowChangedInCommit => EventKind::RowChangedInCommit,
    }
}

const fn action_name(action: ReceiptAction) -> &'static str {
    match action {
        ReceiptAction::GiveUp => "give_up",
        ReceiptAction::Adopt => "adopt",
        ReceiptAction::Archive => "archive",
    }
}

fn named(event: &EventRecord, receipt_digest: Digest) -> Result<ReceiptRef, StoreError> {
    Ok(ReceiptRef {
        proposal_id: event.proposal_id.clone().ok_or_else(|| wrong_body(event))?,
        receipt_digest,
    })
}

fn source_of(conn: &Connection, event: &EventRecord, id: &str) -> Result<String, StoreError> {
    conn.prepare_cached("SELECT source_id FROM proposals WHERE proposal_id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()?
        .ok_or_else(|| wrong_body(event))
}
