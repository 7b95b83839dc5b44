//! Addresses the row of a proposal in the core's statements.

use synapsor_domain::proposal::Proposal;
use synapsor_source::RowPlan;

/// Addresses the row by its key alone: the tenant is compared, not filtered.
pub(crate) fn by_key(proposal: &Proposal) -> RowPlan {
    RowPlan {
        tenant: None,
        ..by_key_and_tenant(proposal)
    }
}

/// Addresses the row within its tenant.
pub(crate) fn by_key_and_tenant(proposal: &Proposal) -> RowPlan {
    let target = &proposal.target;
    RowPlan {
        schema: target.schema.clone(),
        table: target.table.clone(),
        keys: target.keys.clone(),
        tenant: target.tenant.clone(),
        columns: proposal.before.iter().map(|c| c.column.clone()).collect(),
    }
}
