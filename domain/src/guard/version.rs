//! Guard: the version column holds the reviewed value. A weak guard has no such column and uses the before-image.

use synapsor_codes::ErrorCode;

use super::Conflict;
use crate::proposal::Proposal;
use crate::value::{ColumnValue, find};

/// # Errors
/// `conflict:version_changed`.
pub fn check_version(proposal: &Proposal, row: &[ColumnValue]) -> Result<(), Conflict> {
    match &proposal.guard.version {
        Some(version) if find(row, &version.column) != Some(&version.value) => {
            Err(Conflict(ErrorCode::ConflictVersionChanged))
        }
        Some(_) | None => Ok(()),
    }
}
