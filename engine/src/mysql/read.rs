//! Rows, receipts and the identity of the database, as any connection sees them.

use synapsor_domain::digest::Digest;
use synapsor_domain::limits::ROW_BYTES_MAX;
use synapsor_domain::value::ColumnValue;

use super::connect::{Flavor, IDENTITY_TABLE};
use super::dialect::{self, Statement};
use super::session::{Arg, Cells, Failed, Session};
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::switch_row::{END_KEY, FIRST_KEY};
use synapsor_source::{FoundReceipts, RowPlan, StoredReceipt};

/// The columns of a receipt in the order of [`receipt_of_row`] and of the insert.
pub const RECEIPT_COLUMNS: [&str; 16] = [
    "proposal_id",
    "proposal_digest",
    "outcome",
    "reason",
    "rows_affected",
    "previous_version",
    "new_version",
    "fence",
    "executor_id",
    "ledger_size",
    "ledger_root",
    "db_identity",
    "created_at",
    "receipt",
    "executor_key",
    "executor_sig",
];

/// The rows of a plan, at most two, from the answer to its statement.
pub fn rows_of(
    plan: &RowPlan,
    statement: &Statement,
    answer: &[Cells],
) -> Result<Vec<Vec<ColumnValue>>, EngineError> {
    let mut rows = Vec::new();
    for cells in answer {
        if cells.text(0)? != "0" {
            return Err(EngineError::new(EngineErrorKind::TooLarge, "a value or a row"));
        }
        let mut values = Vec::with_capacity(statement.columns.len());
        let mut bytes = 0;
        for (at, column) in statement.columns.iter().enumerate() {
            let value = dialect::value(column, cells.bytes(at + 1))?;
            if at < plan.columns.len() {
                bytes += value.len_bytes();
            }
            values.push(value);
        }
        if bytes > ROW_BYTES_MAX {
            return Err(EngineError::new(EngineErrorKind::TooLarge, "a row"));
        }
        // SQL compared already; a difference here is one that SQL's comparison does not see.
        let is_same = dialect::key_columns(plan)
            .zip(&values[plan.columns.len()..])
            .all(|(key, value)| key.value == *value && !value.is_null());
        if is_same {
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

/// What the database says of itself: the server, which database of it, and the mark inside.
pub async fn identity(session: &mut Session, schema: &str) -> Result<String, Failed> {
    let server = session.server()?;
    let (own, mark) = (server_words(server.flavor), mark_words(server.has_marker, schema));
    let answer = session.rows(&format!("SELECT {own}, {mark}"), Vec::new()).await?;
    let cells = answer.first().ok_or_else(missing)?;
    Ok(identity_of(schema, &cells.text(0)?, cells.optional(1)?)?)
}

/// The server in its own words, as one expression.
pub const fn server_words(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::Mysql => "@@server_uuid",
        // A number that every copy has too, hence with where it runs.
        Flavor::MariaDb => "CONCAT_WS('|', @@server_id, @@hostname, @@port, @@datadir)",
    }
}

/// The mark inside the database, as one expression.
pub fn mark_words(has_marker: bool, schema: &str) -> String {
    if has_marker {
        format!(
            "(SELECT instance FROM {} WHERE id = 1)",
            dialect::qualified(schema, IDENTITY_TABLE)
        )
    } else {
        "''".to_owned()
    }
}

/// Server, database and mark as one short text. What the server says is digested: it can hold a host's name.
pub fn identity_of(schema: &str, server: &str, mark: Option<String>) -> Result<String, EngineError> {
    let is_usable =
        |mark: &str| mark.len() <= 64 && mark.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let mark = mark.filter(|mark| is_usable(mark)).ok_or_else(|| {
        EngineError::new(
            EngineErrorKind::Unreadable,
            "the identity table holds no usable text",
        )
    })?;
    let words = format!("{server}\n{schema}\n{mark}");
    let digest = Digest::of_typed("application/vnd.synapsor.mysql-database.v1", words.as_bytes());
    Ok(format!("mysql:{}", &hex::encode(digest.as_bytes())[..40]))
}

/// The receipt of a proposal as this connection sees it, and every freeze and lift.
pub async fn receipts(
    session: &mut Session,
    table: &str,
    proposal_id: &str,
) -> Result<FoundReceipts, Failed> {
    let sql = format!(
        "SELECT {} FROM {table} WHERE proposal_id = ? OR (proposal_id >= ? AND proposal_id < ?)",
        receipt_cells()
    );
    let arguments = [proposal_id, FIRST_KEY, END_KEY].map(|text| Arg::Text(text.to_owned()));
    let answer = session.rows(&sql, arguments.to_vec()).await?;
    let rows = answer.iter().map(receipt_of_row).collect::<Result<Vec<_>, _>>()?;
    // A key that only looks alike is another one.
    let exact = |row: &StoredReceipt| row.proposal_id == proposal_id || row.is_switch();
    Ok(FoundReceipts::of(rows.into_iter().filter(exact).collect()))
}

/// Receipts by their time, oldest first.
pub async fn receipts_since(
    session: &mut Session,
    table: &str,
    from: String,
    rows_max: u32,
) -> Result<Vec<StoredReceipt>, Failed> {
    let sql = format!(
        "SELECT {} FROM {table} WHERE created_at >= ? ORDER BY created_at, proposal_id LIMIT {rows_max}",
        receipt_cells()
    );
    let answer = session.rows(&sql, vec![Arg::Text(from)]).await?;
    Ok(answer.iter().map(receipt_of_row).collect::<Result<_, _>>()?)
}

fn receipt_cells() -> String {
    let cell = |name: &str| match name {
        "rows_affected" | "fence" | "ledger_size" => format!("CAST({name} AS CHAR)"),
        _ => name.to_owned(),
    };
    RECEIPT_COLUMNS.map(cell).join(", ")
}

fn receipt_of_row(cells: &Cells) -> Result<StoredReceipt, EngineError> {
    let number = |at| -> Result<u64, EngineError> { cells.text(at)?.parse().map_err(|_| missing()) };
    Ok(StoredReceipt {
        proposal_id: cells.text(0)?,
        proposal_digest: cells.text(1)?,
        outcome: cells.text(2)?,
        reason: cells.text(3)?,
        rows_affected: u32::try_from(number(4)?).map_err(|_| missing())?,
        previous_version: cells.optional(5)?,
        new_version: cells.optional(6)?,
        fence: number(7)?,
        executor_id: cells.text(8)?,
        ledger_size: number(9)?,
        ledger_root: cells.text(10)?,
        db_identity: cells.text(11)?,
        created_at: cells.text(12)?,
        receipt: cells.text(13)?,
        executor_key: cells.text(14)?,
        executor_sig: cells.text(15)?,
    })
}

fn missing() -> EngineError {
    EngineError::new(EngineErrorKind::Unreadable, "an answer is not as expected")
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Self {
        Self {
            error,
            is_duplicate: false,
            is_lost: false,
        }
    }
}
