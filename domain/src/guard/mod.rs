//! Guards: one rule each, one file each, pure. Those here judge what is proposed before a proposal is made;
//! reader and writer both run them, each with its own contract.

mod bounds;
mod columns;
mod patch;
mod transition;

pub use bounds::check_bounds;
pub use columns::check_columns;
pub use patch::build_patch;
pub use transition::check_transitions;

use crate::contract::Capability;
use crate::refusal::Refusal;
use crate::value::ColumnValue;

/// Every rule about the proposed values and the row as it was read, in order.
///
/// # Errors
/// The first rule that refuses. A capability that only reads has no patch: `PATCH_REQUIRED`.
pub fn check_proposed(
    capability: &Capability,
    set: &[ColumnValue],
    before: &[ColumnValue],
) -> Result<(), Refusal> {
    let Some(spec) = capability.proposal() else {
        return Err(Refusal::new("PATCH_REQUIRED", "This capability only reads."));
    };
    check_columns(capability, set)?;
    check_bounds(spec, set)?;
    check_transitions(spec, set, before)
}
