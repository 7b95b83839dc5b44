//! Reads rows, receipts and the identity of the database on any connection.

use rusqlite::{Connection, OptionalExtension as _, Row, params_from_iter};
use synapsor_domain::digest::Digest;
use synapsor_domain::value::{ColumnValue, Value};

use super::connect::DatabaseFile;
use super::dialect::{self, SCHEMA};
use super::error_map::map_driver_error;
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::ErrorCause;
use synapsor_source::row_size::{check_size, error_in};
use synapsor_source::switch_row::{END_KEY, FIRST_KEY};
use synapsor_source::{FoundReceipts, KNOWN_RECEIPTS_MAX, RowMark, RowPlan, StoredReceipt};

/// The table that identifies this database, in every copy of the file.
pub const IDENTITY_TABLE: &str = "synapsor_database_identity";
/// Beginning of the identity of a file without that table.
pub const PATH_IDENTITY: &str = "sqlite:path:";

/// Returns the rows of a plan, at most two.
pub fn rows(connection: &Connection, plan: &RowPlan) -> Result<Vec<Vec<ColumnValue>>, EngineError> {
    rows_of(connection, plan, &dialect::select_row(plan))
}

/// Returns the rows of a plan with every value read from the table itself, at most two. An index is used only
/// to find the row number; its own copies of values are not used.
pub fn rows_by_number(
    connection: &Connection,
    plan: &RowPlan,
    number: &str,
) -> Result<Vec<Vec<ColumnValue>>, EngineError> {
    rows_of(connection, plan, &dialect::select_row_by_number(plan, number))
}

fn rows_of(connection: &Connection, plan: &RowPlan, sql: &str) -> Result<Vec<Vec<ColumnValue>>, EngineError> {
    require_schema(&plan.schema)?;
    let mut statement = connection.prepare_cached(sql).map_err(map_driver_error)?;
    let parameters = dialect::key_parameters(plan)?;
    let mut found = statement
        .query(params_from_iter(parameters.iter().map(dialect::bound)))
        .map_err(map_driver_error)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(map_driver_error)? {
        let values = exact_row(row, plan)?;
        // SQL has compared them already; this finds differences that SQL's comparison ignores.
        if plan
            .conditions()
            .zip(&values[plan.columns.len()..])
            .all(|(key, value)| key.value == *value)
        {
            let columns = plan.columns.iter().zip(values);
            rows.push(
                columns
                    .map(|(name, value)| ColumnValue::new(name.clone(), value))
                    .collect(),
            );
        }
    }
    Ok(rows)
}

fn exact_row(row: &Row<'_>, plan: &RowPlan) -> Result<Vec<Value>, EngineError> {
    let count = plan.columns.len() + plan.conditions().count();
    let mut values = Vec::with_capacity(count);
    for index in 0..count {
        let value = dialect::from_sql(row.get_ref(index).map_err(map_driver_error)?);
        let in_column = |error: EngineError| match plan.columns.get(index) {
            Some(name) => error_in(error, name),
            None => error,
        };
        values.push(value.map_err(in_column)?);
    }
    check_size(plan, &values)?;
    Ok(values)
}

