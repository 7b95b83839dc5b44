//! MySQL and MariaDB syntax: the one function that quotes names, the statements for one row, and the exact
//! values of a row.

use synapsor_domain::limits::{ROW_BYTES_MAX, VALUE_BYTES_MAX};
use synapsor_domain::value::{ColumnValue, Value, ValueKind};

use super::column::{Charset, ColumnType, TextSize};
use super::datetime;
use super::inspect::Described;
use super::session::BindValue;
use synapsor_source::ErrorCause;
use synapsor_source::RowPlan;
use synapsor_source::error::{EngineError, EngineErrorKind};

/// Maximum size of a column type, in bytes, whose values are sent without a check of their length.
const SMALL_BYTES_MAX: u64 = 1024;

/// A statement with the values to bind.
pub struct Statement {
    pub sql: String,
    pub args: Vec<BindValue>,
    /// Types of the returned columns, after the size flag.
    pub columns: Vec<ColumnType>,
}

/// Quotes a name as an identifier.
pub fn quote(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// Returns `` `schema`.`table` ``.
pub fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", quote(schema), quote(table))
}

/// Returns the statement that finds the row of a plan, at most twice. Its first cell reports whether a value
/// or the row is too large; such values are not sent. The columns of key and tenant come last, to be compared
/// once more.
pub fn select_row(described: &Described, plan: &RowPlan) -> Result<Statement, EngineError> {
    let mut columns = Vec::new();
    let mut cells = Vec::new();
    let mut sizes = Vec::new();
    let keys = plan.conditions().map(|key| &key.column);
    for (at, name) in plan.columns.iter().chain(keys).enumerate() {
        let column = described.column_type(name)?;
        let cell = selected(&quote(name), column)
            .map_err(|error| error.because(ErrorCause::ColumnUnreadable(name.clone())))?;
        match size(&quote(name), column) {
            Some(size) => {
                cells.push(format!("IF({size} > {VALUE_BYTES_MAX}, NULL, {cell})"));
                if at < plan.columns.len() {
                    sizes.push(size);
                }
            }
            None => cells.push(cell),
        }
        columns.push(column.clone());
    }
    let mut tests: Vec<String> = sizes
        .iter()
        .map(|size| format!("{size} > {VALUE_BYTES_MAX}"))
        .collect();
    if sizes.len() > 1 {
        let total: Vec<String> = sizes.iter().map(|size| format!("COALESCE({size}, 0)")).collect();
        tests.push(format!("{} > {ROW_BYTES_MAX}", total.join(" + ")));
    }
    let is_large = if tests.is_empty() {
        "'0'".to_owned()
    } else {
        format!("IF({}, '1', '0')", tests.join(" OR "))
    };
    let (condition, args) = matching(described, plan)?;
    let sql = format!(
        "SELECT {is_large}, {} FROM {} WHERE {condition} LIMIT 2",
        cells.join(", "),
        qualified(&plan.schema, &plan.table)
    );
    Ok(Statement { sql, args, columns })
}

pub fn matching(described: &Described, plan: &RowPlan) -> Result<(String, Vec<BindValue>), EngineError> {
    let (mut terms, mut args) = (Vec::new(), Vec::new());
    for key in plan.conditions() {
        let (term, found) = equals(described, key)?;
        terms.push(term);
        args.extend(found);
    }
    Ok((terms.join(" AND "), args))
}

/// Returns the condition: equal in the column's own comparison, which an index serves, and byte-equal. A
/// value of another kind than the column's equals nothing; the server never converts it.
pub fn equals(described: &Described, wanted: &ColumnValue) -> Result<(String, Vec<BindValue>), EngineError> {
    let column = described.column_type(&wanted.column)?;
    let name = quote(&wanted.column);
    Ok(comparison(&name, column, &wanted.value).unwrap_or_else(|| ("0 = 1".to_owned(), Vec::new())))
}

