//! Decisions and apply orders.

use rusqlite::{Connection, params};
use synapsor_domain::approval::{ApplyOrder, Decision, DecisionKind};
use synapsor_domain::digest::Digest;
use synapsor_domain::event::{EventKind, EventRecord};
use synapsor_domain::proposal::ProposalTransition;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};

use super::super::error::StoreError;
use super::super::row::to_sql;
use super::{proposal_id, proposals, wrong_body};

pub(super) fn decided(
    conn: &Connection,
    event: &EventRecord,
    envelope: &DsseEnvelope,
) -> Result<(), StoreError> {
    let decision: Decision = envelope
        .decode_unverified(ObjectKind::Decision)
        .map_err(|_| wrong_body(event))?;
    let kind = match decision.decision {
        DecisionKind::Approve => EventKind::ProposalApproved,
        DecisionKind::Reject => EventKind::ProposalRejected,
    };
    let id = proposal_id(event)?;
    if event.kind != kind || decision.proposal_id.as_str() != id {
        return Err(wrong_body(event));
    }
    conn.prepare_cached(
        "INSERT INTO decisions (digest, proposal_id, seq, verdict, person, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        Digest::of(ObjectKind::Decision, &envelope.payload).as_bytes(),
        id,
        to_sql(event.seq),
        decision.decision.as_str(),
        decision.approver.person,
        decision.expires_at.as_unix_millis(),
    ])?;
    match decision.decision {
        DecisionKind::Reject => proposals::step(conn, event, ProposalTransition::Reject).map(|_| ()),
        DecisionKind::Approve if quorum_reached(conn, id)? => {
            proposals::step(conn, event, ProposalTransition::Approve).map(|_| ())
        }
        DecisionKind::Approve => proposals::touch(conn, event),
    }
}

pub(super) fn ordered(
    conn: &Connection,
    event: &EventRecord,
    envelope: &DsseEnvelope,
) -> Result<(), StoreError> {
    let order: ApplyOrder = envelope
        .decode_unverified(ObjectKind::ApplyOrder)
        .map_err(|_| wrong_body(event))?;
    let id = proposal_id(event)?;
    if order.proposal_id.as_str() != id {
        return Err(wrong_body(event));
    }
    // The same order may be submitted again while it is valid, after an attempt that applied nothing.
    conn.prepare_cached(
        "INSERT INTO apply_orders (digest, proposal_id, seq, person, expires_at) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (digest) DO UPDATE SET seq = excluded.seq",
    )?
    .execute(params![
        Digest::of(ObjectKind::ApplyOrder, &envelope.payload).as_bytes(),
        id,
        to_sql(event.seq),
        order.approver.person,
        order.expires_at.as_unix_millis(),
    ])?;
    proposals::step(conn, event, ProposalTransition::OrderApply).map(|_| ())
}

/// Returns whether enough distinct operators have approved. Deadlines are checked when an order is submitted, not
/// here.
fn quorum_reached(conn: &Connection, id: &str) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT count(DISTINCT d.person) >= max(p.quorum, 1) FROM proposals p JOIN decisions d USING (proposal_id) \
             WHERE p.proposal_id = ?1 AND d.verdict = 'approve'",
        )?
        .query_row([id], |row| row.get(0))?)
}
