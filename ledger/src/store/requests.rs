//! Stored answers to requests that carry an id, so that a repeated request changes nothing.

use rusqlite::{Connection, OptionalExtension as _, params};
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
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

/// What an earlier request with the same id led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoredResponse {
    /// A record without a proposal.
    Recorded,
    /// A signed object about this proposal.
    Named(ProposalId),
    /// A new proposal.
    Created(ProposalId),
    /// An identical proposal was open.
    AlreadyOpen(ProposalId),
}

impl StoredResponse {
    /// Returns the stored text.
    fn encode(&self) -> String {
        match self {
            Self::Recorded => String::new(),
            Self::Named(id) => id.to_string(),
            Self::Created(id) => format!("{id}{CREATED}"),
            Self::AlreadyOpen(id) => format!("{id}{ALREADY_OPEN}"),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Recorded);
        }
        if let Some(id) = text.strip_suffix(CREATED) {
            return id.parse().ok().map(Self::Created);
        }
        if let Some(id) = text.strip_suffix(ALREADY_OPEN) {
            return id.parse().ok().map(Self::AlreadyOpen);
        }
        text.parse().ok().map(Self::Named)
    }

    /// Returns the proposal that the response is about.
    ///
    /// # Errors
    /// `PROPOSAL_NOT_FOUND` for a record without one.
    pub(crate) fn proposal(&self) -> Result<&ProposalId, PublicError> {
        match self {
            Self::Named(id) | Self::Created(id) | Self::AlreadyOpen(id) => Ok(id),
            Self::Recorded => Err(super::proposals::not_found()),
        }
    }
}

/// Ends of stored responses after the id of the proposal.
const CREATED: &str = " created";
const ALREADY_OPEN: &str = " repeated";

/// Returns the earlier answer to this request. Refuses the same id with different content.
pub(crate) fn find_response(
    conn: &Connection,
    key: &RequestKey,
) -> Result<Option<StoredResponse>, StoreTxError> {
    let found: Option<([u8; 32], String)> = conn
        .prepare_cached("SELECT fingerprint, answer FROM requests WHERE caller = ?1 AND request_id = ?2")?
        .query_row([&key.caller, &key.id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        Some((fingerprint, answer)) if fingerprint == key.fingerprint => {
            let malformed = || StoreError::Tampered("the response to a request is malformed".to_owned());
            Ok(Some(StoredResponse::parse(&answer).ok_or_else(malformed)?))
        }
        Some(_) => Err(PublicError::new(
            ErrorCode::RequestIdReused,
            "request_id already used for another request; choose a new one",
        )
        .into()),
        None => Ok(None),
    }
}

/// Stores the response.
pub(crate) fn store_response(
    conn: &Connection,
    key: &RequestKey,
    response: &StoredResponse,
    now: Timestamp,
) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO requests (caller, request_id, fingerprint, answer, at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        key.caller,
        key.id,
        key.fingerprint,
        response.encode(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_responses_keep_their_text() {
        let id = ProposalId::from_random([7; 10]);
        for (response, text) in [
            (StoredResponse::Recorded, String::new()),
            (StoredResponse::Named(id.clone()), id.to_string()),
            (StoredResponse::Created(id.clone()), format!("{id} created")),
            (StoredResponse::AlreadyOpen(id.clone()), format!("{id} repeated")),
        ] {
            assert_eq!(response.encode(), text);
            assert_eq!(StoredResponse::parse(&text), Some(response));
        }
        for text in ["created".to_owned(), " created".to_owned(), format!("{id} other")] {
            assert_eq!(StoredResponse::parse(&text), None, "{text}");
        }
    }
}