fn comparison(name: &str, column: &ColumnType, value: &Value) -> Option<(String, Vec<BindValue>)> {
    match column {
        ColumnType::Text { charset, .. }
        | ColumnType::Enum { charset, .. }
        | ColumnType::Set { charset, .. } => {
            let text = value.as_text().filter(|_| value.kind() == ValueKind::Text)?;
            if !charset.holds(text) {
                return None;
            }
            let given = given_text(charset);
            let sql = format!(
                "{name} = {given} COLLATE {} AND CAST({name} AS BINARY) = CAST({given} AS BINARY)",
                charset.collation
            );
            Some((
                sql,
                vec![BindValue::Text(text.to_owned()), BindValue::Text(text.to_owned())],
            ))
        }
        ColumnType::Bit(_) | ColumnType::Year => {
            let (given, arg) = assigned(column, value)?;
            Some((format!("{name} + 0 = {given}"), vec![arg]))
        }
        ColumnType::Int { .. }
        | ColumnType::Decimal { .. }
        | ColumnType::Float { .. }
        | ColumnType::Bytes { .. }
        | ColumnType::Date
        | ColumnType::DateTime(_)
        | ColumnType::Timestamp(_)
        | ColumnType::Time(_)
        | ColumnType::Uuid
        | ColumnType::Json
        | ColumnType::Other => {
            let (given, arg) = assigned(column, value).filter(|_| !value.is_null())?;
            Some((format!("{name} = {given}"), vec![arg]))
        }
    }
}

/// Returns the parameter as a string in the column's own character set.
fn given_text(charset: &Charset) -> String {
    if charset.is_utf8mb4() {
        "?".to_owned()
    } else {
        format!("CONVERT(? USING {})", charset.name)
    }
}

/// Returns a value as an expression of the column's own type; `None` for values that no such column stores.
pub fn assigned(column: &ColumnType, value: &Value) -> Option<(String, BindValue)> {
    use ValueKind as Kind;
    let Some(text) = value.as_text() else {
        return Some(("?".to_owned(), BindValue::Null));
    };
    let plain = |arg| Some(("?".to_owned(), arg));
    // Converted to text first: MySQL chooses the type of a bare parameter of a cast itself, without
    // fractions.
    let cast = |kind: &str, text: &str| {
        let given = format!("CAST(CONVERT(? USING utf8mb4) AS {kind})");
        Some((given, BindValue::Text(text.to_owned())))
    };
    match (column, value.kind()) {
        (ColumnType::Int { .. } | ColumnType::Year, Kind::Int) => plain(whole(text)?),
        (ColumnType::Decimal { precision, scale, .. }, Kind::Dec) => {
            let part = text.split_once('.').map_or(0, |(_, part)| part.len());
            (part <= *scale).then_some(())?;
            cast(&format!("DECIMAL({precision},{scale})"), text)
        }
        (ColumnType::Float { is_double: true, .. }, Kind::Float) => {
            plain(BindValue::Float(text.parse().ok()?))
        }
        (ColumnType::Float { is_double: false, .. }, Kind::Float) => {
            plain(BindValue::Float(f64::from(text.parse::<f32>().ok()?)))
        }
        (
            ColumnType::Text { charset, .. }
            | ColumnType::Enum { charset, .. }
            | ColumnType::Set { charset, .. },
            Kind::Text,
        ) => charset
            .holds(text)
            .then(|| ("?".to_owned(), BindValue::Text(text.to_owned()))),
        (ColumnType::Bytes { .. }, Kind::Bytes) => plain(BindValue::Bytes(hex::decode(text).ok()?)),
        (ColumnType::Date, Kind::Date) => cast("DATE", &datetime::date(text)?),
        (ColumnType::DateTime(digits), Kind::Ts) => cast(
            &format!("DATETIME({digits})"),
            &datetime::date_time(text, *digits)?,
        ),
        (ColumnType::Timestamp(digits), Kind::Tstz) => {
            let moment = datetime::timestamp(text, *digits)?;
            cast(&format!("DATETIME({digits})"), moment.trim_end_matches("+00"))
        }
        (ColumnType::Time(digits), Kind::Time) => {
            cast(&format!("TIME({digits})"), &datetime::time(text, *digits)?)
        }
        (ColumnType::Bit(_), Kind::Text) => plain(BindValue::Uint(u64::from_str_radix(text, 2).ok()?)),
        (ColumnType::Uuid, Kind::Uuid) => plain(BindValue::Text(text.to_owned())),
        _ => None,
    }
}

fn whole(text: &str) -> Option<BindValue> {
    match text.parse::<i64>() {
        Ok(number) => Some(BindValue::Int(number)),
        Err(_) => text.parse::<u64>().ok().map(BindValue::Uint),
    }
}

