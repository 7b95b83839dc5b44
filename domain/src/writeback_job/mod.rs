//! Writeback jobs of 0.1.x: files that describe one approved update. A job grants nothing here. It is exported for tools
//! that read such files, and a job that is presented is only compared with the signed proposal.

mod compare;
mod export;
mod read;
mod schema;

use serde_json::{Map, Value as Json};

pub use compare::difference;
pub use export::{JobLease, job_view};
pub use read::{JobIssue, read_job};
pub use schema::writeback_job_schema;

use crate::timestamp::Timestamp;

/// `schema_version` of a job.
const SCHEMA_VERSION: &str = "synapsor.writeback-job.v1";
/// `protocol_version` of a job in the older shape.
const LEGACY_VERSION: &str = "1.0";
/// Placeholder for the tenant column of a single-tenant development target.
const NO_TENANT_COLUMN: &str = "__single_tenant_dev";
/// Its value.
const NO_TENANT: &str = "single_tenant_dev";

/// A job, in either shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WritebackJob {
    pub job_id: String,
    pub proposal_id: String,
    pub proposal_hash: String,
    pub source_id: String,
    pub engine: String,
    pub schema: String,
    pub table: String,
    /// Columns that together identify the row.
    pub keys: Vec<JobColumn>,
    pub tenant_guard: JobColumn,
    pub allowed_columns: Vec<String>,
    pub patch: Map<String, Json>,
    pub conflict_guard: JobGuard,
    pub idempotency_key: String,
    /// Time until which the job may be applied.
    pub expires_at: Timestamp,
}

/// Column of a job with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobColumn {
    pub column: String,
    pub value: Json,
}

/// Condition on the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobGuard {
    Column(JobColumn),
    RowHash(String),
    None,
}
