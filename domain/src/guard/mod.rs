//! Guards: pure rules, one per file. Some check the proposed values before a proposal is created; reader and
//! writer both run them, each with its own contract. Others check the row under its lock; only the writer runs
//! them, and it compares in Rust, so that no collation or cast affects the result.

mod advanced;
mod before_image;
mod bounds;
mod columns;
mod exact_before;
mod freshness;
mod patch;
mod post_image;
mod scope;
mod single_row;
mod strength;
mod transition;
mod version;

use synapsor_codes::ErrorCode;

pub use advanced::{NotAdvanced, check_advanced};
pub use before_image::check_before_image;
pub use bounds::check_bounds;
pub use columns::check_columns;
pub use exact_before::check_exact_before;
pub use freshness::is_authorization_current;
pub use patch::build_patch;
pub use post_image::{first_unexpected_column, reads_back};
pub use scope::check_scope;
pub use single_row::{RowCount, single_row};
pub use strength::guard_strength;
pub use transition::check_transitions;
pub use version::check_version;

pub(crate) use advanced::incremented;
pub(crate) use post_image::{JSON_DEPTH_MAX, is_readable_json};
pub(crate) use strength::text_fraction;

use crate::contract::Capability;
use crate::error::PublicError;
use crate::proposal::Proposal;
use crate::value::ColumnValue;

/// Runs every rule about the proposed values and the row as it was read, in order.
///
/// # Errors
/// The first rule that fails. A read capability has no patch: `PATCH_REQUIRED`.
pub fn check_proposed(
    capability: &Capability,
    set: &[ColumnValue],
    before: &[ColumnValue],
) -> Result<(), PublicError> {
    let Some(spec) = capability.proposal() else {
        return Err(PublicError::new(
            ErrorCode::PatchRequired,
            "This capability only reads.",
        ));
    };
    check_columns(capability, set)?;
    check_bounds(spec, set)?;
    check_transitions(spec, set, before)
}

/// Code of the rule by which a locked row differs from the reviewed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conflict(pub ErrorCode);

/// Runs every rule about the row under its lock, in order.
///
/// # Errors
/// The first rule by which the row differs from the reviewed one.
pub fn check_locked(proposal: &Proposal, row: &[ColumnValue]) -> Result<(), Conflict> {
    check_scope(proposal, row)?;
    check_version(proposal, row)?;
    check_before_image(proposal, row)
}
