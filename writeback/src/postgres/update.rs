//! The UPDATE of one row on PostgreSQL.

use synapsor_domain::schema::TableSchema;
use synapsor_engine::postgres::dialect::{
    Statement, cast, column, equals, matching, now_for, qualified, quote,
};
use synapsor_source::{EngineError, EngineErrorKind, RowPlan};

use crate::transaction::RowChange;

/// Returns the statement that changes the row of a plan on one connection only, identified by its server
/// process.
pub(super) fn update_row(
    plan: &RowPlan,
    change: RowChange<'_>,
    shape: &TableSchema,
    process_id: i32,
) -> Result<Option<Statement>, EngineError> {
    let mut parameters = Vec::new();
    let mut assignments = Vec::new();
    for new in change.set {
        let cast = cast(column(shape, &new.column)?, &new.value, &mut parameters);
        assignments.push(format!("{} = {cast}", quote(&new.column)));
    }
    if let Some(name) = change.now {
        assignments.push(format!("{} = {}", quote(name), now_for(column(shape, name)?)?));
    }
    let Some(mut condition) = matching(plan, shape, &mut parameters)? else {
        return Ok(None);
    };
    if let Some(guard) = change.guard {
        if guard.value.is_null() {
            return Err(EngineError::new(
                EngineErrorKind::Other,
                "a guard must have a value",
            ));
        }
        let Some(equal) = equals(guard, column(shape, &guard.column)?, &mut parameters) else {
            return Ok(None);
        };
        condition = format!("{condition} AND {equal}");
    }
    let sql = format!(
        "UPDATE ONLY {} AS t SET {} WHERE {condition} \
         AND pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {process_id}",
        qualified(&plan.schema, &plan.table),
        assignments.join(", ")
    );
    Ok(Some(Statement { sql, parameters }))
}
