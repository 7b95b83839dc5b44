//! Lease rows: which writer may run a proposal now. Tokens are stored as hashes; the fence never decreases.

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_domain::ids::ProposalId;
use synapsor_domain::timestamp::Timestamp;

use super::error::StoreError;
use super::records;
use super::row::{from_sql, to_sql};

/// A stored lease.
#[derive(Debug, Clone)]
pub(crate) struct LeaseRow {
    pub(crate) writer: String,
    pub(crate) token_hash: [u8; 32],
    pub(crate) fence: u64,
    pub(crate) expires_at: Timestamp,
}

/// Returns the lease row of a proposal, expired or not.
pub(crate) fn find(conn: &Connection, id: &ProposalId) -> Result<Option<LeaseRow>, StoreError> {
    let found = conn
        .prepare_cached("SELECT writer, token_hash, fence, expires_at FROM leases WHERE proposal_id = ?1")?
        .query_row([id.as_str()], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, i64>(3)?,
            ))
        })
        .optional()?;
    found
        .map(|(writer, token_hash, fence, expires_at)| {
            let expires_at = Timestamp::from_unix_millis(expires_at);
            Ok(LeaseRow {
                writer,
                token_hash,
                fence: from_sql(fence)?,
                expires_at,
            })
        })
        .transpose()
}

/// Grants the lease to `writer` with a fence higher than any before, and returns the fence.
pub(crate) fn grant(
    conn: &Connection,
    id: &ProposalId,
    writer: &str,
    token_hash: &[u8; 32],
    expires_at: Timestamp,
) -> Result<u64, StoreError> {
    let known = find(conn, id)?.map_or(0, |lease| lease.fence);
    let fence = known.max(records::newest_fence(conn, id)?) + 1;
    conn.prepare_cached(
        "INSERT INTO leases (proposal_id, writer, token_hash, fence, expires_at) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (proposal_id) DO UPDATE SET writer = excluded.writer, token_hash = excluded.token_hash, \
         fence = excluded.fence, expires_at = excluded.expires_at",
    )?
    .execute(params![
        id.as_str(),
        writer,
        token_hash,
        to_sql(fence),
        expires_at.as_unix_millis()
    ])?;
    Ok(fence)
}

/// Sets the expiry of the lease to `expires_at`.
pub(crate) fn extend(conn: &Connection, id: &ProposalId, expires_at: Timestamp) -> Result<(), StoreError> {
    conn.prepare_cached("UPDATE leases SET expires_at = ?2 WHERE proposal_id = ?1")?
        .execute(params![id.as_str(), expires_at.as_unix_millis()])?;
    Ok(())
}

/// Limits the leases of this writer to `until`.
pub(crate) fn shorten(conn: &Connection, writer: &str, until: Timestamp) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE leases SET expires_at = ?2 WHERE writer = ?1 AND writer <> '' AND expires_at > ?2",
    )?
    .execute(params![writer, until.as_unix_millis()])?;
    Ok(())
}

/// Ends every lease of this writer.
pub(crate) fn release_all(conn: &Connection, writer: &str) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE leases SET writer = '', token_hash = zeroblob(32), expires_at = 0 WHERE writer = ?1 AND writer <> ''",
    )?
    .execute([writer])?;
    Ok(())
}

/// Ends the lease. The row stays because it holds the fence; no token hashes to zeros.
pub(crate) fn release(conn: &Connection, id: &ProposalId) -> Result<(), StoreError> {
    conn.prepare_cached(
        "UPDATE leases SET writer = '', token_hash = zeroblob(32), expires_at = 0 WHERE proposal_id = ?1",
    )?
    .execute([id.as_str()])?;
    Ok(())
}
