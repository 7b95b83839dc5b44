//! SQLite syntax and types: the one function that quotes names, the statements for one row, and which values
//! a column stores unchanged.

use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};
use synapsor_domain::decimal::Decimal;
use synapsor_domain::error::PublicError;
use synapsor_domain::limits::VALUE_BYTES_MAX;
use synapsor_domain::schema::TableColumn;
use synapsor_domain::value::{Value, ValueKind};

use crate::byte_text::{BYTES_FORM, bytes_of_text};
use crate::misfit::{NUL_CHARACTER, WHOLE_NUMBERS, kind_misfit, misfit};
use synapsor_source::RowPlan;
use synapsor_source::error::{EngineError, EngineErrorKind};

/// The only supported schema.
pub const SCHEMA: &str = "main";

/// The database's time in UTC, as text with milliseconds.
pub const NOW: &str = "strftime('%Y-%m-%d %H:%M:%f', 'now')";

/// Conversion that SQLite applies to values stored in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Affinity {
    Integer,
    Text,
    /// Declared as BLOB.
    Blob,
    /// Declared without a type: no conversion.
    None,
    Real,
    Numeric,
}

/// Quotes a name as an identifier. The connections read double quotes as identifiers only.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns `"main"."table"`.
pub fn qualified(table: &str) -> String {
    format!("{}.{}", quote(SCHEMA), quote(table))
}

/// Returns the statement that finds the row of a plan, at most twice; its parameters are those of
/// [`key_parameters`].
pub fn select_row(plan: &RowPlan) -> String {
    let keys = plan.conditions().map(|key| quote(&key.column));
    let columns: Vec<String> = plan.columns.iter().map(|c| quote(c)).chain(keys).collect();
    format!(
        "SELECT {} FROM {} WHERE {} LIMIT 2",
        columns.join(", "),
        qualified(&plan.table),
        matching(plan, 0)
    )
}

/// Returns the statement for the same rows as [`select_row`], read from the table's own B-tree. The
/// parameters are the same.
pub fn select_row_by_number(plan: &RowPlan, number: &str) -> String {
    let keys = plan.conditions().map(|key| quote(&key.column));
    let columns: Vec<String> = plan.columns.iter().map(|c| quote(c)).chain(keys).collect();
    let (table, matching) = (qualified(&plan.table), matching(plan, 0));
    format!(
        "SELECT {} FROM {table} NOT INDEXED WHERE {number} IN \
         (SELECT {number} FROM {table} WHERE {matching} LIMIT 2) AND {matching} LIMIT 2",
        columns.join(", "),
    )
}

/// Returns key and tenant of a plan as parameters, in the order of the statements.
pub fn key_parameters(plan: &RowPlan) -> Result<Vec<Sql>, EngineError> {
    plan.conditions().map(|key| to_sql(&key.value)).collect()
}

pub fn matching(plan: &RowPlan, parameters_before: usize) -> String {
    let terms: Vec<String> = plan
        .conditions()
        .enumerate()
        .map(|(i, key)| equals(&key.column, &key.value, parameters_before + i + 1))
        .collect();
    terms.join(" AND ")
}

/// Returns the condition: equal in the column's own comparison, which an index serves; byte-equal; and of the
/// same type, so that no conversion makes different values equal.
pub fn equals(column: &str, value: &Value, parameter: usize) -> String {
    let name = quote(column);
    let stored = match value.kind() {
        ValueKind::Int | ValueKind::Bool => "integer",
        ValueKind::Float => "real",
        ValueKind::Bytes => "blob",
        ValueKind::Null
        | ValueKind::Dec
        | ValueKind::Text
        | ValueKind::Ts
        | ValueKind::Tstz
        | ValueKind::Date
        | ValueKind::Time
        | ValueKind::Uuid
        | ValueKind::Json => "text",
    };
    format!("{name} = ?{parameter} AND {name} = ?{parameter} COLLATE BINARY AND typeof({name}) = '{stored}'")
}

/// Binds the value. Only values that [`fit`] returned or that were read can be bound.
pub fn to_sql(value: &Value) -> Result<Sql, EngineError> {
    let unreadable = || EngineError::new(EngineErrorKind::Other, "a value that SQLite has no type for");
    let text = value.as_text().unwrap_or_default();
    match value.kind() {
        ValueKind::Null => Ok(Sql::Null),
        ValueKind::Int => text.parse().map(Sql::Integer).map_err(|_| unreadable()),
        ValueKind::Float => text.parse().map(Sql::Real).map_err(|_| unreadable()),
        ValueKind::Text => Ok(Sql::Text(text.to_owned())),
        ValueKind::Bytes => hex::decode(text).map(Sql::Blob).map_err(|_| unreadable()),
        ValueKind::Bool
        | ValueKind::Dec
        | ValueKind::Ts
        | ValueKind::Tstz
        | ValueKind::Date
        | ValueKind::Time
        | ValueKind::Uuid
        | ValueKind::Json => Err(unreadable()),
    }
}

