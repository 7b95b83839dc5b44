//! Signed evidence of scoped reads, and the audit record of every call.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::contract::OneOrMany;
use crate::digest::Digest;
use crate::ids::{AuditId, EvidenceId, ProposalId};
use crate::proposal::{Requester, RowTarget, SourceRef};
use crate::timestamp::Timestamp;
use crate::value::ColumnValue;

/// Row returned by one read. Signed by the reader (`ObjectKind::Evidence`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    pub capability: String,
    pub contract_digest: Digest,
    pub id: EvidenceId,
    pub ledger_origin: String,
    /// Digest over source, table, columns and tenant binding; the same for every row of one capability.
    pub query_fingerprint: Digest,
    pub read_at: Timestamp,
    pub requested_by: Requester,
    /// Every column that was read, in the order of the capability.
    pub row: Vec<ColumnValue>,
    pub source: SourceRef,
    pub target: RowTarget,
    pub v: u32,
}

/// Record of one call, whatever its result. Holds no argument values except the lookup key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    pub arguments_digest: Digest,
    pub at: Timestamp,
    /// Name as the caller sent it, cut to 128 characters; possibly not a capability.
    pub capability: String,
    pub client: String,
    pub columns: Vec<String>,
    pub evidence_id: Option<EvidenceId>,
    pub id: AuditId,
    /// The first key column that the call names.
    pub primary_key: Option<ColumnValue>,
    /// Every key column, if there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub primary_keys: Vec<ColumnValue>,
    pub principal: Option<String>,
    pub proposal_id: Option<ProposalId>,
    pub query_fingerprint: Option<Digest>,
    /// `row` when a row was returned, otherwise the internal code of the refusal.
    pub result: String,
    pub row_count: u32,
    pub source_id: Option<String>,
    pub table: Option<String>,
    pub tenant: Option<String>,
    pub tenant_bound: bool,
    pub v: u32,
}

#[derive(Serialize)]
struct Query<'a> {
    source: &'a str,
    schema: &'a str,
    table: &'a str,
    columns: &'a [&'a str],
    primary_key: OneOrMany<'a>,
    tenant_key: Option<&'a str>,
}

/// Computes the digest of a scoped read: source, table, columns and tenant binding, but no key and no tenant
/// value. The digest is the same for every row.
pub fn query_fingerprint(source_id: &str, target: &RowTarget, columns: &[&str]) -> Digest {
    let query = Query {
        source: source_id,
        schema: &target.schema,
        table: &target.table,
        columns,
        primary_key: OneOrMany::of(target.keys.iter().map(|key| key.column.as_str())),
        tenant_key: target.tenant.as_ref().map(|t| t.column.as_str()),
    };
    let bytes = canonical::encode_within(&query, usize::MAX).expect("names have a canonical form");
    Digest::of_typed("application/vnd.synapsor.query.v1+json", &bytes)
}
