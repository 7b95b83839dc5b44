//! Reads rows, receipts and the identity of the database on any connection.

use synapsor_domain::digest::Digest;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::value::ColumnValue;

use super::connect::{BASE_TABLE, Flavor, IDENTITY_TABLE};
use super::dialect::{self, Statement};
use super::session::{BindValue, Cells, MysqlConn, MysqlStatementError};
use synapsor_source::error::{EngineError, EngineErrorKind};
use synapsor_source::error_cause::ErrorCause;
use synapsor_source::row_size::{check_size, error_in};
use synapsor_source::switch_row::{END_KEY, FIRST_KEY};
use synapsor_source::{
    FoundReceipts, KNOWN_RECEIPTS_MAX, RECEIPTS_PER_STATEMENT_MAX, RowMark, RowPlan, SourceReceipts,
    StoredReceipt,
};

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

/// Returns the rows of a plan, at most two, from the result of its statement.
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
        for (at, column) in statement.columns.iter().enumerate() {
            let value = dialect::value(column, cells.bytes(at + 1));
            let in_column = |error: EngineError| match plan.columns.get(at) {
                Some(name) => error_in(error, name),
                None => error,
            };
            values.push(value.map_err(in_column)?);
        }
        check_size(plan, &values)?;
        // SQL has compared them already; this finds differences that SQL's comparison ignores.
        let is_same = plan
            .conditions()
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

/// Returns the identity of the database: the server, its database, and the identity mark inside.
pub async fn identity(session: &mut MysqlConn, schema: &str) -> Result<String, MysqlStatementError> {
    let server = session.server()?.clone();
    if server.has_marker && session.table_type(schema, IDENTITY_TABLE).await?.as_deref() != Some(BASE_TABLE) {
        // One damaged source must not prevent the start of a process that has others.
        return Err(unfit_identity(EngineErrorKind::Unreadable).into());
    }
    let (own, mark) = (server_words(server.flavor), mark_words(server.has_marker, schema));
    let answer = session.rows(&format!("SELECT {own}, {mark}"), Vec::new()).await?;
    let cells = answer.first().ok_or_else(missing)?;
    Ok(identity_of(schema, &cells.text(0)?, cells.optional(1)?)?)
}

/// Error for an identity table that is not the migration's.
pub fn unfit_identity(kind: EngineErrorKind) -> EngineError {
    EngineError::new(kind, "the identity table is not the one of the migration")
        .because(ErrorCause::IdentityDamaged)
}

/// Returns the server's own identity, as one expression.
pub const fn server_words(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::Mysql => "@@server_uuid",
        // Every copy has the same number too, so the host is added.
        Flavor::MariaDb => "CONCAT_WS('|', @@server_id, @@hostname, @@port, @@datadir)",
    }
}

/// Returns the identity mark inside the database, as one expression.
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

/// Combines server, database and mark into one short string. The server part is hashed: it can contain a host
/// name.
pub fn identity_of(schema: &str, server: &str, mark: Option<String>) -> Result<String, EngineError> {
    let is_usable =
        |mark: &str| mark.len() <= 64 && mark.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let mark = mark.filter(|mark| is_usable(mark)).ok_or_else(|| {
        EngineError::new(
            EngineErrorKind::Unreadable,
            "the identity table holds no usable text",
        )
        .because(ErrorCause::IdentityDamaged)
    })?;
    let words = format!("{server}\n{schema}\n{mark}");
    let digest = Digest::of_typed("application/vnd.synapsor.mysql-database.v1", words.as_bytes());
    Ok(format!("mysql:{}", &hex::encode(digest.as_bytes())[..40]))
}

/// Returns the receipt of a proposal as this connection sees it, those of up to [`KNOWN_RECEIPTS_MAX`]
/// others, and every freeze and lift.
pub async fn receipts(
    session: &mut MysqlConn,
    table: &str,
    proposal_id: &str,
    known: &[&str],
) -> Result<FoundReceipts, MysqlStatementError> {
    let sql = format!(
        "SELECT {} FROM {table} WHERE proposal_id = ? OR proposal_id = ? OR proposal_id = ? \
         OR (proposal_id >= ? AND proposal_id < ?)",
        receipt_cells()
    );
    // One statement for any number of known receipts: unused parameters repeat the proposal's own key.
    let asked = known.iter().chain(std::iter::repeat(&proposal_id));
    let mut keys = vec![proposal_id];
    keys.extend(asked.take(KNOWN_RECEIPTS_MAX));
    let ends = [FIRST_KEY, END_KEY];
    let arguments = keys
        .iter()
        .chain(&ends)
        .map(|text| BindValue::Text((*text).to_owned()));
    let answer = session.rows(&sql, arguments.collect()).await?;
    let rows = answer.iter().map(receipt_of_row).collect::<Result<Vec<_>, _>>()?;
    // A key that is equal only by collation is another key.
    let exact = |row: &StoredReceipt| keys.contains(&row.proposal_id.as_str()) || row.is_switch();
    Ok(FoundReceipts::of(
        rows.into_iter().filter(exact).collect(),
        proposal_id,
    ))
}

