//! What a scoped read saw, attested by the reader's signature, and the audit record of every call.

use serde::{Deserialize, Serialize};

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