/// Returns the identity of the database: the text of its identity table, or else a digest of its path.
pub fn identity(connection: &Connection, file: &DatabaseFile) -> Result<String, EngineError> {
    let has_table: bool = connection
        .query_row(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1)",
            [IDENTITY_TABLE],
            |row| row.get(0),
        )
        .map_err(map_driver_error)?;
    if !has_table {
        let path = file.as_os_str().as_encoded_bytes();
        let digest = Digest::of_typed("application/vnd.synapsor.database-path.v1", path);
        return Ok(format!("{PATH_IDENTITY}{}", hex::encode(digest.as_bytes())));
    }
    let sql = format!(
        "SELECT instance FROM {} WHERE id = 1",
        dialect::qualified(IDENTITY_TABLE)
    );
    let instance: Option<String> = connection
        .query_row(&sql, [], |row| row.get(0))
        .optional()
        .map_err(map_driver_error)?;
    let is_usable = |text: &String| {
        (8..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    match instance.filter(is_usable) {
        Some(instance) => Ok(format!("sqlite:{instance}")),
        None => Err(EngineError::new(
            EngineErrorKind::Unreadable,
            "the identity table holds no usable text",
        )
        .because(ErrorCause::IdentityDamaged)),
    }
}

/// Returns the receipt of a proposal as this connection sees it, those of up to [`KNOWN_RECEIPTS_MAX`]
/// others, and every freeze and lift.
pub fn receipts(
    connection: &Connection,
    table: &str,
    proposal_id: &str,
    known: &[&str],
) -> Result<FoundReceipts, EngineError> {
    let sql = format!(
        "SELECT {RECEIPT_COLUMNS} FROM {} WHERE proposal_id IN (?1, ?2, ?3) \
         OR (proposal_id >= ?4 AND proposal_id < ?5)",
        dialect::qualified(table)
    );
    // Unused parameters repeat the proposal's own key.
    let asked = known.iter().chain(std::iter::repeat(&proposal_id));
    let mut keys = vec![proposal_id];
    keys.extend(asked.take(KNOWN_RECEIPTS_MAX));
    keys.extend([FIRST_KEY, END_KEY]);
    let mut statement = connection.prepare_cached(&sql).map_err(map_driver_error)?;
    let rows = statement
        .query_map(params_from_iter(keys), receipt_of_row)
        .map_err(map_driver_error)?;
    let rows = rows.collect::<Result<_, _>>().map_err(map_driver_error)?;
    Ok(FoundReceipts::of(rows, proposal_id))
}

/// Returns receipts before a mark, newest first.
pub fn receipts_before(
    connection: &Connection,
    table: &str,
    before: Option<&RowMark>,
    rows_max: u32,
) -> Result<Vec<StoredReceipt>, EngineError> {
    let wanted = match before {
        None => "",
        Some(_) => "WHERE created_at <= ?2 AND (created_at < ?2 OR proposal_id < ?3) ",
    };
    let sql = format!(
        "SELECT {RECEIPT_COLUMNS} FROM {} {wanted}ORDER BY created_at DESC, proposal_id DESC LIMIT ?1",
        dialect::qualified(table)
    );
    let mut statement = connection.prepare_cached(&sql).map_err(map_driver_error)?;
    let found = match before {
        None => statement.query_map([rows_max], receipt_of_row),
        Some(mark) => statement.query_map((rows_max, &mark.created_at, &mark.proposal_id), receipt_of_row),
    };
    found
        .map_err(map_driver_error)?
        .collect::<Result<_, _>>()
        .map_err(map_driver_error)
}

/// Returns receipts ordered by time, oldest first.
pub fn receipts_since(
    connection: &Connection,
    table: &str,
    from: &str,
    rows_max: u32,
) -> Result<Vec<StoredReceipt>, EngineError> {
    let sql = format!(
        "SELECT {RECEIPT_COLUMNS} FROM {} WHERE created_at >= ?1 ORDER BY created_at, proposal_id LIMIT ?2",
        dialect::qualified(table)
    );
    let mut statement = connection.prepare_cached(&sql).map_err(map_driver_error)?;
    let found = statement
        .query_map((from, rows_max), receipt_of_row)
        .map_err(map_driver_error)?;
    found.collect::<Result<_, _>>().map_err(map_driver_error)
}

/// The columns of a receipt in the order of [`receipt_of_row`] and of the insert.
pub const RECEIPT_COLUMNS: &str = "proposal_id, proposal_digest, outcome, reason, rows_affected, \
    previous_version, new_version, fence, executor_id, ledger_size, ledger_root, db_identity, created_at, \
    receipt, executor_key, executor_sig";

fn receipt_of_row(row: &Row<'_>) -> rusqlite::Result<StoredReceipt> {
    let unsigned = |index| {
        let number: i64 = row.get(index)?;
        u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, number))
    };
    Ok(StoredReceipt {
        proposal_id: row.get(0)?,
        proposal_digest: row.get(1)?,
        outcome: row.get(2)?,
        reason: row.get(3)?,
        rows_affected: row.get(4)?,
        previous_version: row.get(5)?,
        new_version: row.get(6)?,
        fence: unsigned(7)?,
        executor_id: row.get(8)?,
        ledger_size: unsigned(9)?,
        ledger_root: row.get(10)?,
        db_identity: row.get(11)?,
        created_at: row.get(12)?,
        receipt: row.get(13)?,
        executor_key: row.get(14)?,
        executor_sig: row.get(15)?,
    })
}

/// Only the database's own schema is supported.
pub fn require_schema(schema: &str) -> Result<(), EngineError> {
    if schema == SCHEMA {
        Ok(())
    } else {
        Err(EngineError::new(
            EngineErrorKind::NotFound,
            "SQLite supports only the schema `main`",
        ))
    }
}
