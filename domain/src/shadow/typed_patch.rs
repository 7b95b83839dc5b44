//! Patch of a human action from JSON, with the types that the proposal has for its columns.

use serde_json::{Map, Value as Json};

use crate::proposal::Proposal;
use crate::value::{ColumnValue, Value, ValueKind, find};

/// Returns the patch, sorted by column. A value is of the column's type if the JSON is spelled as the proposal's own patch is;
/// another spelling is another value.
///
/// # Errors
/// A sentence about the first value that no spelling of the column's type has.
pub fn typed_patch(proposal: &Proposal, patch: &Map<String, Json>) -> Result<Vec<ColumnValue>, String> {
    let of = |(column, value): (&String, &Json)| {
        let known = find(&proposal.set, column)
            .filter(|value| !value.is_null())
            .or_else(|| find(&proposal.before, column));
        let value = typed(value, known.map(Value::kind)).map_err(|why| format!("column {column}: {why}"))?;
        Ok(ColumnValue::new(column, value))
    };
    let mut typed: Vec<ColumnValue> = patch.iter().map(of).collect::<Result<_, String>>()?;
    typed.sort_by(|a, b| a.column.cmp(&b.column));
    Ok(typed)
}

fn typed(value: &Json, kind: Option<ValueKind>) -> Result<Value, &'static str> {
    match value {
        Json::Null => Ok(Value::null()),
        Json::Bool(value) => Ok(Value::bool(*value)),
        Json::Number(number) => match number.as_i64() {
            Some(_) if matches!(kind, Some(ValueKind::Dec | ValueKind::Float)) => {
                Err("write a decimal number as text, such as \"10.50\"")
            }
            Some(number) => Ok(Value::int(i128::from(number))),
            None => Err("write this number as text, such as \"10.50\""),
        },
        Json::String(text) => Ok(match kind {
            // Integers that a JSON number does not hold exactly are text in the proposal's patch, too.
            Some(ValueKind::Int) if is_large_integer(text) => Value::exact(ValueKind::Int, text),
            Some(ValueKind::Int | ValueKind::Bool | ValueKind::Null) | None => Value::text(text),
            Some(kind) => Value::exact(kind, text),
        }),
        Json::Array(_) | Json::Object(_) => Err("expected text, a number, true, false or null"),
    }
}

fn is_large_integer(text: &str) -> bool {
    let is_exact = |number: i128| number.unsigned_abs() < (1 << 53) && number.to_string() == text;
    text.parse::<i128>().is_ok_and(|number| !is_exact(number))
}
