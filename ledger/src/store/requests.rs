//! Stored answers to requests that carry an id, so that a repeated request changes nothing.

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::timestamp::{Span, Timestamp};

use super::error::StoreError;
use super::writer::StoreTxError;

/// Retention of answers.
const KEPT: Span = Span::days(1);

/// Maximum number of rows that one pruning removes.
const PRUNED_MAX: u32 = 500;

/// Caller and its request id, with the digest of the request.
#[derive(Debug, Clone)]
pub(crate) struct RequestKey {
    pub(crate) caller: String,
    pub(crate) id: String,
    pub(crate) fingerprint: [u8; 32],
}

/// Returns the earlier answer to this request. Refuses the same id with different content.
pub(crate) fn find_response(conn: &Connection, key: &RequestKey) -> Result<Option<String>, StoreTxError> {
    let found: Option<([u8; 32], String)> = conn
        .prepare_cached("SELECT fingerprint, answer FROM requests WHERE caller = ?1 AND request_id = ?2")?
        .query_row([&key.caller, &key.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        Some((fingerprint, answer)) if fingerprint == key.fingerprint => Ok(Some(answer)),
        Some(_) => Err(PublicError::new(
            ErrorCode::RequestIdReused,
            "request_id already used for another request; choose a new one",
        )
        .into()),
        None => Ok(None),
    }
}

/// Stores the answer.
pub(crate) fn remember(
    conn: &Connection,
    key: &RequestKey,
    answer: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO requests (caller, request_id, fingerprint, answer, at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        key.caller,
        key.id,
        key.fingerprint,
        answer,
        now.as_unix_millis()
    ])?;
    Ok(())
}

/// Removes answers that are a day old, a bounded number at a time.
pub(crate) fn prune(conn: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let oldest = now.as_unix_millis() - KEPT.as_millis();
    conn.prepare_cached(
        "DELETE FROM requests WHERE (caller, request_id) IN \
         (SELECT caller, request_id FROM requests WHERE at < ?1 ORDER BY at LIMIT ?2)",
    )?
    .execute(params![oldest, PRUNED_MAX])?;
    Ok(())
}
