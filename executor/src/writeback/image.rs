//! Comparing rows in Rust, byte-exact: what was proposed on, what is there, and what came of it.

use synapsor_domain::proposal::Proposal;
use synapsor_domain::value::{ColumnValue, find};
use synapsor_domain::writeback::Rehearsal;

use crate::engine::RowPlan;

/// The row of a proposal by its key alone: whether it is still the tenant's is compared, not filtered.
pub(super) fn by_key(proposal: &Proposal) -> RowPlan {
    RowPlan {
        tenant: None,
        ..scoped(proposal)
    }
}

/// The row of a proposal within its tenant.
pub(super) fn scoped(proposal: &Proposal) -> RowPlan {
    let target = &proposal.target;
    RowPlan {
        schema: target.schema.clone(),
        table: target.table.clone(),
        primary_key: target.primary_key.clone(),
        tenant: target.tenant.clone(),
        columns: proposal.before.iter().map(|c| c.column.clone()).collect(),
    }
}

/// Why the locked row is not the one that was reviewed; `None` when it is.
pub(super) fn conflict(proposal: &Proposal, row: &[ColumnValue]) -> Option<&'static str> {
    let target = &proposal.target;
    if find(row, &target.primary_key.column) != Some(&target.primary_key.value) {
        return Some("key_changed");
    }
    if let Some(tenant) = &target.tenant
        && find(row, &tenant.column) != Some(&tenant.value)
    {
        return Some("tenant_changed");
    }
    if let Some(version) = &proposal.guard.version
        && find(row, &version.column) != Some(&version.value)
    {
        return Some("version_changed");
    }
    if row != proposal.before {
        Some("row_changed")
    } else {
        None
    }
}

/// The first column that is not as the change should have left it: set columns as requested, all others as
/// before, save those that the database manages itself.
pub(super) fn surprise<'a>(rehearsal: &Rehearsal, row: &'a [ColumnValue]) -> Option<&'a str> {
    let proposal = rehearsal.proposal();
    row.iter()
        .find(|now| !is_expected(rehearsal, proposal, now))
        .map(|c| c.column.as_str())
}

fn is_expected(rehearsal: &Rehearsal, proposal: &Proposal, now: &ColumnValue) -> bool {
    if let Some(wanted) = find(&proposal.set, &now.column) {
        return now.value == *wanted;
    }
    rehearsal.is_db_managed(&now.column) || find(&proposal.before, &now.column) == Some(&now.value)
}
