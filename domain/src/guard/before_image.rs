//! Guard: every column that was read is unchanged, byte for byte, independent of the version column.

use synapsor_codes::ErrorCode;

use super::Conflict;
use crate::proposal::Proposal;
use crate::value::ColumnValue;

/// # Errors
/// `conflict:row_changed`.
pub fn check_before_image(proposal: &Proposal, row: &[ColumnValue]) -> Result<(), Conflict> {
    if row == proposal.before {
        Ok(())
    } else {
        Err(Conflict(ErrorCode::ConflictRowChanged))
    }
}
