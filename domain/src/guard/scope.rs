//! Guard: the locked row has the named key and still belongs to the tenant.

use synapsor_codes::ErrorCode;

use super::Conflict;
use crate::proposal::Proposal;
use crate::value::{ColumnValue, find};

/// # Errors
/// `conflict:key_changed`, `conflict:tenant_changed`.
pub fn check_scope(proposal: &Proposal, row: &[ColumnValue]) -> Result<(), Conflict> {
    let target = &proposal.target;
    let has_moved = |key: &ColumnValue| find(row, &key.column) != Some(&key.value);
    if target.keys.iter().any(has_moved) {
        return Err(Conflict(ErrorCode::ConflictKeyChanged));
    }
    match &target.tenant {
        Some(tenant) if find(row, &tenant.column) != Some(&tenant.value) => {
            Err(Conflict(ErrorCode::ConflictTenantChanged))
        }
        Some(_) | None => Ok(()),
    }
}
