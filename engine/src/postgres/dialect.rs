//! PostgreSQL syntax: the one function that quotes names, and the statements for one row. Values are bound as
//! text and cast by the server to the column's own type.

use synapsor_domain::schema::{TableColumn, TableSchema};
use synapsor_domain::value::{ColumnValue, Value};

use super::types::{Family, cast_name};
use synapsor_source::RowPlan;
use synapsor_source::error::{EngineError, EngineErrorKind};

/// Quotes a name as an identifier.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns `"schema"."table"`.
pub fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", quote(schema), quote(table))
}

/// A statement with its parameters; the values stay separate until the driver binds them.
pub struct Statement {
    pub sql: String,
    pub parameters: Vec<Option<String>>,
}

/// Returns the statement that finds the row of a plan, at most twice, or `None` if no row can have these
/// keys. Columns of the plan come first, then key and tenant, all as text.
pub fn select_row(
    plan: &RowPlan,
    shape: &TableSchema,
    scope: TableExtent,
) -> Result<Option<Statement>, EngineError> {
    select_columns(plan, shape, &row_texts(plan, shape)?, scope)
}

/// Returns the columns of a plan, then key and tenant, of the row `t` as text.
pub fn row_texts(plan: &RowPlan, shape: &TableSchema) -> Result<String, EngineError> {
    let names = plan
        .columns
        .iter()
        .chain(plan.conditions().map(|key| &key.column));
    let columns: Vec<String> = names
        .map(|name| Ok(Family::of(column(shape, name)?).text_of(&own(name))))
        .collect::<Result<_, EngineError>>()?;
    Ok(columns.join(", "))
}

/// Like [`select_row`], with these expressions of the row `t`.
pub fn select_columns(
    plan: &RowPlan,
    shape: &TableSchema,
    columns: &str,
    scope: TableExtent,
) -> Result<Option<Statement>, EngineError> {
    let mut parameters = Vec::new();
    let sql = select_columns_with(plan, shape, (columns, scope), &mut parameters)?;
    Ok(sql.map(|sql| Statement { sql, parameters }))
}

/// Like [`select_columns`], for a part of a statement: appends its parameters.
pub fn select_columns_with(
    plan: &RowPlan,
    shape: &TableSchema,
    (columns, scope): (&str, TableExtent),
    parameters: &mut Vec<Option<String>>,
) -> Result<Option<String>, EngineError> {
    let Some(condition) = matching(plan, shape, parameters)? else {
        return Ok(None);
    };
    let only = match scope {
        TableExtent::Whole => "",
        TableExtent::Only => "ONLY ",
    };
    Ok(Some(format!(
        "SELECT {columns} FROM {only}{} AS t WHERE {condition} LIMIT 2",
        qualified(&plan.schema, &plan.table),
    )))
}

/// Rows that a statement covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableExtent {
    /// A view, or a table with its partitions and children: the rows that readers read.
    Whole,
    /// The table only: the rows that a writing transaction locks, updates and reads again.
    Only,
}

/// Returns a column of the shape.
pub fn column<'a>(shape: &'a TableSchema, name: &str) -> Result<&'a TableColumn, EngineError> {
    shape
        .column(name)
        .ok_or_else(|| EngineError::new(EngineErrorKind::NotFound, "no such column"))
}

pub fn matching(
    plan: &RowPlan,
    shape: &TableSchema,
    parameters: &mut Vec<Option<String>>,
) -> Result<Option<String>, EngineError> {
    let mut terms = Vec::new();
    for key in plan.conditions() {
        match equals(key, column(shape, &key.column)?, parameters) {
            Some(term) => terms.push(term),
            None => return Ok(None),
        }
    }
    Ok(Some(terms.join(" AND ")))
}

/// Returns the condition: equal in the type's own comparison, which an index serves, and byte-equal in the
/// server's text form. `None` if no row can hold the value.
pub fn equals(
    wanted: &ColumnValue,
    column: &TableColumn,
    parameters: &mut Vec<Option<String>>,
) -> Option<String> {
    let family = Family::of(column);
    if !family.can_hold(column, &wanted.value) {
        return None;
    }
    let cast = cast(column, &wanted.value, parameters);
    Some(equality(&wanted.column, column, &cast))
}

