//! Guard: if only the before-image detects concurrent changes, each of its columns must be compared exactly.

use synapsor_codes::ErrorCode;

use crate::error::PublicError;
use crate::proposal::RowGuard;
use crate::value::{ColumnValue, ValueKind};

/// # Errors
/// `WEAK_GUARD_INEXACT_COLUMN` names the first column that is a binary float or JSON.
pub fn check_exact_before(guard: &RowGuard, before: &[ColumnValue]) -> Result<(), PublicError> {
    if guard.version.is_some() {
        return Ok(());
    }
    let inexact = |c: &&ColumnValue| matches!(c.value.kind(), ValueKind::Float | ValueKind::Json);
    match before.iter().find(inexact) {
        None => Ok(()),
        Some(ColumnValue { column, value }) => {
            let kind = if value.kind() == ValueKind::Json {
                "JSON"
            } else {
                "a binary float"
            };
            let text = format!(
                "Without a version column every column is compared, and `{column}` is {kind}, which is not \
                 compared exactly; guard by a version column, or do not read `{column}`."
            );
            Err(PublicError::new(ErrorCode::WeakGuardInexactColumn, text))
        }
    }
}
