//! The version of a row: the transaction that wrote it, and its physical position.

use synapsor_domain::schema::TableSchema;
use synapsor_domain::value::ColumnValue;
use synapsor_engine::postgres::connect::PgPooledConnection;
use synapsor_engine::postgres::dialect::{self, TableExtent};
use synapsor_engine::postgres::read;
use synapsor_source::{EngineError, RowPlan};

/// The two columns, for a statement that names the table `t`.
const COLUMNS: &str = "t.xmin::pg_catalog.text, t.ctid::pg_catalog.text";

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
) -> Result<Vec<(Vec<ColumnValue>, Option<RowVersion>)>, EngineError> {
    let Some(mut statement) = dialect::select_row(plan, shape, TableExtent::Only)? else {
        return Ok(Vec::new());
    };
    let mut columns = 0;
    if is_versioned {
        columns = 2;
        let rest = statement.sql.split_off("SELECT ".len());
        statement.sql = format!("{}{COLUMNS}, {rest}", statement.sql);
    }
    let mut rows = Vec::new();
    for found in lease.fetch(statement).await? {
        let (version, values) = found.split_at(columns);
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