/// Returns the condition that a column equals an expression of its type.
fn equality(name: &str, column: &TableColumn, cast: &str) -> String {
    let (family, own) = (Family::of(column), own(name));
    let exact = format!(
        "({}) COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.=) ({}) COLLATE pg_catalog.\"C\"",
        family.text_of(&own),
        family.text_of(cast)
    );
    if family.has_equality() {
        format!("{own} OPERATOR(pg_catalog.=) {cast} AND {exact}")
    } else {
        exact
    }
}

/// Returns the next parameter, which holds the value, cast to the column's type.
pub fn cast(column: &TableColumn, value: &Value, parameters: &mut Vec<Option<String>>) -> String {
    parameters.push(value.as_text().map(ToOwned::to_owned));
    cast_text(column, &format!("${}::pg_catalog.text", parameters.len()))
}

/// Returns a text expression cast to the column's type.
fn cast_text(column: &TableColumn, text: &str) -> String {
    match Family::of(column) {
        Family::Bytes => format!("pg_catalog.decode({text}, 'hex'::pg_catalog.text)"),
        _ => format!("{text}::{}", cast_name(column)),
    }
}

/// Returns the statement that finds the rows of several plans for the same columns, each at most twice: the number of
/// the plan, from 1, then the columns as [`select_row`] returns them. Each parameter holds the values of one key
/// column of all plans. A plan with a value that its column cannot hold finds no row. `None` without plans.
pub fn select_rows(plans: &[&RowPlan], shape: &TableSchema) -> Result<Option<Statement>, EngineError> {
    let Some(first) = plans.first() else {
        return Ok(None);
    };
    let (mut terms, mut lists, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (at, key) in first.conditions().enumerate() {
        let name = format!("v{}", at + 1);
        let column = column(shape, &key.column)?;
        terms.push(equality(
            &key.column,
            column,
            &cast_text(column, &format!("k.{name}")),
        ));
        lists.push(format!(
            "pg_catalog.unnest(${}::pg_catalog.text::pg_catalog.text[])",
            at + 1
        ));
        names.push(name);
    }
    let mut values = vec![Vec::with_capacity(plans.len()); names.len()];
    for plan in plans {
        let mut can_hold = true;
        for key in plan.conditions() {
            let column = column(shape, &key.column)?;
            can_hold &= Family::of(column).can_hold(column, &key.value);
        }
        for (key, values) in plan.conditions().zip(&mut values) {
            // NULL equals nothing.
            values.push(key.value.as_text().filter(|_| can_hold));
        }
    }
    let sql = format!(
        "SELECT k.n::pg_catalog.text, r.* FROM ROWS FROM ({}) WITH ORDINALITY AS k ({}, n), \
         LATERAL (SELECT {} FROM {} AS t WHERE {} LIMIT 2) AS r",
        lists.join(", "),
        names.join(", "),
        row_texts(first, shape)?,
        qualified(&first.schema, &first.table),
        terms.join(" AND ")
    );
    let parameters = values.iter().map(|values| Some(array_of(values))).collect();
    Ok(Some(Statement { sql, parameters }))
}

/// Returns the text of an array of texts.
fn array_of(values: &[Option<&str>]) -> String {
    let mut array = String::from("{");
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            array.push(',');
        }
        match value {
            None => array.push_str("NULL"),
            Some(text) => {
                array.push('"');
                for c in text.chars() {
                    if matches!(c, '"' | '\\') {
                        array.push('\\');
                    }
                    array.push(c);
                }
                array.push('"');
            }
        }
    }
    array.push('}');
    array
}

pub fn own(column: &str) -> String {
    format!("t.{}", quote(column))
}

pub fn now_for(column: &TableColumn) -> Result<&'static str, EngineError> {
    match Family::of(column) {
        Family::Timestamptz(_) => Ok("pg_catalog.clock_timestamp()"),
        Family::Timestamp(_) => {
            Ok("pg_catalog.timezone('UTC'::pg_catalog.text, pg_catalog.clock_timestamp())")
        }
        _ => Err(EngineError::new(
            EngineErrorKind::Other,
            "only a timestamp can be set to the current time",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn array_keeps_every_character_of_its_texts() {
        let values = [Some("a"), Some(""), None, Some("NULL"), Some("x\"y\\z,{}")];
        assert_eq!(array_of(&values), r#"{"a","",NULL,"NULL","x\"y\\z,{}"}"#);
        assert_eq!(array_of(&[]), "{}");
    }
}
