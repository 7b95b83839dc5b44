//! Derives the new values of the patched columns from checked arguments.

use synapsor_codes::ErrorCode;

use crate::contract::{PatchBinding, ProposalSpec};
use crate::error::PublicError;
use crate::tool::CheckedArguments;
use crate::value::{ColumnValue, Value};

/// Returns the new value of every patched column, in the order of the contract. An absent optional argument sets
/// its column to null.
///
/// # Errors
/// `PATCH_REQUIRED` if nothing would be changed.
pub fn build_patch(
    spec: &ProposalSpec,
    arguments: &CheckedArguments,
) -> Result<Vec<ColumnValue>, PublicError> {
    let value = |binding: &PatchBinding| match binding {
        PatchBinding::Fixed(scalar) => scalar.to_value(),
        PatchBinding::Arg(name) => arguments.get(name).cloned().unwrap_or_else(Value::null),
    };
    let set: Vec<_> = spec
        .patch
        .iter()
        .map(|(column, binding)| ColumnValue::new(column.clone(), value(binding)))
        .collect();
    if set.is_empty() {
        return Err(PublicError::new(
            ErrorCode::PatchRequired,
            "The capability changes no column.",
        ));
    }
    Ok(set)
}
