//! Rows and receipts, as any connection sees them.

use synapsor_domain::limits::ROW_BYTES_MAX;
use synapsor_domain::schema::TableShape;
use synapsor_domain::value::{ColumnValue, Value};

use super::connect::Lease;
use super::dialect::{self, Scope, Statement};
use super::inspect::receipt_schema;
use super::types::Family;
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::switch_row::{END_KEY, FIRST_KEY};
use synapsor_source::{FoundReceipts, ReceiptTable, RowPlan, StoredReceipt};

/// The columns of a receipt as text, in the order of the insert.
pub const RECEIPT_COLUMNS: &str = "proposal_id, proposal_digest, outcome, reason, rows_affected, \
    previous_version, new_version, fence, executor_id, ledger_size, ledger_root, db_identity, created_at, \
    receipt, executor_key, executor_sig";
const RECEIPT_TEXTS: &str = "proposal_id, proposal_digest, outcome, reason, rows_affected::pg_catalog.text, \
    previous_version, new_version, fence::pg_catalog.text, executor_id, ledger_size::pg_catalog.text, ledger_root, \
    db_identity, created_at, receipt, executor_key, executor_sig";

/// The rows of a plan, at most two.
pub async fn rows(
    lease: &mut Lease,
    plan: &RowPlan,
    shape: &TableShape,
) -> Result<Vec<Vec<ColumnValue>>, EngineError> {
    let Some(statement) = dialect::select_row(plan, shape, Scope::Whole)? else {
        return Ok(Vec::new());
    };
    exact_rows(&lease.fetch(statement).await?, plan, shape)
}

/// The rows that a statement of [`dialect::select_row`] found, as exact values.
pub fn exact_rows(
    found: &[Vec<Option<String>>],
    plan: &RowPlan,
    shape: &TableShape,
) -> Result<Vec<Vec<ColumnValue>>, EngineError> {
    let mut rows = Vec::new();
    for found in found {
        rows.extend(exact_row(found, plan, shape)?);
    }
    Ok(rows)
}

/// The row as exact values, unless its key or tenant is another one to a comparison byte by byte.
pub fn exact_row(
    found: &[Option<String>],
    plan: &RowPlan,
    shape: &TableShape,
) -> Result<Option<Vec<ColumnValue>>, EngineError> {
    let values = exact_values(found, plan, shape)?;
    // SQL compared already; a difference here is one that SQL's comparison does not see.
    let mut keys = dialect::key_columns(plan).zip(&values[plan.columns.len()..]);
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
    shape: &TableShape,
) -> Result<Vec<Value>, EngineError> {
    let names = plan
        .columns
        .iter()
        .chain(dialect::key_columns(plan).map(|key| &key.column));
    let mut values = Vec::with_capacity(found.len());
    for (name, text) in names.zip(found) {
        values.push(Family::of(dialect::column(shape, name)?).value(text.as_deref())?);
    }
    let bytes: usize = values.iter().take(plan.columns.len()).map(Value::len_bytes).sum();
    if bytes > ROW_BYTES_MAX {
        return Err(EngineError::new(EngineErrorKind::TooLarge, "a row"));
    }
    Ok(values)
}

/// The receipt of a proposal as this connection sees it, and every freeze and lift.
pub async fn receipts(
    lease: &mut Lease,
    receipts: &ReceiptTable,
    proposal_id: &str,
) -> Result<FoundReceipts, EngineError> {
    let found = lease.fetch(select_receipts(receipts, proposal_id, "")).await?;
    let rows: Result<Vec<_>, _> = found.iter().map(|row| receipt_of_row(row)).collect();
    Ok(FoundReceipts::of(rows?))
}

/// The statement that reads the receipt of one proposal and every freeze and lift, with `more` expressions after its
/// columns.
pub fn select_receipts(receipts: &ReceiptTable, proposal_id: &str, more: &str) -> Statement {
    Statement {
        sql: format!(
            "SELECT {RECEIPT_TEXTS}{more} FROM ONLY {} \
             WHERE proposal_id OPERATOR(pg_catalog.=) $1::pg_catalog.text COLLATE pg_catalog.\"C\" \
             OR (proposal_id OPERATOR(pg_catalog.>=) $2::pg_catalog.text COLLATE pg_catalog.\"C\" \
               AND proposal_id OPERATOR(pg_catalog.<) $3::pg_catalog.text COLLATE pg_catalog.\"C\")",
            receipt_table(receipts)
        ),
        parameters: vec![
            Some(proposal_id.to_owned()),
            Some(FIRST_KEY.to_owned()),
            Some(END_KEY.to_owned()),
        ],
    }
}

/// Receipts by their time, oldest first.
pub async fn receipts_since(
    lease: &mut Lease,
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

/// The receipt table's name in statements.
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
