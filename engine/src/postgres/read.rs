//! Reads rows and receipts on any connection.

use synapsor_domain::ids::ProposalId;
use synapsor_domain::schema::TableSchema;
use synapsor_domain::value::{ColumnValue, Value};

use super::connect::PgPooledConnection;
use super::dialect::{self, Statement, TableExtent};
use super::inspect::receipt_schema;
use super::session::ServerFacts;
use super::types::Family;
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::ErrorCause;
use synapsor_source::row_size::{check_size, error_in};
use synapsor_source::switch_row::{END_KEY, FIRST_KEY};
use synapsor_source::{
    FoundReceipts, KNOWN_RECEIPTS_MAX, ReceiptTable, RowMark, RowPlan, SourceReceipts, StoredReceipt,
};

/// The columns of a receipt as text, in the order of the insert.
pub const RECEIPT_COLUMNS: &str = "proposal_id, proposal_digest, outcome, reason, rows_affected, \
    previous_version, new_version, fence, executor_id, ledger_size, ledger_root, db_identity, created_at, \
    receipt, executor_key, executor_sig";
/// Columns of a receipt.
pub const RECEIPT_COLUMNS_COUNT: usize = 16;
const RECEIPT_TEXTS: &str = "proposal_id, proposal_digest, outcome, reason, rows_affected::pg_catalog.text, \
    previous_version, new_version, fence::pg_catalog.text, executor_id, ledger_size::pg_catalog.text, ledger_root, \
    db_identity, created_at, receipt, executor_key, executor_sig";

/// Returns the rows of a plan, at most two.
pub async fn rows(
    lease: &mut PgPooledConnection,
    plan: &RowPlan,
    shape: &TableSchema,
) -> Result<Vec<Vec<ColumnValue>>, EngineError> {
    let Some(statement) = dialect::select_row(plan, shape, TableExtent::Whole)? else {
        return Ok(Vec::new());
    };
    let names = plan
        .columns
        .iter()
        .chain(plan.conditions().map(|key| &key.column));
    let names: Vec<&String> = names.collect();
    match lease.fetch_columns(statement, &names).await {
        Ok(found) => exact_rows(&found, plan, shape),
        Err(error) if error.kind == EngineErrorKind::Unreadable && error.cause == ErrorCause::Unspecified => {
            Err(unreadable_in(lease, plan, shape).await.unwrap_or(error))
        }
        Err(error) => Err(error),
    }
}

/// Returns the error of the first column whose value cannot be read. The server itself does not name it.
async fn unreadable_in(
    lease: &mut PgPooledConnection,
    plan: &RowPlan,
    shape: &TableSchema,
) -> Option<EngineError> {
    for name in &plan.columns {
        let text = Family::of(dialect::column(shape, name).ok()?).text_of(&dialect::own(name));
        let statement = dialect::select_columns(plan, shape, &text, TableExtent::Whole).ok()??;
        match lease.fetch(statement).await {
            Err(error) if error.kind == EngineErrorKind::Unreadable => return Some(error_in(error, name)),
            Err(_) => return None,
            Ok(_) => {}
        }
    }
    None
}

/// Converts the rows of a [`dialect::select_row`] statement to exact values.
pub fn exact_rows(
    found: &[Vec<Option<String>>],
    plan: &RowPlan,
    shape: &TableSchema,
) -> Result<Vec<Vec<ColumnValue>>, EngineError> {
    let mut rows = Vec::new();
    for found in found {
        rows.extend(exact_row(found, plan, shape)?);
    }
    Ok(rows)
}

/// Returns the row as exact values, unless its key or tenant differs byte for byte.
pub fn exact_row(
    found: &[Option<String>],
    plan: &RowPlan,
    shape: &TableSchema,
) -> Result<Option<Vec<ColumnValue>>, EngineError> {
    let values = exact_values(found, plan, shape)?;
    // SQL has compared them already; this finds differences that SQL's comparison ignores.
    let mut keys = plan.conditions().zip(&values[plan.columns.len()..]);
    if !keys.all(|(key, value)| key.value == *value) {
        return Ok(None);
    }
    let columns = plan.columns.iter().zip(values);
    Ok(Some(
        columns
            .map(|(name, value)| ColumnValue::new(name.clone(), value))
            .collect(),
    ))
}

