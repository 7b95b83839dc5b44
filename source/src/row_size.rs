//! Columns named in errors of a row, and the size limit of a row; the same for every engine.

use synapsor_domain::limits::ROW_BYTES_MAX;
use synapsor_domain::value::Value;

use crate::RowPlan;
use crate::error::{EngineError, EngineErrorKind};
use crate::error_cause::ErrorCause;

/// Names the column of a value that is too large or cannot be read; other errors stay as they are.
#[must_use]
pub fn error_in(error: EngineError, column: &str) -> EngineError {
    match error.kind {
        EngineErrorKind::TooLarge => error.because(ErrorCause::ColumnTooLarge(column.to_owned())),
        EngineErrorKind::Unreadable => error.because(ErrorCause::ValueUnreadable(column.to_owned())),
        _ => error,
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
        Some((_, column)) => error.because(ErrorCause::RowTooLarge(column.clone())),
        None => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_of_values_within_their_limit_is_too_large() {
        let plan = RowPlan {
            schema: "public".to_owned(),
            table: "invoices".to_owned(),
            keys: Vec::new(),
            tenant: None,
            columns: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
        };
        let values = |largest: usize| [60_000, largest, 60_000, 10].map(|n| Value::text("x".repeat(n)));
        assert!(check_size(&plan, &values(60_000)).is_ok());
        let plan_values = [60_000, 60_001, 60_000, 60_000].map(|n| Value::text("x".repeat(n)));
        let error = check_size(&plan, &plan_values).unwrap_err();
        assert_eq!(error.cause, ErrorCause::RowTooLarge("b".to_owned()));
    }
}
