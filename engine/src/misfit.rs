//! Errors for values that a column cannot store unchanged, in the same words for every engine.

use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::schema::TableColumn;
use synapsor_domain::value::ValueKind;

/// Reason for a string in a column of whole numbers.
pub(crate) const WHOLE_NUMBERS: &str = "it holds whole numbers, written in plain digits";
/// Reason for a string in a column of decimal numbers.
pub(crate) const NUMBERS: &str = "it holds numbers, written in plain digits";
/// Reason for a string with a NUL character.
pub(crate) const NUL_CHARACTER: &str = "a string must not contain a NUL character";

/// Returns the error for a value that the column does not store unchanged.
pub(crate) fn misfit(column: &TableColumn, why: &str) -> PublicError {
    PublicError::new(
        ErrorCode::ValueDoesNotFit,
        format!("column `{}` does not take the value: {why}", column.name),
    )
}

/// Returns the error for a value of a kind that the column's type does not store.
pub(crate) fn kind_misfit(column: &TableColumn, kind: ValueKind) -> PublicError {
    misfit(
        column,
        &format!(
            "it is declared `{}` and cannot hold {} unchanged",
            column.declared_type,
            noun(kind)
        ),
    )
}

const fn noun(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Null => "NULL",
        ValueKind::Bool => "a boolean",
        ValueKind::Int | ValueKind::Dec | ValueKind::Float => "a number",
        ValueKind::Text => "a string",
        ValueKind::Bytes => "bytes",
        ValueKind::Ts | ValueKind::Tstz | ValueKind::Date | ValueKind::Time => "a time",
        ValueKind::Uuid => "a UUID",
        ValueKind::Json => "JSON",
    }
}
