//! Job of a signed proposal.

use serde_json::{Map, Value as Json, json};

use super::{JobColumn, JobGuard, NO_TENANT, NO_TENANT_COLUMN, SCHEMA_VERSION, WritebackJob};
use crate::digest::Digest;
use crate::proposal::{GuardKind, Proposal, row_digest};
use crate::result_envelope::value_to_json;
use crate::timestamp::Timestamp;
use crate::value::ColumnValue;

/// What a job says about its use; no part of the proposal, and without effect here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLease {
    pub project_id: String,
    pub expires_at: Timestamp,
}

impl WritebackJob {
    /// Returns the job of a proposal; `digest` is the digest of its signed bytes.
    pub(super) fn of(proposal: &Proposal, digest: &Digest, expires_at: Timestamp) -> Self {
        let target = &proposal.target;
        let object = target.object_id().unwrap_or_default();
        Self {
            job_id: format!("wbj_{}", proposal.id),
            proposal_id: proposal.id.to_string(),
            proposal_hash: digest.to_string(),
            source_id: proposal.source.id.clone(),
            engine: proposal.source.engine.clone(),
            schema: target.schema.clone(),
            table: target.table.clone(),
            keys: target.keys.iter().map(column).collect(),
            tenant_guard: target.tenant.as_ref().map_or_else(
                || JobColumn {
                    column: NO_TENANT_COLUMN.to_owned(),
                    value: Json::from(NO_TENANT),
                },
                column,
            ),
            allowed_columns: proposal.set.iter().map(|c| c.column.clone()).collect(),
            patch: proposal
                .set
                .iter()
                .map(|c| (c.column.clone(), value_to_json(&c.value)))
                .collect(),
            conflict_guard: guard(proposal),
            idempotency_key: format!("{}:{object}", proposal.id),
            expires_at,
        }
    }
}

fn guard(proposal: &Proposal) -> JobGuard {
    match (proposal.guard.kind, &proposal.guard.version) {
        (GuardKind::VersionColumn, Some(version)) => JobGuard::Column(column(version)),
        (GuardKind::VersionColumn, None) | (GuardKind::Weak, _) => {
            JobGuard::RowHash(row_digest(proposal).to_string())
        }
    }
}

fn column(column: &ColumnValue) -> JobColumn {
    JobColumn {
        column: column.column.clone(),
        value: value_to_json(&column.value),
    }
}

/// Returns the job of a proposal as JSON.
pub fn job_view(proposal: &Proposal, digest: &Digest, lease: &JobLease) -> Json {
    let job = WritebackJob::of(proposal, digest, lease.expires_at);
    let pair = |column: &JobColumn| json!({"column": column.column, "value": column.value});
    let mut target = Map::new();
    target.insert("schema".to_owned(), json!(job.schema));
    target.insert("table".to_owned(), json!(job.table));
    target.insert(
        "primary_key".to_owned(),
        job.keys.first().map_or(Json::Null, pair),
    );
    if job.keys.len() > 1 {
        target.insert("primary_keys".to_owned(), job.keys.iter().map(pair).collect());
    }
    let guard = match &job.conflict_guard {
        JobGuard::Column(version) => {
            json!({"kind": "column", "column": version.column, "expected_value": version.value})
        }
        JobGuard::RowHash(hash) => json!({"kind": "row_hash", "expected_hash": hash}),
        JobGuard::None => json!({"kind": "none"}),
    };
    json!({
        "schema_version": SCHEMA_VERSION,
        "writeback_job_id": job.job_id,
        "proposal_id": job.proposal_id,
        "proposal_version": 1,
        "proposal_hash": job.proposal_hash,
        "runner_scope": {"project_id": lease.project_id, "source_id": job.source_id},
        "engine": job.engine,
        "operation": "single_row_update",
        "target": target,
        "tenant_guard": pair(&job.tenant_guard),
        "allowed_columns": job.allowed_columns,
        "patch": job.patch,
        "conflict_guard": guard,
        "idempotency_key": job.idempotency_key,
        "lease": {
            "lease_id": format!("lease_{}", job.proposal_id),
            "attempt": 1,
            "expires_at": lease.expires_at,
        },
    })
}