/// Returns the expression of a column whose cell [`value`] reads exactly.
fn selected(name: &str, column: &ColumnType) -> Result<String, EngineError> {
    match column {
        // Strings arrive in the session's character set, whatever their own is; bytes and floats arrive
        // unchanged.
        ColumnType::Text { .. }
        | ColumnType::Enum { .. }
        | ColumnType::Set { .. }
        | ColumnType::Bytes { .. }
        | ColumnType::Float { .. } => Ok(name.to_owned()),
        ColumnType::Int { .. }
        | ColumnType::Decimal { .. }
        | ColumnType::Date
        | ColumnType::Year
        | ColumnType::DateTime(_)
        | ColumnType::Timestamp(_)
        | ColumnType::Time(_)
        | ColumnType::Json
        | ColumnType::Uuid => Ok(format!("CAST({name} AS CHAR)")),
        ColumnType::Bit(_) => Ok(format!("CAST({name} + 0 AS CHAR)")),
        ColumnType::Other => Err(EngineError::new(
            EngineErrorKind::Unreadable,
            "a column is of an unsupported type",
        )),
    }
}

/// Returns the size of a value in bytes, as an expression; `None` where it is always small.
fn size(name: &str, column: &ColumnType) -> Option<String> {
    match column {
        ColumnType::Text { size, .. } => {
            let bytes = match size {
                TextSize::Char(chars) | TextSize::Varchar(chars) => chars * 4,
                TextSize::Text(bytes) => *bytes,
            };
            (bytes > SMALL_BYTES_MAX).then(|| format!("LENGTH({name})"))
        }
        ColumnType::Bytes { bytes_max, .. } => {
            (*bytes_max > SMALL_BYTES_MAX).then(|| format!("2 * LENGTH({name})"))
        }
        ColumnType::Json => Some(format!("LENGTH(CAST({name} AS CHAR))")),
        _ => None,
    }
}

/// Returns the exact value of a cell.
pub fn value(column: &ColumnType, cell: Option<&[u8]>) -> Result<Value, EngineError> {
    let unreadable = || EngineError::new(EngineErrorKind::Unreadable, "a value is not of its column's type");
    let Some(cell) = cell else {
        return Ok(Value::null());
    };
    let text = || std::str::from_utf8(cell).map_err(|_| unreadable());
    let value = match column {
        ColumnType::Bytes { .. } => Value::bytes(cell),
        ColumnType::Float { is_double, .. } => float(*is_double, cell).ok_or_else(unreadable)?,
        ColumnType::Int { .. } | ColumnType::Year => Value::int(text()?.parse().map_err(|_| unreadable())?),
        ColumnType::Decimal { .. } => Value::exact(ValueKind::Dec, unpadded(text()?)),
        ColumnType::Text { .. } | ColumnType::Enum { .. } | ColumnType::Set { .. } => Value::text(text()?),
        ColumnType::Date => calendar(ValueKind::Date, text()?),
        ColumnType::DateTime(_) => calendar(ValueKind::Ts, text()?),
        ColumnType::Timestamp(_) => match calendar(ValueKind::Tstz, text()?) {
            real if real.kind() == ValueKind::Tstz => {
                Value::exact(ValueKind::Tstz, format!("{}+00", text()?))
            }
            zero => zero,
        },
        ColumnType::Time(_) => Value::exact(ValueKind::Time, text()?),
        ColumnType::Json => Value::exact(ValueKind::Json, text()?),
        ColumnType::Uuid => Value::exact(ValueKind::Uuid, text()?),
        ColumnType::Bit(width) => {
            let number: u64 = text()?.parse().map_err(|_| unreadable())?;
            Value::text(format!("{number:0wide$b}", wide = *width as usize))
        }
        ColumnType::Other => return Err(unreadable()),
    };
    if value.len_bytes() > VALUE_BYTES_MAX {
        return Err(EngineError::new(EngineErrorKind::TooLarge, "a column value"));
    }
    Ok(value)
}

/// A zero date is not a calendar date; it stays a string.
fn calendar(kind: ValueKind, text: &str) -> Value {
    if datetime::is_real(text) {
        Value::exact(kind, text)
    } else {
        Value::text(text)
    }
}

/// Returns the digits without the zeros of ZEROFILL.
fn unpadded(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let stripped = digits.trim_start_matches('0');
    let lead = if stripped.is_empty() || stripped.starts_with('.') {
        "0"
    } else {
        ""
    };
    format!("{sign}{lead}{stripped}")
}

/// Returns the shortest text that reads back to the same bits, always with a point, an exponent or a name.
fn float(is_double: bool, cell: &[u8]) -> Option<Value> {
    let shortest = if is_double {
        format!("{:?}", f64::from_le_bytes(cell.try_into().ok()?))
    } else {
        format!("{:?}", f32::from_le_bytes(cell.try_into().ok()?))
    };
    Some(Value::exact(ValueKind::Float, shortest))
}

pub fn unwritable() -> EngineError {
    EngineError::new(EngineErrorKind::Other, "a value that its column cannot represent")
}
