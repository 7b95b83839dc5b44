//! Derives the new values of the patched columns from checked arguments.

use synapsor_codes::ErrorCode;

use crate::contract::{PatchBinding, ProposalSpec};
use crate::error::PublicError;
use crate::tool::CheckedArguments;
use crate::value::{ColumnValue, Value};

/// Returns the new values of the patched columns, in the order of the contract. An absent optional argument keeps its
/// column or sets it to null, as the contract says.
///
/// # Errors
/// `PATCH_REQUIRED` if the capability has no patch, `NOTHING_TO_CHANGE` if every column is kept.
pub fn build_patch(
    spec: &ProposalSpec,
    arguments: &CheckedArguments,
) -> Result<Vec<ColumnValue>, PublicError> {
    let value = |binding: &PatchBinding| match binding {
        PatchBinding::Fixed(scalar) => Some(scalar.to_value()),
        PatchBinding::Arg { name, .. } => match arguments.get(name) {
            Some(value) => Some(value.clone()),
            None if binding.keeps_when_absent() => None,
            None => Some(Value::null()),
        },
    };
    let set: Vec<_> = spec
        .patch
        .iter()
        .filter_map(|(column, binding)| Some(ColumnValue::new(column.clone(), value(binding)?)))
        .collect();
    if set.is_empty() {
        return Err(nothing_given(spec));
    }
    Ok(set)
}

fn nothing_given(spec: &ProposalSpec) -> PublicError {
    let mut names: Vec<&str> = Vec::new();
    for (_, binding) in &spec.patch {
        if let PatchBinding::Arg { name, .. } = binding
            && !names.contains(&name.as_str())
        {
            names.push(name);
        }
    }
    if names.is_empty() {
        return PublicError::new(ErrorCode::PatchRequired, "The capability changes no column.");
    }
    let message = format!(
        "Nothing to change: pass at least one of `{}`.",
        names.join("`, `")
    );
    let fix = "pass one of these arguments with another value than the row has";
    PublicError::new(ErrorCode::NothingToChange, message).with_operator_fix(fix)
}
