//! Size limit of a row, the same for every engine.

use synapsor_domain::limits::ROW_BYTES_MAX;
use synapsor_domain::value::Value;

use crate::RowPlan;
use crate::error::{EngineError, EngineErrorKind};
use crate::error_cause::ErrorCause;

/// Names the column of a value that is too large; other errors stay as they are.
#[must_use]
pub fn too_large_in(error: EngineError, column: &str) -> EngineError {
    if error.kind == EngineErrorKind::TooLarge {
        error.because(ErrorCause::ColumnTooLarge(column.to_owned()))
    } else {
        error
    }
}

/// Checks the total size of the columns that a plan reads; `values` may have more after them.
///
/// # Errors
/// `TooLarge`, which names the largest column.
pub fn check_size(plan: &RowPlan, values: &[Value]) -> Result<(), EngineError> {
    let sizes = || {
        plan.columns
            .iter()
            .zip(values)
            .map(|(name, value)| (value.len_bytes(), name))
    };
    let bytes: usize = sizes().map(|(bytes, _)| bytes).sum();
    if bytes <= ROW_BYTES_MAX {
        return Ok(());
    }
    let error = EngineError::new(EngineErrorKind::TooLarge, "a row");
    Err(match sizes().max() {
        Some((_, column)) => too_large_in(error, column),
        None => error,
    })
}
