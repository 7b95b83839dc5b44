//! The version of a row: the transaction that wrote it, and its physical position.

use synapsor_domain::schema::TableSchema;
use synapsor_domain::value::ColumnValue;
use synapsor_engine::postgres::connect::PgPooledConnection;
use synapsor_engine::postgres::dialect::{self, Statement, TableExtent};
use synapsor_engine::postgres::read;
use synapsor_source::{EngineError, RowPlan};

/// The two columns, for a statement that names the table `t`.
const COLUMNS: &str = "t.xmin::pg_catalog.text, t.ctid::pg_catalog.text";

/// A row, with its version if the account can read it.
pub(super) type VersionedRow = (Vec<ColumnValue>, Option<RowVersion>);

/// See above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowVersion {
    xmin: String,
    ctid: String,
}

impl RowVersion {
    fn of_row(row: &[Option<String>]) -> Option<Self> {
        match row {
            [Some(xmin), Some(ctid)] => Some(Self {
                xmin: xmin.clone(),
                ctid: ctid.clone(),
            }),
            _ => None,
        }
    }

    /// Whether these rows, read after COMMIT, hold an unchecked version from the same transaction. A version
    /// of another transaction is a later change and proves nothing. A function that catches exceptions writes
    /// under its own subtransaction id, so this finds less than the checks before COMMIT. It is the second
    /// line of defense behind them.
    pub(super) fn is_replaced_by_own(&self, rows: &[Vec<Option<String>>], transaction_id: u64) -> bool {
        // A row has the low 32 bits of the transaction id.
        let own = (transaction_id & u64::from(u32::MAX)).to_string();
        rows.iter()
            .filter_map(|row| Self::of_row(row))
            .any(|version| version.xmin == own && version != *self)
    }
}

/// Returns the rows of a plan in a writing transaction, at most two, each with its version if requested.
pub(super) async fn rows_with_version(
    lease: &mut PgPooledConnection,
    plan: &RowPlan,
    shape: &TableSchema,
    is_versioned: bool,
) -> Result<Vec<VersionedRow>, EngineError> {
    let mut parameters = Vec::new();
    let Some(sql) = select_with_version(plan, shape, is_versioned, &mut parameters)? else {
        return Ok(Vec::new());
    };
    let found = lease.fetch(Statement { sql, parameters }).await?;
    versioned_rows(found.iter().map(Vec::as_slice), plan, shape, is_versioned)
}

/// Returns the number of columns of [`select_with_version`].
pub(super) fn column_count(plan: &RowPlan, is_versioned: bool) -> usize {
    version_columns(is_versioned) + plan.columns.len() + plan.conditions().count()
}

const fn version_columns(is_versioned: bool) -> usize {
    if is_versioned { 2 } else { 0 }
}

/// Returns the statement that reads these rows, and appends its parameters; `None` if no row can have these keys.
pub(super) fn select_with_version(
    plan: &RowPlan,
    shape: &TableSchema,
    is_versioned: bool,
    parameters: &mut Vec<Option<String>>,
) -> Result<Option<String>, EngineError> {
    let mut columns = dialect::row_texts(plan, shape)?;
    if is_versioned {
        columns = format!("{COLUMNS}, {columns}");
    }
    dialect::select_columns_with(plan, shape, (&columns, TableExtent::Only), parameters)
}

/// Converts the rows of a [`select_with_version`] statement.
pub(super) fn versioned_rows<'a>(
    found: impl IntoIterator<Item = &'a [Option<String>]>,
    plan: &RowPlan,
    shape: &TableSchema,
    is_versioned: bool,
) -> Result<Vec<VersionedRow>, EngineError> {
    let mut rows = Vec::new();
    for found in found {
        let (version, values) = found.split_at(version_columns(is_versioned));
        let row = read::exact_row(values, plan, shape)?;
        rows.extend(row.map(|row| (row, RowVersion::of_row(version))));
    }
    Ok(rows)
}

/// Returns the statement that reads the version of a row without parameters, for the message of the COMMIT;
/// `None` if no row can have these keys. Values are given as hexadecimal digits, which mean the same under
/// every setting. They come from a subquery, whose collation yields to the column's, so that the key's index
/// serves.
pub(super) fn version_statement(plan: &RowPlan, shape: &TableSchema) -> Result<Option<String>, EngineError> {
    let Some(statement) = dialect::select_columns(plan, shape, COLUMNS, TableExtent::Only)? else {
        return Ok(None);
    };
    let mut sql = statement.sql;
    for (at, value) in statement.parameters.iter().enumerate().rev() {
        let digits = hex::encode(value.as_deref().unwrap_or_default());
        let literal = format!(
            "(SELECT pg_catalog.convert_from(pg_catalog.decode('{digits}', 'hex'::pg_catalog.text), \
             'UTF8'::pg_catalog.name) COLLATE pg_catalog.\"default\")"
        );
        sql = sql.replace(&format!("${}::pg_catalog.text", at + 1), &literal);
    }
    Ok(Some(sql))
}