fn exact_values(
    found: &[Option<String>],
    plan: &RowPlan,
    shape: &TableSchema,
) -> Result<Vec<Value>, EngineError> {
    let names = plan
        .columns
        .iter()
        .chain(plan.conditions().map(|key| &key.column));
    let mut values = Vec::with_capacity(found.len());
    for (name, text) in names.zip(found) {
        let value = Family::of(dialect::column(shape, name)?).value(text.as_deref());
        values.push(value.map_err(|error| error_in(error, name))?);
    }
    check_size(plan, &values)?;
    Ok(values)
}

/// Returns the receipt of a proposal as this connection sees it, those of up to [`KNOWN_RECEIPTS_MAX`]
/// others, and every freeze and lift.
pub async fn receipts(
    lease: &mut PgPooledConnection,
    receipts: &ReceiptTable,
    proposal_id: &str,
    known: &[&str],
) -> Result<FoundReceipts, EngineError> {
    let mut parameters = Vec::new();
    let sql = select_receipts(receipts, proposal_id, known, &mut parameters);
    let found = lease.fetch(Statement { sql, parameters }).await?;
    found_receipts(found.iter().map(Vec::as_slice), proposal_id)
}

/// Converts the rows of a [`select_receipts`] statement.
pub fn found_receipts<'a>(
    rows: impl IntoIterator<Item = &'a [Option<String>]>,
    proposal_id: &str,
) -> Result<FoundReceipts, EngineError> {
    let rows: Result<Vec<_>, _> = rows.into_iter().map(receipt_of_row).collect();
    Ok(FoundReceipts::of(rows?, proposal_id))
}

/// Builds one statement for any number of known receipts: an unused parameter repeats the proposal's own key,
/// and its part then returns nothing. It has one part per key instead of one condition: a plan made while the
/// table is small would otherwise scan the whole table from then on. Appends its parameters.
pub fn select_receipts(
    receipts: &ReceiptTable,
    proposal_id: &str,
    known: &[&str],
    parameters: &mut Vec<Option<String>>,
) -> String {
    let before = parameters.len();
    let known = known.iter().copied().chain(std::iter::repeat(proposal_id));
    let keys = [proposal_id]
        .into_iter()
        .chain(known.take(KNOWN_RECEIPTS_MAX))
        .chain([FIRST_KEY, END_KEY]);
    parameters.extend(keys.map(|key| Some(key.to_owned())));
    let table = receipt_table(receipts);
    let key = |at: usize| format!("${}::pg_catalog.text COLLATE pg_catalog.\"C\"", before + at);
    let part = |condition: String| format!("SELECT {RECEIPT_TEXTS} FROM ONLY {table} WHERE {condition}");
    let is = |at: usize| format!("proposal_id OPERATOR(pg_catalog.=) {}", key(at));
    let differ = |one: usize, other: usize| format!("{} OPERATOR(pg_catalog.<>) {}", key(one), key(other));
    let parts = [
        part(is(1)),
        part(format!("{} AND {}", is(2), differ(2, 1))),
        part(format!("{} AND {} AND {}", is(3), differ(3, 1), differ(3, 2))),
        part(format!(
            "proposal_id OPERATOR(pg_catalog.>=) {} AND proposal_id OPERATOR(pg_catalog.<) {}",
            key(4),
            key(5)
        )),
    ];
    parts.join(" UNION ALL ")
}

/// Returns the receipts of several proposals, with the identity of a primary; see `Engine::find_receipts`.
pub async fn receipts_of(
    lease: &mut PgPooledConnection,
    receipts: &ReceiptTable,
    ids: &[ProposalId],
) -> Result<SourceReceipts, EngineError> {
    // Ids contain no characters that need quotes in an array.
    let ids: Vec<&str> = ids.iter().map(ProposalId::as_str).collect();
    let facts = lease.readable_identity().facts();
    let statement = Statement {
        // The single row on the left returns the server's facts even if it holds none of the receipts.
        sql: format!(
            "SELECT {RECEIPT_TEXTS}, {facts} FROM (SELECT 1) one LEFT JOIN ONLY {} \
             ON proposal_id OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text::pg_catalog.text[])",
            receipt_table(receipts)
        ),
        parameters: vec![Some(format!("{{{}}}", ids.join(",")))],
    };
    let rows = lease.fetch(statement).await?;
    let missing = || EngineError::new(EngineErrorKind::Unavailable, "the server did not answer");
    let facts = rows.first().and_then(|row| row.get(RECEIPT_COLUMNS_COUNT..));
    let facts = ServerFacts::of_row(facts.ok_or_else(missing)?)?;
    if facts.is_standby {
        // Missing rows may still be replicated.
        let text = "the server is a standby";
        return Err(EngineError::new(EngineErrorKind::Unavailable, text).because(ErrorCause::TakesNoWrites));
    }
    let found = rows.iter().filter(|row| row[0].is_some());
    Ok(SourceReceipts {
        identity: facts.identity,
        receipts: found.map(|row| receipt_of_row(row)).collect::<Result<_, _>>()?,
    })
}

