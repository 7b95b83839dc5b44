//! How SQLite spells names and types: the one function that quotes, the statements for one row, and which
//! values a column holds without changing them.

use rusqlite::types::{ToSqlOutput, Value as Sql, ValueRef};
use synapsor_domain::decimal::Decimal;
use synapsor_domain::error::PublicError;
use synapsor_domain::limits::VALUE_BYTES_MAX;
use synapsor_domain::schema::TableColumn;
use synapsor_domain::value::{ColumnValue, Value, ValueKind};

use synapsor_source::RowPlan;
use synapsor_source::error::{EngineError, EngineErrorKind};

/// The only schema that is served.
pub const SCHEMA: &str = "main";

/// The database's time in UTC, as a text with milliseconds.
pub const NOW: &str = "strftime('%Y-%m-%d %H:%M:%f', 'now')";

/// What SQLite does to values that are stored in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Affinity {
    Integer,
    Text,
    /// Declared as BLOB.
    Blob,
    /// Declared without a type: nothing is converted.
    None,
    Real,
    Numeric,
}

/// A name as an identifier. The connections read double quotes as identifiers only.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `"main"."table"`.
pub fn qualified(table: &str) -> String {
    format!("{}.{}", quote(SCHEMA), quote(table))
}

/// The statement that finds the row of a plan, at most twice; parameters are those of [`key_parameters`].
pub fn select_row(plan: &RowPlan) -> String {
    let keys = key_columns(plan).map(|key| quote(&key.column));
    let columns: Vec<String> = plan.columns.iter().map(|c| quote(c)).chain(keys).collect();
    format!(
        "SELECT {} FROM {} WHERE {} LIMIT 2",
        columns.join(", "),
        qualified(&plan.table),
        matching(plan, 0)
    )
}

/// The same rows as [`select_row`] finds, read from the table's own tree. Parameters are the same.
pub fn select_row_by_number(plan: &RowPlan, number: &str) -> String {
    let keys = key_columns(plan).map(|key| quote(&key.column));
    let columns: Vec<String> = plan.columns.iter().map(|c| quote(c)).chain(keys).collect();
    let (table, matching) = (qualified(&plan.table), matching(plan, 0));
    format!(
        "SELECT {} FROM {table} NOT INDEXED WHERE {number} IN \
         (SELECT {number} FROM {table} WHERE {matching} LIMIT 2) AND {matching} LIMIT 2",
        columns.join(", "),
    )
}

/// Key and tenant of a plan as parameters, in the order of the statements.
pub fn key_parameters(plan: &RowPlan) -> Result<Vec<Sql>, EngineError> {
    key_columns(plan).map(|key| to_sql(&key.value)).collect()
}

/// Key and tenant of a plan.
pub fn key_columns(plan: &RowPlan) -> impl Iterator<Item = &ColumnValue> {
    std::iter::once(&plan.primary_key).chain(&plan.tenant)
}

pub fn matching(plan: &RowPlan, parameters_before: usize) -> String {
    let terms: Vec<String> = key_columns(plan)
        .enumerate()
        .map(|(i, key)| equals(&key.column, &key.value, parameters_before + i + 1))
        .collect();
    terms.join(" AND ")
}

/// Equal in the column's own comparison, which an index serves; equal byte for byte; and of the same type, so
/// that no conversion can make different values meet.
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

/// The value as SQLite binds it. Only values that [`fit`] gives or that were read can be bound.
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

/// The exact value that SQLite holds. Too large or not UTF-8 is an error, never a part of the value.
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

/// The value exactly as the column would hold it.
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
            Ok(_) | Err(_) => misfit("it holds whole numbers, written in plain digits"),
        },
        (ValueKind::Text, _) if text.contains('\0') => misfit("a text must not hold a NUL character"),
        (ValueKind::Text, Affinity::Text | Affinity::None) => Ok(value.clone()),
        (ValueKind::Text, Affinity::Numeric) if !looks_numeric(text) => Ok(value.clone()),
        (ValueKind::Text, Affinity::Numeric) => misfit("it would turn this text into a number"),
        (ValueKind::Float, Affinity::Real) | (ValueKind::Bytes, Affinity::Blob | Affinity::None) => {
            Ok(value.clone())
        }
        (kind, _) => misfit(&format!(
            "it is declared `{}` and cannot hold {} unchanged",
            column.declared_type,
            a(kind)
        )),
    }
}

fn fit_integer(column: &TableColumn, text: &str) -> Result<Value, PublicError> {
    match text.parse::<i64>() {
        Ok(number) => Ok(Value::int(i128::from(number))),
        Err(_) => Err(misfit(column, "the number is beyond 64 bits")),
    }
}

/// A binary float holds few decimals exactly; one is accepted if it reads back as the same decimal.
fn fit_float(column: &TableColumn, text: &str) -> Result<Value, PublicError> {
    let wanted = Decimal::parse(text);
    // Adding zero takes the sign from a negative zero, which the database does not keep.
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

fn misfit(column: &TableColumn, why: &str) -> PublicError {
    PublicError::new(
        "VALUE_DOES_NOT_FIT",
        format!("column `{}` does not take the value: {why}", column.name),
    )
}

/// SQLite's rules by which a declared type decides, in their order.
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

/// Whether SQLite could read the text as a number; rather once too often.
fn looks_numeric(text: &str) -> bool {
    let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    trimmed.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))
        && trimmed.parse::<f64>().is_ok()
}

fn a(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Null => "NULL",
        ValueKind::Bool => "a boolean",
        ValueKind::Int | ValueKind::Dec | ValueKind::Float => "a number",
        ValueKind::Text => "a text",
        ValueKind::Bytes => "bytes",
        ValueKind::Ts | ValueKind::Tstz | ValueKind::Date | ValueKind::Time => "a time",
        ValueKind::Uuid => "a UUID",
        ValueKind::Json => "JSON",
    }
}