/// Returns the exact value that SQLite stores. A value that is too large or not UTF-8 is an error, never
/// truncated.
pub fn from_sql(value: ValueRef<'_>) -> Result<Value, EngineError> {
    let large = || EngineError::new(EngineErrorKind::TooLarge, "a column value");
    match value {
        ValueRef::Null => Ok(Value::null()),
        ValueRef::Integer(n) => Ok(Value::int(i128::from(n))),
        ValueRef::Real(f) => Ok(float(f)),
        ValueRef::Text(bytes) if bytes.len() > VALUE_BYTES_MAX => Err(large()),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes)
            .map(Value::text)
            .map_err(|_| EngineError::new(EngineErrorKind::Unreadable, "a text that is not UTF-8")),
        ValueRef::Blob(bytes) if bytes.len() > VALUE_BYTES_MAX / 2 => Err(large()),
        ValueRef::Blob(bytes) => Ok(Value::bytes(bytes)),
    }
}

/// A parameter that is bound by reference.
pub fn bound(value: &Sql) -> ToSqlOutput<'_> {
    ToSqlOutput::Borrowed(value.into())
}

/// Returns the value exactly as the column would store it.
pub fn fit(column: &TableColumn, value: &Value) -> Result<Value, PublicError> {
    let misfit = |why: &str| Err(misfit(column, why));
    if value.len_bytes() > VALUE_BYTES_MAX {
        return misfit("the value is too large");
    }
    if value.is_null() {
        return if column.nullable {
            Ok(Value::null())
        } else {
            misfit("it must not be NULL")
        };
    }
    let text = value.as_text().unwrap_or_default();
    match (value.kind(), affinity(&column.declared_type)) {
        (ValueKind::Int, Affinity::Integer | Affinity::Numeric | Affinity::None) => fit_integer(column, text),
        (ValueKind::Int | ValueKind::Dec, Affinity::Real) => fit_float(column, text),
        (ValueKind::Dec, Affinity::Numeric | Affinity::None) => fit_float(column, text),
        (ValueKind::Dec, Affinity::Integer) => misfit("it holds whole numbers"),
        (ValueKind::Bool, Affinity::Integer | Affinity::Numeric) => {
            Ok(Value::int(i128::from(text == "true")))
        }
        (ValueKind::Text, Affinity::Integer) => match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => Ok(Value::int(i128::from(number))),
            Ok(_) | Err(_) => misfit(WHOLE_NUMBERS),
        },
        (ValueKind::Text, _) if text.contains('\0') => misfit(NUL_CHARACTER),
        (ValueKind::Text, Affinity::Text | Affinity::None) => Ok(value.clone()),
        (ValueKind::Text, Affinity::Numeric) if !looks_numeric(text) => Ok(value.clone()),
        (ValueKind::Text, Affinity::Numeric) => misfit("it would convert this string to a number"),
        (ValueKind::Text, Affinity::Blob) => {
            bytes_of_text(text).ok_or_else(|| crate::misfit::misfit(column, BYTES_FORM))
        }
        (ValueKind::Float, Affinity::Real) | (ValueKind::Bytes, Affinity::Blob | Affinity::None) => {
            Ok(value.clone())
        }
        (kind, _) => Err(kind_misfit(column, kind)),
    }
}

fn fit_integer(column: &TableColumn, text: &str) -> Result<Value, PublicError> {
    match text.parse::<i64>() {
        Ok(number) => Ok(Value::int(i128::from(number))),
        Err(_) => Err(misfit(column, "the number is beyond 64 bits")),
    }
}

/// Checks a binary float. It stores few decimals exactly; one is accepted if it reads back as the same
/// decimal.
fn fit_float(column: &TableColumn, text: &str) -> Result<Value, PublicError> {
    let wanted = Decimal::parse(text);
    // Adding zero removes the sign of a negative zero, which the database does not store.
    let held = text
        .parse::<f64>()
        .ok()
        .filter(|f| f.is_finite())
        .map(|f| f + 0.0);
    match (wanted, held) {
        (Ok(wanted), Some(held)) if Decimal::parse(&held.to_string()).as_ref() == Ok(&wanted) => {
            Ok(float(held))
        }
        _ => Err(misfit(column, "it would round the number")),
    }
}

fn float(value: f64) -> Value {
    // The shortest text that reads back to the same bits, always with a point, an exponent or a name.
    Value::exact(ValueKind::Float, format!("{value:?}"))
}

/// SQLite's rules for the affinity of a declared type, in their order.
fn affinity(declared: &str) -> Affinity {
    let declared = declared.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    if has(&["INT"]) {
        Affinity::Integer
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        Affinity::Text
    } else if has(&["BLOB"]) {
        Affinity::Blob
    } else if declared.is_empty() {
        Affinity::None
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

/// Whether SQLite could read the string as a number; `true` if in doubt.
fn looks_numeric(text: &str) -> bool {
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    trimmed.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
        && trimmed.parse::<f64>().is_ok()
}
