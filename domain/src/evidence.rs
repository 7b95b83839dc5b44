//! What a scoped read saw, attested by the reader's signature, and the audit record of every call.

use serde::{Deserialize, Serialize};

use crate::canonical;
use crate::digest::Digest;
use crate::ids::{AuditId, EvidenceId, ProposalId};
use crate::proposal::{Requester, SourceRef, Target};
use crate::timestamp::Timestamp;
use crate::value::ColumnValue;

/// One row as one read saw it. Signed by the reader (`Kind::Evidence`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    pub v: u32,
    pub id: EvidenceId,
    pub ledger_origin: String,
    pub source: SourceRef,
    pub capability: String,
    pub contract_digest: Digest,
    pub requested_by: Requester,
    pub target: Target,
    /// Every column that was read, in the order of the capability.
    pub row: Vec<ColumnValue>,
    /// Digest over source, table, columns and tenant binding; the same for every row of one capability.
    pub query_fingerprint: Digest,
    pub read_at: Timestamp,
}

/// The trace of one call, whatever became of it. Holds no argument values except the key that was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    pub v: u32,
    pub id: AuditId,
    /// As the caller named it, cut to 128 characters; perhaps no capability at all.
    pub capability: String,
    pub tenant: Option<String>,
    pub principal: Option<String>,
    pub client: String,
    pub source_id: Option<String>,
    pub table: Option<String>,
    pub columns: Vec<String>,
    pub tenant_bound: bool,
    pub row_count: u32,
    /// `row` when a row was returned, else the internal code of the refusal.
    pub result: String,
    pub query_fingerprint: Option<Digest>,
    pub primary_key: Option<ColumnValue>,
    pub arguments_digest: Digest,
    pub evidence_id: Option<EvidenceId>,
    pub proposal_id: Option<ProposalId>,
    pub at: Timestamp,
}

#[derive(Serialize)]
struct Query<'a> {
    source: &'a str,
    schema: &'a str,
    table: &'a str,
    columns: &'a [&'a str],
    primary_key: &'a str,
    tenant_key: Option<&'a str>,
}

/// The digest of a scoped read: source, table, columns and tenant binding, but no key and no tenant; the same
/// for every row.
pub fn query_fingerprint(source_id: &str, target: &Target, columns: &[&str]) -> Digest {
    let query = Query {
        source: source_id,
        schema: &target.schema,
        table: &target.table,
        columns,
        primary_key: &target.primary_key.column,
        tenant_key: target.tenant.as_ref().map(|t| t.column.as_str()),
    };
    let bytes = canonical::encode_within(&query, usize::MAX).expect("names have a canonical form");
    Digest::of_typed("application/vnd.synapsor.query.v1+json", &bytes)
}