/// Returns receipts before a mark, newest first.
pub async fn receipts_before(
    lease: &mut PgPooledConnection,
    receipts: &ReceiptTable,
    before: Option<&RowMark>,
    rows_max: u32,
) -> Result<Vec<StoredReceipt>, EngineError> {
    let order = "ORDER BY created_at COLLATE pg_catalog.\"C\" DESC, proposal_id COLLATE pg_catalog.\"C\" DESC \
                 LIMIT $1::pg_catalog.text::bigint";
    let mut parameters = vec![Some(rows_max.to_string())];
    let wanted = match before {
        None => String::new(),
        Some(mark) => {
            parameters.extend([Some(mark.created_at.clone()), Some(mark.proposal_id.clone())]);
            "WHERE created_at OPERATOR(pg_catalog.<=) $2::pg_catalog.text COLLATE pg_catalog.\"C\" \
             AND (created_at OPERATOR(pg_catalog.<) $2::pg_catalog.text COLLATE pg_catalog.\"C\" \
               OR proposal_id OPERATOR(pg_catalog.<) $3::pg_catalog.text COLLATE pg_catalog.\"C\") "
                .to_owned()
        }
    };
    let table = receipt_table(receipts);
    let statement = Statement {
        sql: format!("SELECT {RECEIPT_TEXTS} FROM ONLY {table} {wanted}{order}"),
        parameters,
    };
    let rows = lease.fetch(statement).await?;
    rows.iter().map(|row| receipt_of_row(row)).collect()
}

/// Returns receipts ordered by time, oldest first.
pub async fn receipts_since(
    lease: &mut PgPooledConnection,
    receipts: &ReceiptTable,
    from: String,
    rows_max: u32,
) -> Result<Vec<StoredReceipt>, EngineError> {
    let statement = Statement {
        sql: format!(
            "SELECT {RECEIPT_TEXTS} FROM ONLY {} \
             WHERE created_at OPERATOR(pg_catalog.>=) $1::pg_catalog.text COLLATE pg_catalog.\"C\" \
             ORDER BY created_at COLLATE pg_catalog.\"C\", proposal_id COLLATE pg_catalog.\"C\" \
             LIMIT $2::pg_catalog.text::bigint",
            receipt_table(receipts)
        ),
        parameters: vec![Some(from), Some(rows_max.to_string())],
    };
    lease
        .fetch(statement)
        .await?
        .iter()
        .map(|row| receipt_of_row(row))
        .collect()
}

/// Returns the qualified name of the receipt table.
pub fn receipt_table(receipts: &ReceiptTable) -> String {
    dialect::qualified(receipt_schema(receipts), &receipts.table)
}

pub fn receipt_of_row(row: &[Option<String>]) -> Result<StoredReceipt, EngineError> {
    let unreadable = || EngineError::new(EngineErrorKind::Unreadable, "a receipt's column");
    let optional = |at: usize| row.get(at).cloned().flatten();
    let text = |at| optional(at).ok_or_else(unreadable);
    let number = |at| text(at)?.parse::<u64>().map_err(|_| unreadable());
    Ok(StoredReceipt {
        proposal_id: text(0)?,
        proposal_digest: text(1)?,
        outcome: text(2)?,
        reason: text(3)?,
        rows_affected: text(4)?.parse().map_err(|_| unreadable())?,
        previous_version: optional(5),
        new_version: optional(6),
        fence: number(7)?,
        executor_id: text(8)?,
        ledger_size: number(9)?,
        ledger_root: text(10)?,
        db_identity: text(11)?,
        created_at: text(12)?,
        receipt: text(13)?,
        executor_key: text(14)?,
        executor_sig: text(15)?,
    })
}
