//! The row of a proposal as the statements of the core address it.

use synapsor_domain::proposal::Proposal;
use synapsor_source::RowPlan;

/// The row of a proposal by its key alone: whether it still belongs to the tenant is compared, not filtered.
pub(crate) fn by_key(proposal: &Proposal) -> RowPlan {
    RowPlan {
        tenant: None,
        ..by_key_and_tenant(proposal)
    }
}

/// The row of a proposal within its tenant.
pub(crate) fn by_key_and_tenant(proposal: &Proposal) -> RowPlan {
    let target = &proposal.target;
    RowPlan {
        schema: target.schema.clone(),
        table: target.table.clone(),
        primary_key: target.primary_key.clone(),
        tenant: target.tenant.clone(),
        columns: proposal.before.iter().map(|c| c.column.clone()).collect(),
    }
}
