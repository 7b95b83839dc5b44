//! From a proposal to the row that its statements are about.

use synapsor_domain::proposal::Proposal;

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
