//! Human actions in place of shadow proposals.

use rusqlite::{Connection, params};
use synapsor_domain::digest::Digest;
use synapsor_domain::event::EventRecord;
use synapsor_domain::shadow::HumanAction;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind};

use super::super::error::StoreError;
use super::super::row::to_sql;
use super::{proposal_id, proposals, wrong_body};

pub(super) fn recorded(
    conn: &Connection,
    event: &EventRecord,
    envelope: &DsseEnvelope,
) -> Result<(), StoreError> {
    let action: HumanAction = envelope
        .decode_unverified(ObjectKind::HumanAction)
        .map_err(|_| wrong_body(event))?;
    let id = proposal_id(event)?;
    if action.proposal_id.as_str() != id {
        return Err(wrong_body(event));
    }
    conn.prepare_cached(
        "INSERT INTO human_actions (digest, proposal_id, seq, person) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![
        Digest::of(ObjectKind::HumanAction, &envelope.payload).as_bytes(),
        id,
        to_sql(event.seq),
        action.operator.person,
    ])?;
    proposals::touch(conn, event)
}
