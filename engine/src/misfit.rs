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

/// Returns the error for a column whose type stores no value unchanged. The contract is wrong, whatever the value is.
pub(crate) fn unwritable(column: &TableColumn) -> PublicError {
    let declared = format!(
        "`{}` is declared `{}`, to which no value can be written unchanged",
        column.name, column.declared_type
    );
    let public = format!("Column {declared}. The operator has to leave it out of the changes of the tool.");
    PublicError::new(ErrorCode::ColumnNotWritable, public)
        .with_detail(format!("column {declared}"))
        .with_operator_fix(
            "remove the column from the patch of the capability; `synapsor-runner writeback doctor --check-db` names every \
             such column",
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

#[cfg(test)]
mod tests {
    use synapsor_codes::SafeCode;
    use synapsor_domain::value::Value;

    use super::*;
    use crate::{mysql, postgres};

    #[test]
    fn type_that_stores_no_value_is_not_the_callers_fault() {
        let (of_postgres, of_mysql) = (["integer[]", "tsvector", "oid"], ["json", "float(7,2)", "point"]);
        let column = |declared: &str| TableColumn {
            name: "body".to_owned(),
            declared_type: declared.to_owned(),
            nullable: true,
            generated: false,
            primary_key: false,
            unique: false,
            collation: None,
            base_type: None,
            labels: Vec::new(),
        };
        for value in [Value::text("x"), Value::int(1), Value::bool(true)] {
            let refused = |declared: &str, fitted: Result<Value, PublicError>| {
                let refusal = fitted.unwrap_err();
                assert_eq!(refusal.code, ErrorCode::ColumnNotWritable, "{declared}");
                assert_eq!(refusal.code.safe(), SafeCode::ColumnNotWritable);
                for part in ["`body`", declared, "The operator has to leave it out"] {
                    assert!(refusal.public.contains(part), "{}", refusal.public);
                }
            };
            for declared in of_postgres {
                refused(declared, postgres::fit::fit(&column(declared), &value));
            }
            for declared in of_mysql {
                refused(declared, mysql::fit::fit(&column(declared), &value));
            }
        }
    }
}
