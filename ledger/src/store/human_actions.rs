//! Finds human actions.

use rusqlite::{Connection, OptionalExtension as _};
use synapsor_domain::digest::Digest;
use synapsor_domain::ids::ProposalId;

use super::error::StoreError;
use super::row::from_sql;

/// Returns the position of a human action.
pub(crate) fn find(conn: &Connection, digest: &Digest) -> Result<Option<u64>, StoreError> {
    conn.prepare_cached("SELECT seq FROM human_actions WHERE digest = ?1")?
        .query_row([digest.as_bytes()], |row| row.get::<_, i64>(0))
        .optional()?
        .map(from_sql)
        .transpose()
}

/// Returns the position of the newest human action in place of a proposal.
pub(crate) fn newest(conn: &Connection, id: &ProposalId) -> Result<Option<u64>, StoreError> {
    conn.prepare_cached("SELECT seq FROM human_actions WHERE proposal_id = ?1 ORDER BY seq DESC LIMIT 1")?
        .query_row([id.as_str()], |row| row.get::<_, i64>(0))
        .optional()?
        .map(from_sql)
        .transpose()
}
