//! The UPDATE of one row on SQLite.

use synapsor_domain::value::ColumnValue;
use synapsor_engine::sqlite::dialect::{NOW, equals, matching, qualified, quote};
use synapsor_source::RowPlan;

/// Returns the statement that changes the row of a plan. Parameters: the new values, [`key_parameters`], the
/// guard. The conflict clause prevents a clause of the table from replacing other rows.
pub(super) fn update_row(
    plan: &RowPlan,
    set: &[ColumnValue],
    guard: Option<&ColumnValue>,
    now: Option<&str>,
) -> String {
    let mut assignments: Vec<String> = set
        .iter()
        .enumerate()
        .map(|(i, new)| format!("{} = ?{}", quote(&new.column), i + 1))
        .collect();
    assignments.extend(now.map(|column| format!("{} = {NOW}", quote(column))));
    let mut condition = matching(plan, set.len());
    if let Some(guard) = guard {
        let at = set.len() + plan.conditions().count() + 1;
        condition = format!("{condition} AND {}", equals(&guard.column, &guard.value, at));
    }
    format!(
        "UPDATE OR ROLLBACK {} SET {} WHERE {condition}",
        qualified(&plan.table),
        assignments.join(", ")
    )
}
