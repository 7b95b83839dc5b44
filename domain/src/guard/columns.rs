//! Guard: exactly the columns of the contract's patch are changed, all of them allowed, none of them a key. A column that
//! an absent argument keeps is not changed.

use synapsor_codes::ErrorCode;

use crate::contract::{Capability, PatchBinding};
use crate::error::PublicError;
use crate::value::ColumnValue;

/// # Errors
/// `PATCH_COLUMN_NOT_ALLOWED` names the column; `PATCH_REQUIRED` if there is no patch.
pub fn check_columns(capability: &Capability, set: &[ColumnValue]) -> Result<(), PublicError> {
    let Some(spec) = capability.proposal().filter(|_| !set.is_empty()) else {
        return Err(PublicError::new(
            ErrorCode::PatchRequired,
            "Nothing would be changed.",
        ));
    };
    let target = &capability.target;
    for (index, ColumnValue { column, .. }) in set.iter().enumerate() {
        let is_key =
            target.key_columns().any(|key| key == column) || Some(column) == target.tenant_key.as_ref();
        let is_twice = set[..index].iter().any(|earlier| earlier.column == *column);
        let is_patched = spec.patch.iter().any(|(patched, _)| patched == column);
        let is_allowed = spec.allowed_columns.contains(column) && !spec.db_managed.contains(column);
        if is_key || is_twice || !is_patched || !is_allowed {
            let message = format!("Column `{column}` may not be changed by this capability.");
            return Err(PublicError::new(ErrorCode::PatchColumnNotAllowed, message));
        }
    }
    let is_missing = |column: &String, binding: &PatchBinding| {
        !binding.keeps_when_absent() && !set.iter().any(|c| c.column == *column)
    };
    if let Some((missing, _)) = spec
        .patch
        .iter()
        .find(|(column, binding)| is_missing(column, binding))
    {
        let message = format!("Column `{missing}` is part of the reviewed change and may not be left out.");
        return Err(PublicError::new(ErrorCode::PatchColumnNotAllowed, message));
    }
    Ok(())
}
