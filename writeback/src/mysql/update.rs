//! The UPDATE of one row on MySQL and MariaDB.

use synapsor_domain::value::ColumnValue;
use synapsor_engine::mysql::column::ColumnType;
use synapsor_engine::mysql::dialect::{Statement, assigned, equals, matching, qualified, quote, unwritable};
use synapsor_engine::mysql::inspect::Described;
use synapsor_engine::mysql::session::BindValue;
use synapsor_source::{EngineError, EngineErrorKind, RowPlan};

use crate::transaction::RowChange;

/// Returns the statement that changes the row of a plan, on this connection only.
pub(super) fn update_row(
    described: &Described,
    plan: &RowPlan,
    change: RowChange<'_>,
    connection: u64,
) -> Result<Statement, EngineError> {
    let mut assignments = Vec::new();
    let mut args = Vec::new();
    for new in change.set {
        let column = described.column_type(&new.column)?;
        let (expression, arg) = assigned(column, &new.value).ok_or_else(unwritable)?;
        assignments.push(format!("{} = {expression}", quote(&new.column)));
        args.push(arg);
    }
    if let Some(name) = change.now {
        let now = match described.column_type(name)? {
            ColumnType::DateTime(digits) | ColumnType::Timestamp(digits) => {
                format!("UTC_TIMESTAMP({digits})")
            }
            _ => return Err(unwritable()),
        };
        assignments.push(format!("{} = {now}", quote(name)));
    }
    let (mut condition, found) = matching(described, plan)?;
    args.extend(found);
    if let Some(guard) = change.guard {
        if guard.value.is_null() {
            return Err(EngineError::new(
                EngineErrorKind::Other,
                "a guard must have a value",
            ));
        }
        let (equal, found) = equals(described, guard)?;
        condition = format!("{condition} AND {equal}");
        args.extend(found);
    }
    args.push(BindValue::Uint(connection));
    let sql = format!(
        "UPDATE {} SET {} WHERE {condition} AND CONNECTION_ID() = ?",
        qualified(&plan.schema, &plan.table),
        assignments.join(", ")
    );
    Ok(Statement {
        sql,
        args,
        columns: Vec::new(),
    })
}

/// Returns the statement that counts the rows of a plan whose guard still matches.
pub(super) fn count_matching(
    described: &Described,
    plan: &RowPlan,
    guard: Option<&ColumnValue>,
) -> Result<Statement, EngineError> {
    let (mut condition, mut args) = matching(described, plan)?;
    if let Some(guard) = guard {
        let (equal, found) = equals(described, guard)?;
        condition = format!("{condition} AND {equal}");
        args.extend(found);
    }
    let table = qualified(&plan.schema, &plan.table);
    Ok(Statement {
        sql: format!("SELECT CAST(COUNT(*) AS CHAR) FROM {table} WHERE {condition} FOR UPDATE"),
        args,
        columns: Vec::new(),
    })
}
