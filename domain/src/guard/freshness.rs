//! Guard: the basis of an authorization is unchanged: no deadline has passed, the trust file is the same, and the
//! table has not been altered.

use crate::digest::Digest;
use crate::schema::TableSchema;
use crate::timestamp::Timestamp;
use crate::writeback::WriteAuthorization;

/// Whether the authorization is current; if not, the writer verifies everything again.
pub fn is_authorization_current(
    authorization: &WriteAuthorization,
    now: Timestamp,
    trust_digest: Digest,
    shape: &TableSchema,
) -> bool {
    let (standing, proposal) = (authorization.standing(), authorization.proposal());
    now < standing.valid_until
        && trust_digest == standing.trust_digest
        && proposal.fingerprint_of(shape) == proposal.schema_fingerprint
}
