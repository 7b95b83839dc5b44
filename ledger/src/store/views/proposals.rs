//! Proposals: one row each, changed only by the domain's transition table.

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_domain::event::{EventRecord, RepeatBody};
use synapsor_domain::proposal::{ProposalState, ProposalTransition, transition};

use super::super::error::StoreError;
use super::super::row::to_sql;
use super::{ReadProposal, proposal_id, wrong_body};

pub(super) fn created(conn: &Connection, event: &EventRecord, read: &ReadProposal) -> Result<(), StoreError> {
    let ReadProposal {
        proposal,
        digest,
        content_digest,
    } = read;
    if event.proposal_id.as_ref() != Some(&proposal.id) {
        return Err(wrong_body(event));
    }
    conn.prepare_cached(
        "INSERT INTO proposals (proposal_id, created_seq, changed_seq, digest, content_digest, state, tenant, principal, \
         capability, source_id, table_name, object_id, short_code, mode, quorum, created_at, not_after) \
         VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
    )?
    .execute(params![
        proposal.id.as_str(),
        to_sql(event.seq),
        digest.as_bytes(),
        content_digest.as_bytes(),
        ProposalState::PendingReview.as_str(),
        proposal.requested_by.tenant,
        proposal.requested_by.principal,
        proposal.capability,
        proposal.source.id,
        format!("{}.{}", proposal.target.schema, proposal.target.table),
        proposal.target.object_id().unwrap_or_default(),
        digest.short_code(),
        proposal.mode.as_str(),
        proposal.approval.quorum,
        proposal.created_at.as_unix_millis(),
        proposal.not_after.as_unix_millis(),
    ])?;
    for evidence in &proposal.evidence {
        link(conn, proposal.id.as_str(), evidence.id.as_str())?;
    }
    let by = &proposal.requested_by;
    conn.prepare_cached(
        "INSERT INTO open_contexts (tenant, principal, open) VALUES (?1, ?2, 1) \
         ON CONFLICT (tenant, principal) DO UPDATE SET open = open + 1",
    )?
    .execute([&by.tenant, &by.principal])?;
    Ok(())
}

pub(super) fn repeated(conn: &Connection, event: &EventRecord, body: &RepeatBody) -> Result<(), StoreError> {
    link(conn, proposal_id(event)?, body.evidence_id.as_str())?;
    touch(conn, event)
}

/// Changes the proposal by the transition table, and returns the new state.
pub(super) fn step(
    conn: &Connection,
    event: &EventRecord,
    step: ProposalTransition,
) -> Result<ProposalState, StoreError> {
    let id = proposal_id(event)?;
    let found: Option<(String, bool)> = conn
        .prepare_cached("SELECT state, started FROM proposals WHERE proposal_id = ?1")?
        .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (state, started) = found.ok_or_else(|| out_of_place(event))?;
    let state: ProposalState = state.parse().map_err(|_| out_of_place(event))?;
    let next = transition(state, started, step).map_err(|_| out_of_place(event))?;
    conn.prepare_cached("UPDATE proposals SET state = ?2, changed_seq = ?3 WHERE proposal_id = ?1")?
        .execute(params![id, next.as_str(), to_sql(event.seq)])?;
    if next.is_terminal() && !state.is_terminal() {
        closed(conn, id)?;
    }
    Ok(next)
}

/// Decrements the number of open proposals of its tenant and principal.
fn closed(conn: &Connection, id: &str) -> Result<(), StoreError> {
    const CONTEXT: &str =
        "(tenant, principal) = (SELECT tenant, principal FROM proposals WHERE proposal_id = ?1)";
    let last = conn
        .prepare_cached(&format!("DELETE FROM open_contexts WHERE open = 1 AND {CONTEXT}"))?
        .execute([id])?;
    if last == 0 {
        conn.prepare_cached(&format!(
            "UPDATE open_contexts SET open = open - 1 WHERE {CONTEXT}"
        ))?
        .execute([id])?;
    }
    Ok(())
}

/// Records that the event concerns the proposal, without changing its state.
pub(super) fn touch(conn: &Connection, event: &EventRecord) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE proposals SET changed_seq = ?2 WHERE proposal_id = ?1")?
        .execute(params![proposal_id(event)?, to_sql(event.seq)])?;
    Ok(())
}

fn link(conn: &Connection, proposal: &str, evidence: &str) -> Result<(), StoreError> {
    conn.prepare_cached("INSERT OR IGNORE INTO evidence_links (proposal_id, evidence_id) VALUES (?1, ?2)")?
        .execute([proposal, evidence])?;
    Ok(())
}

fn out_of_place(event: &EventRecord) -> StoreError {
    StoreError::Tampered(format!(
        "event {} ({}) is not a valid transition after the events before it",
        event.seq, event.kind
    ))
}