/// Returns the receipts of several proposals, with the identity of a server that takes writes; see
/// `Engine::find_receipts`.
pub async fn receipts_of(
    session: &mut MysqlConn,
    (schema, table): (&str, &str),
    ids: &[ProposalId],
) -> Result<SourceReceipts, MysqlStatementError> {
    let server = session.server()?;
    let (own, mark) = (server_words(server.flavor), mark_words(server.has_marker, schema));
    let read_only = read_only_words(server.flavor);
    // One statement for any number of ids: unused parameters repeat the last id.
    let last = ids.last().map(ProposalId::as_str).unwrap_or_default();
    let asked = ids.iter().map(ProposalId::as_str).chain(std::iter::repeat(last));
    let keys: Vec<_> = asked.take(RECEIPTS_PER_STATEMENT_MAX).collect();
    // The single row on the left returns the server's facts even if it holds none of the receipts.
    let sql = format!(
        "SELECT {}, {own}, {mark}, CAST({read_only} AS CHAR) FROM (SELECT 1) one \
         LEFT JOIN {table} ON proposal_id IN ({})",
        receipt_cells(),
        vec!["?"; RECEIPTS_PER_STATEMENT_MAX].join(", ")
    );
    let arguments = keys
        .iter()
        .map(|key| BindValue::Text((*key).to_owned()))
        .collect();
    let answer = session.rows(&sql, arguments).await?;
    let first = answer.first().ok_or_else(missing)?;
    let facts = RECEIPT_COLUMNS.len();
    if first.text(facts + 2)? != "0" {
        let text = "the server is read-only; missing rows may still be replicated";
        return Err(EngineError::new(EngineErrorKind::Unavailable, text)
            .because(ErrorCause::TakesNoWrites)
            .into());
    }
    let identity = identity_of(schema, &first.text(facts)?, first.optional(facts + 1)?)?;
    let mut receipts = Vec::new();
    for cells in &answer {
        if cells.optional(0)?.is_some() {
            receipts.push(receipt_of_row(cells)?);
        }
    }
    // A key that is equal only by collation is another key.
    receipts.retain(|row| keys.contains(&row.proposal_id.as_str()));
    Ok(SourceReceipts { identity, receipts })
}

/// Returns whether the server is read-only, as one expression.
pub const fn read_only_words(flavor: Flavor) -> &'static str {
    match flavor {
        Flavor::Mysql => "@@global.read_only + @@global.super_read_only + @@innodb_read_only",
        Flavor::MariaDb => "@@global.read_only + @@innodb_read_only",
    }
}

/// Returns receipts before a mark, newest first.
pub async fn receipts_before(
    session: &mut MysqlConn,
    table: &str,
    before: Option<&RowMark>,
    rows_max: u32,
) -> Result<Vec<StoredReceipt>, MysqlStatementError> {
    let (wanted, arguments) = match before {
        None => ("", Vec::new()),
        Some(RowMark {
            created_at,
            proposal_id,
        }) => (
            "WHERE created_at <= ? AND (created_at < ? OR proposal_id < ?) ",
            [created_at, created_at, proposal_id]
                .map(|text| BindValue::Text(text.clone()))
                .to_vec(),
        ),
    };
    let sql = format!(
        "SELECT {} FROM {table} {wanted}ORDER BY created_at DESC, proposal_id DESC LIMIT {rows_max}",
        receipt_cells()
    );
    let answer = session.rows(&sql, arguments).await?;
    Ok(answer.iter().map(receipt_of_row).collect::<Result<_, _>>()?)
}

/// Returns receipts ordered by time, oldest first.
pub async fn receipts_since(
    session: &mut MysqlConn,
    table: &str,
    from: String,
    rows_max: u32,
) -> Result<Vec<StoredReceipt>, MysqlStatementError> {
    let sql = format!(
        "SELECT {} FROM {table} WHERE created_at >= ? ORDER BY created_at, proposal_id LIMIT {rows_max}",
        receipt_cells()
    );
    let answer = session.rows(&sql, vec![BindValue::Text(from)]).await?;
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

impl From<EngineError> for MysqlStatementError {
    fn from(error: EngineError) -> Self {
        Self {
            error,
            is_duplicate: false,
            is_lost: false,
        }
    }
}
