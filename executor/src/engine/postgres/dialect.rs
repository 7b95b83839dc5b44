//! How PostgreSQL spells names and statements: the one function that quotes, and the statements for one row.
//! Values are bound as text and cast by the server to the column's own type.

use synapsor_domain::schema::{Column, TableShape};
use synapsor_domain::value::{ColumnValue, Value};

use super::types::{Family, cast_name};
use crate::engine::error::{EngineError, EngineErrorKind};
use crate::engine::{RowChange, RowPlan};

/// A name as an identifier.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"schema"."table"`.
pub(super) fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", quote(schema), quote(table))
}

/// A statement with its parameters; the values stay apart until the driver binds them.
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) parameters: Vec<Option<String>>,
}

/// The statement that finds the row of a plan, at most twice, or nothing to ask if no row can have these keys.
/// Columns of the plan come first, then key and tenant, all as text.
pub(super) fn select_row(
    plan: &RowPlan,
    shape: &TableShape,
    is_locking: bool,
) -> Result<Option<Statement>, EngineError> {
    let names = plan
        .columns
        .iter()
        .chain(key_columns(plan).map(|key| &key.column));
    let columns: Vec<String> = names
        .map(|name| Ok(Family::of(column(shape, name)?).text_of(&own(name))))
        .collect::<Result<_, EngineError>>()?;
    let mut parameters = Vec::new();
    let Some(condition) = matching(plan, shape, &mut parameters)? else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT {} FROM {} AS t WHERE {condition} LIMIT 2{}",
        columns.join(", "),
        qualified(&plan.schema, &plan.table),
        if is_locking { " FOR UPDATE OF t" } else { "" }
    );
    Ok(Some(Statement { sql, parameters }))
}

/// The statement that changes the row of a plan on one connection only, known by the process that serves it.
pub(super) fn update_row(
    plan: &RowPlan,
    change: RowChange<'_>,
    shape: &TableShape,
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
        "UPDATE {} AS t SET {} WHERE {condition} AND pg_backend_pid() = {process_id}",
        qualified(&plan.schema, &plan.table),
        assignments.join(", ")
    );
    Ok(Some(Statement { sql, parameters }))
}

/// Key and tenant of a plan.
pub(super) fn key_columns(plan: &RowPlan) -> impl Iterator<Item = &ColumnValue> {
    std::iter::once(&plan.primary_key).chain(&plan.tenant)
}

/// A column of the shape.
pub(super) fn column<'a>(shape: &'a TableShape, name: &str) -> Result<&'a Column, EngineError> {
    shape
        .column(name)
        .ok_or_else(|| EngineError::new(EngineErrorKind::NotFound, "no such column"))
}

fn matching(
    plan: &RowPlan,
    shape: &TableShape,
    parameters: &mut Vec<Option<String>>,
) -> Result<Option<String>, EngineError> {
    let mut terms = Vec::new();
    for key in key_columns(plan) {
        match equals(key, column(shape, &key.column)?, parameters) {
            Some(term) => terms.push(term),
            None => return Ok(None),
        }
    }
    Ok(Some(terms.join(" AND ")))
}

/// Equal in the type's own comparison, which an index serves, and equal byte for byte in the server's own text.
/// `None` if no row can hold the value.
fn equals(wanted: &ColumnValue, column: &Column, parameters: &mut Vec<Option<String>>) -> Option<String> {
    let family = Family::of(column);
    if !family.can_hold(column, &wanted.value) {
        return None;
    }
    let (own, cast) = (own(&wanted.column), cast(column, &wanted.value, parameters));
    let exact = format!(
        "({}) COLLATE \"C\" = ({}) COLLATE \"C\"",
        family.text_of(&own),
        family.text_of(&cast)
    );
    Some(if family.has_equality() {
        format!("{own} = {cast} AND {exact}")
    } else {
        exact
    })
}

/// The next parameter, which holds the value, as the column's type.
fn cast(column: &Column, value: &Value, parameters: &mut Vec<Option<String>>) -> String {
    parameters.push(value.as_text().map(ToOwned::to_owned));
    let parameter = format!("${}::text", parameters.len());
    match Family::of(column) {
        Family::Bytes => format!("decode({parameter}, 'hex')"),
        _ => format!("{parameter}::{}", cast_name(column)),
    }
}

fn own(column: &str) -> String {
    format!("t.{}", quote(column))
}

fn now_for(column: &Column) -> Result<&'static str, EngineError> {
    match Family::of(column) {
        Family::Timestamptz(_) => Ok("clock_timestamp()"),
        Family::Timestamp(_) => Ok("(clock_timestamp() AT TIME ZONE 'UTC')"),
        _ => Err(EngineError::new(
            EngineErrorKind::Other,
            "only a timestamp can be set to the present",
        )),
    }
}
