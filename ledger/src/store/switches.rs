//! Finds freezes, lifts and their confirmations by writers.

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_domain::digest::Digest;
use synapsor_domain::timestamp::Timestamp;

use super::error::StoreError;
use super::row::{from_sql, to_sql};

/// Maximum number of lifts sent to writers besides the freezes in force, newest first.
const LIFTS_MAX: u32 = 16;
/// Maximum number of rejections of one source in a message.
const REJECTIONS_MAX: u32 = 64;
/// Maximum number of confirmations in a response, newest first.
const CONFIRMATIONS_MAX: u32 = 256;

/// Returns the position of the freeze or lift with this digest.
pub(crate) fn find(conn: &Connection, digest: &Digest) -> Result<Option<u64>, StoreError> {
    conn.prepare_cached("SELECT seq FROM switches WHERE digest = ?1")?
        .query_row([digest.as_bytes()], |row| row.get::<_, i64>(0))
        .optional()?
        .map(from_sql)
        .transpose()
}

/// Returns the positions of the freezes that no lift ended, and of the newest lifts, oldest first.
pub(crate) fn current(conn: &Connection) -> Result<Vec<u64>, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT seq FROM (SELECT seq FROM switches s WHERE is_lift = 0 AND NOT EXISTS \
           (SELECT 1 FROM switches l WHERE l.freeze = s.freeze AND l.is_lift = 1) \
         UNION SELECT seq FROM (SELECT seq FROM switches WHERE is_lift = 1 ORDER BY seq DESC LIMIT ?1)) ORDER BY seq",
    )?;
    let seqs = query.query_map([LIFTS_MAX], |row| row.get::<_, i64>(0))?;
    seqs.map(|seq| from_sql(seq?)).collect()
}

/// Returns the position of the newest freeze or lift.
pub(crate) fn newest(conn: &Connection) -> Result<Option<u64>, StoreError> {
    conn.prepare_cached("SELECT seq FROM switches ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| row.get::<_, i64>(0))
        .optional()?
        .map(from_sql)
        .transpose()
}

/// Returns the positions of the newest confirmations of a freeze or lift, one for each writer.
pub(crate) fn confirmations(conn: &Connection, switch: &Digest) -> Result<Vec<u64>, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT seq FROM switch_confirmations WHERE switch_digest = ?1 ORDER BY seq DESC LIMIT ?2",
    )?;
    let seqs = query.query_map(params![switch.as_bytes(), CONFIRMATIONS_MAX], |row| {
        row.get::<_, i64>(0)
    })?;
    seqs.map(|seq| from_sql(seq?)).collect()
}

/// Returns the latest deadline of recorded orders that can still be executed; `None` when there are none.
pub(crate) fn ordered_until(conn: &Connection, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let newest: Option<i64> = conn
        .prepare_cached(
            "SELECT max(o.expires_at) FROM apply_orders o INDEXED BY apply_orders_by_end \
             CROSS JOIN proposals p USING (proposal_id) \
             WHERE o.expires_at > ?1 AND p.state IN ('approved', 'pending_worker', 'in_doubt')",
        )?
        .query_row([now.as_unix_millis()], |row| row.get(0))?;
    Ok(newest.map(Timestamp::from_unix_millis))
}

/// A rejection recorded after an attempt has started on a proposal that has not ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RejectionRow {
    pub(crate) decision_seq: u64,
    pub(crate) proposal_seq: u64,
}

/// Returns rejections of started proposals of these sources after the event `after`, oldest first.
pub(crate) fn rejections(
    conn: &Connection,
    sources: &[String],
    after: u64,
) -> Result<Vec<RejectionRow>, StoreError> {
    let mut query = conn.prepare_cached(
        "SELECT d.seq, p.created_seq FROM proposals p INDEXED BY proposals_unfinished \
         JOIN decisions d USING (proposal_id) \
         WHERE p.source_id = ?1 AND p.started = 1 AND p.state IN ('approved', 'pending_worker', 'in_doubt') \
         AND d.verdict = 'deny' AND d.seq > ?2 ORDER BY d.seq LIMIT ?3",
    )?;
    let mut found = Vec::new();
    for source in sources {
        let rows = query.query_map(params![source, to_sql(after), REJECTIONS_MAX], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })?;
        for row in rows {
            let (decision, proposal) = row?;
            found.push(RejectionRow {
                decision_seq: from_sql(decision)?,
                proposal_seq: from_sql(proposal)?,
            });
        }
    }
    found.sort_unstable_by_key(|row| row.decision_seq);
    Ok(found)
}

/// Adds a freeze or lift.
pub(super) fn insert(
    conn: &Connection,
    seq: u64,
    digest: &Digest,
    (is_lift, freeze): (bool, &Digest),
    person: &str,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO switches (digest, seq, is_lift, freeze, person) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        digest.as_bytes(),
        to_sql(seq),
        is_lift,
        freeze.as_bytes(),
        person
    ])?;
    Ok(())
}

/// Stores the newest confirmation of a freeze or lift by a writer.
pub(super) fn confirm(conn: &Connection, seq: u64, switch: &Digest, writer: &str) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO switch_confirmations (switch_digest, writer, seq) VALUES (?1, ?2, ?3) \
         ON CONFLICT (switch_digest, writer) DO UPDATE SET seq = excluded.seq",
    )?
    .execute(params![switch.as_bytes(), writer, to_sql(seq)])?;
    Ok(())
}
