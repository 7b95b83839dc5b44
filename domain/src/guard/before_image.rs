//! Every column that was read is as it was, byte for byte, whatever the version column says.

use super::Conflict;
use crate::proposal::Proposal;
use crate::value::ColumnValue;

/// # Errors
/// `row_changed`.
pub fn check_before_image(proposal: &Proposal, row: &[ColumnValue]) -> Result<(), Conflict> {
    if row == proposal.before {
        Ok(())
    } else {
        Err(Conflict("row_changed"))
    }
}
