//! Erased bodies: which events have none any more, and the proposals among them.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_domain::event::{ErasedProposal, ErasureBody, EventKind, EventRecord};
use synapsor_domain::ids::ProposalId;

use super::super::error::StoreError;
use super::super::row::{from_sql, to_sql};
use super::{RECORD_KINDS, index, object, wrong_body};

/// Everything that was erased, by the events of erasure.
#[derive(Debug, Default)]
pub(crate) struct Erasures {
    /// Last position of each range, by its first.
    ranges: BTreeMap<u64, u64>,
    /// Each with the event that erased it.
    proposals: HashMap<ProposalId, (u64, ErasedProposal)>,
}

impl Erasures {
    /// Returns the positions of the events that erased something. The list is complete only after it was compared with
    /// the events.
    pub(crate) fn positions(conn: &Connection) -> Result<Vec<u64>, StoreError> {
        let mut query = conn.prepare("SELECT seq FROM event_index WHERE kind = ?1 ORDER BY seq")?;
        let rows = query.query_map([EventKind::BodiesErased.as_str()], |row| row.get(0))?;
        rows.map(|seq| from_sql(seq?)).collect()
    }

    /// Adds what one event erased.
    pub(crate) fn add(&mut self, event: &EventRecord, body: &[u8]) -> Result<(), StoreError> {
        let body = decoded(event, body)?;
        self.ranges.extend(body.ranges);
        let proposals = body.proposals.into_iter();
        self.proposals
            .extend(proposals.map(|kept| (kept.proposal_id.clone(), (event.seq, kept))));
        Ok(())
    }

    /// Returns whether the body of an event is erased rightly.
    pub(crate) fn covers(&self, event: &EventRecord) -> bool {
        let range = self.ranges.range(..=event.seq).next_back();
        event.kind.is_erasable() && range.is_some_and(|(_, last)| *last >= event.seq)
    }
}

fn decoded(event: &EventRecord, body: &[u8]) -> Result<ErasureBody, StoreError> {
    let body: ErasureBody = object(event, body)?;
    if event.kind != EventKind::BodiesErased || !body.is_in_order(event.seq) {
        return Err(wrong_body(event));
    }
    Ok(body)
}

/// Records an erasure. Rows of records are removed by who erases them.
pub(super) fn erased(conn: &Connection, event: &EventRecord, body: &[u8]) -> Result<(), StoreError> {
    let body = decoded(event, body)?;
    let mut range =
        conn.prepare_cached("INSERT INTO erased_ranges (first, last, seq) VALUES (?1, ?2, ?3)")?;
    for (first, last) in &body.ranges {
        range.execute([to_sql(*first), to_sql(*last), to_sql(event.seq)])?;
    }
    for kept in &body.proposals {
        let id = kept.proposal_id.as_str();
        for table in [
            "decisions",
            "apply_orders",
            "attempts",
            "evidence_links",
            "human_actions",
        ] {
            conn.prepare_cached(&format!("DELETE FROM {table} WHERE proposal_id = ?1"))?
                .execute([id])?;
        }
        let changed = conn
            .prepare_cached(
                "UPDATE proposals SET tenant = '', principal = '', object_id = '', erased_seq = ?2 \
                 WHERE proposal_id = ?1 AND digest = ?3",
            )?
            .execute(params![id, to_sql(event.seq), kept.digest.as_bytes()])?;
        if changed != 1 {
            return Err(wrong_body(event));
        }
    }
    Ok(())
}

/// Updates the views with an event whose body is erased.
pub(crate) fn without_body(
    conn: &Connection,
    event: &EventRecord,
    erasures: &Erasures,
) -> Result<(), StoreError> {
    if RECORD_KINDS.contains(&event.kind) {
        return Ok(());
    }
    index(conn, event.seq, event.kind, event.at, event.proposal_id.as_ref())?;
    if event.kind != EventKind::ProposalCreated {
        return Ok(());
    }
    let id = event.proposal_id.as_ref().ok_or_else(|| wrong_body(event))?;
    let (erased_seq, kept) = erasures.proposals.get(id).ok_or_else(|| wrong_body(event))?;
    if kept.created_seq != event.seq || !kept.state.is_terminal() {
        return Err(wrong_body(event));
    }
    conn.prepare_cached(
        "INSERT INTO proposals (proposal_id, created_seq, changed_seq, digest, content_digest, state, started, attempts, \
         tenant, principal, capability, source_id, table_name, object_id, short_code, mode, quorum, created_at, \
         not_after, erased_seq) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, '', '', ?9, ?10, ?11, '', ?12, ?13, ?14, ?15, ?16, ?17)",
    )?
    .execute(params![
        id.as_str(),
        to_sql(event.seq),
        to_sql(kept.changed_seq),
        kept.digest.as_bytes(),
        kept.content_digest.as_bytes(),
        kept.state.as_str(),
        kept.started,
        kept.attempts,
        kept.capability,
        kept.source_id,
        kept.table,
        kept.digest.short_code(),
        kept.mode.as_str(),
        kept.quorum,
        kept.created_at.as_unix_millis(),
        kept.not_after.as_unix_millis(),
        to_sql(*erased_seq),
    ])?;
    Ok(())
}

/// Returns whether the body at a position was erased, by the rows of this file.
pub(crate) fn is_erased(conn: &Connection, seq: u64) -> Result<bool, StoreError> {
    let last: Option<i64> = conn
        .prepare_cached("SELECT last FROM erased_ranges WHERE first <= ?1 ORDER BY first DESC LIMIT 1")?
        .query_row([to_sql(seq)], |row| row.get(0))
        .optional()?;
    Ok(last.is_some_and(|last| last >= to_sql(seq)))
}

/// Returns whether the proposal of an event is erased, so that its later events change no row of it.
pub(super) fn is_of_erased(conn: &Connection, event: &EventRecord) -> Result<bool, StoreError> {
    let Some(id) = &event.proposal_id else {
        return Ok(false);
    };
    Ok(conn
        .prepare_cached("SELECT 1 FROM proposals WHERE proposal_id = ?1 AND erased_seq IS NOT NULL")?
        .exists([id.as_str()])?)
}
