//! Guard: bounded columns get exact numbers within their inclusive bounds, fixed values included.

use synapsor_codes::ErrorCode;

use crate::contract::{NumericBound, ProposalSpec};
use crate::decimal::Decimal;
use crate::error::PublicError;
use crate::value::{ColumnValue, Value, ValueKind, find};

/// # Errors
/// `PATCH_NUMERIC_BOUND_TYPE_INVALID`, `PATCH_BELOW_MINIMUM`, `PATCH_ABOVE_MAXIMUM`; each names column and bound.
pub fn check_bounds(spec: &ProposalSpec, set: &[ColumnValue]) -> Result<(), PublicError> {
    spec.bounds
        .iter()
        .try_for_each(|bound| find(set, &bound.column).map_or(Ok(()), |value| within(bound, value)))
}

fn within(bound: &NumericBound, value: &Value) -> Result<(), PublicError> {
    let column = &bound.column;
    let Some(number) = exact_number(value) else {
        let message = format!("Column `{column}` takes only numbers{}.", range(bound));
        return Err(PublicError::new(ErrorCode::PatchNumericBoundTypeInvalid, message));
    };
    if bound.minimum.as_ref().is_some_and(|minimum| number < *minimum) {
        let message = format!(
            "The new value of `{column}` is too small: it takes numbers{}.",
            range(bound)
        );
        return Err(PublicError::new(ErrorCode::PatchBelowMinimum, message));
    }
    if bound.maximum.as_ref().is_some_and(|maximum| number > *maximum) {
        let message = format!(
            "The new value of `{column}` is too large: it takes numbers{}.",
            range(bound)
        );
        return Err(PublicError::new(ErrorCode::PatchAboveMaximum, message));
    }
    Ok(())
}

fn range(bound: &NumericBound) -> String {
    let minimum = bound
        .minimum
        .as_ref()
        .map(|minimum| format!(" from {minimum}"))
        .unwrap_or_default();
    let maximum = bound
        .maximum
        .as_ref()
        .map(|maximum| format!(" up to {maximum}"))
        .unwrap_or_default();
    minimum + &maximum
}

/// Binary floats have no exact bound and are not numbers here.
fn exact_number(value: &Value) -> Option<Decimal> {
    match value.kind() {
        ValueKind::Int | ValueKind::Dec => Decimal::parse(value.as_text()?).ok(),
        ValueKind::Null
        | ValueKind::Bool
        | ValueKind::Float
        | ValueKind::Text
        | ValueKind::Bytes
        | ValueKind::Ts
        | ValueKind::Tstz
        | ValueKind::Date
        | ValueKind::Time
        | ValueKind::Uuid
        | ValueKind::Json => None,
    }
}
