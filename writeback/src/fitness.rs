//! Checks with the planner's own rule whether proposals about a table are possible. The doctor reports this
//! for a table for which every proposal is refused as `PLAN_IMPOSSIBLE`.

use synapsor_codes::ErrorCode;
use synapsor_domain::change::{unplannable, unwritable_trait};
use synapsor_domain::schema::{TableColumn, TableSchema};
use synapsor_domain::writeback::FindingSeverity;
use synapsor_source::{Finding, PreflightTarget};

/// Returns the finding about a table for which no change can be planned. Missing columns have their own
/// findings.
pub(crate) fn misfit(
    target: &PreflightTarget,
    shape: &TableSchema,
    is_writable: impl Fn(&TableColumn) -> bool,
) -> Option<Finding> {
    let keys: Vec<&str> = target.keys.iter().map(String::as_str).collect();
    if keys.iter().any(|key| shape.column(key).is_none()) {
        return None;
    }
    let unfit = keys
        .iter()
        .copied()
        .chain(target.tenant.as_deref())
        .filter_map(|name| shape.column(name))
        .find(|column| !is_writable(column));
    if let Some(column) = unfit {
        return Some(Finding::unfit_key(shape, column));
    }
    let exist = |name: &&str| shape.column(name).is_some();
    let written = target.writes.iter().map(String::as_str).filter(exist);
    let Some(text) = unplannable(shape, &keys, written.clone()) else {
        let mut columns = written.filter_map(|name| shape.column(name));
        return columns
            .find(|column| !is_writable(column))
            .map(|column| unwritable(shape, column));
    };
    let text = text.trim_end_matches('.');
    let (code, fix) = if unwritable_trait(shape).is_some() {
        (
            ErrorCode::TableUnfit,
            "name an ordinary table in the contract, or have the owner convert this one to an ordinary table",
        )
    } else if shape.are_unique_together(&keys) {
        (
            ErrorCode::TableUnfit,
            "remove the column from the contract's capabilities",
        )
    } else {
        (
            ErrorCode::IndexMissing,
            "have the owner create a unique index over the key columns alone, without a condition",
        )
    };
    Some(Finding {
        severity: FindingSeverity::Error,
        code,
        text: format!("every proposal about `{}` is refused: {text}", target.table),
        fix: Some(fix.to_owned()),
    })
}

fn unwritable(shape: &TableSchema, column: &TableColumn) -> Finding {
    Finding {
        severity: FindingSeverity::Error,
        code: ErrorCode::ColumnNotWritable,
        text: format!(
            "every proposal that sets `{}` of `{}` is refused: no value can be written unchanged to `{}`",
            column.name, shape.table, column.declared_type
        ),
        fix: Some("remove the column from the contract's patches".to_owned()),
    }
}
