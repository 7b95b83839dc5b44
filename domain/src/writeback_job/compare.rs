//! Compares a job with the signed proposal that it names.

use super::{JobGuard, WritebackJob};
use crate::digest::Digest;
use crate::proposal::Proposal;

/// Returns the name of the first field of a job that differs from the proposal; `None` if none does. Values are compared
/// with their types. The lease and the name of the runner are no part of a proposal.
pub fn difference(job: &WritebackJob, proposal: &Proposal, digest: &Digest) -> Option<String> {
    let own = WritebackJob::of(proposal, digest, job.expires_at);
    let fields = [
        ("proposal_id", job.proposal_id == own.proposal_id),
        ("proposal_hash", job.proposal_hash == own.proposal_hash),
        ("writeback_job_id", job.job_id == own.job_id),
        ("source_id", job.source_id == own.source_id),
        ("engine", job.engine == own.engine),
        ("target.schema", job.schema == own.schema),
        ("target.table", job.table == own.table),
        ("target.primary_key", job.keys == own.keys),
        ("tenant_guard", job.tenant_guard == own.tenant_guard),
        (
            "allowed_columns",
            is_same_set(&job.allowed_columns, &own.allowed_columns),
        ),
    ];
    let named = fields.iter().find(|(_, is_same)| !is_same);
    if let Some((name, _)) = named {
        return Some((*name).to_owned());
    }
    let columns = own.patch.keys().chain(job.patch.keys());
    let changed = columns
        .into_iter()
        .find(|name| job.patch.get(*name) != own.patch.get(*name));
    if let Some(column) = changed {
        return Some(format!("patch.{column}"));
    }
    if !is_same_guard(&job.conflict_guard, &own.conflict_guard) {
        return Some("conflict_guard".to_owned());
    }
    (job.idempotency_key != own.idempotency_key).then(|| "idempotency_key".to_owned())
}

fn is_same_set(left: &[String], right: &[String]) -> bool {
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    sorted(left) == sorted(right)
}

/// A job without a guard is never the same: every proposal has one.
fn is_same_guard(job: &JobGuard, own: &JobGuard) -> bool {
    *job != JobGuard::None && job == own
}
