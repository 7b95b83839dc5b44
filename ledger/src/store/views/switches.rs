//! Freezes, lifts, confirmations, and rejections recorded after an attempt has started.

use rusqlite::{Connection, params};
use synapsor_domain::approval::{Decision, DecisionKind, Freeze, Unfreeze};
use synapsor_domain::digest::Digest;
use synapsor_domain::event::EventRecord;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};
use synapsor_domain::writeback::SwitchConfirmation;

use super::super::error::StoreError;
use super::super::row::to_sql;
use super::super::switches;
use super::{proposal_id, proposals, wrong_body};

pub(super) fn frozen(
    conn: &Connection,
    event: &EventRecord,
    envelope: &DsseEnvelope,
) -> Result<(), StoreError> {
    let freeze: Freeze = envelope
        .decode_unverified(ObjectKind::Freeze)
        .map_err(|_| wrong_body(event))?;
    let digest = Digest::of(ObjectKind::Freeze, &envelope.payload);
    switches::insert(
        conn,
        event.seq,
        &digest,
        (false, &digest),
        &freeze.approver.person,
    )
}

pub(super) fn lifted(
    conn: &Connection,
    event: &EventRecord,
    envelope: &DsseEnvelope,
) -> Result<(), StoreError> {
    let lift: Unfreeze = envelope
        .decode_unverified(ObjectKind::Unfreeze)
        .map_err(|_| wrong_body(event))?;
    let ended = lift.freeze_digest.ok_or_else(|| wrong_body(event))?;
    let digest = Digest::of(ObjectKind::Unfreeze, &envelope.payload);
    switches::insert(conn, event.seq, &digest, (true, &ended), &lift.approver.person)
}

pub(super) fn confirmed(
    conn: &Connection,
    event: &EventRecord,
    envelope: &DsseEnvelope,
) -> Result<(), StoreError> {
    let confirmation: SwitchConfirmation = envelope
        .decode_unverified(ObjectKind::SwitchConfirmation)
        .map_err(|_| wrong_body(event))?;
    switches::confirm(conn, event.seq, &confirmation.switch_digest, &confirmation.writer)
}

/// Records the rejection beside the other decisions; the writer's receipt ends the proposal.
pub(super) fn rejected(
    conn: &Connection,
    event: &EventRecord,
    envelope: &DsseEnvelope,
) -> Result<(), StoreError> {
    let decision: Decision = envelope
        .decode_unverified(ObjectKind::Decision)
        .map_err(|_| wrong_body(event))?;
    let id = proposal_id(event)?;
    if decision.decision != DecisionKind::Reject || decision.proposal_id.as_str() != id {
        return Err(wrong_body(event));
    }
    conn.prepare_cached(
        "INSERT INTO decisions (digest, proposal_id, seq, verdict, person, expires_at) VALUES (?1, ?2, ?3, 'deny', ?4, ?5)",
    )?
    .execute(params![
        Digest::of(ObjectKind::Decision, &envelope.payload).as_bytes(),
        id,
        to_sql(event.seq),
        decision.approver.person,
        decision.expires_at.as_unix_millis(),
    ])?;
    proposals::touch(conn, event)
}
