//! Checks of a writing transaction before its first write, after its UPDATE, and before COMMIT.
//!
//! Once the transaction has read both tables, metadata locks prevent other sessions from altering them or
//! adding triggers until COMMIT. The remaining risk is foreign code on this very connection; see `tables`.

use std::time::Duration;

use synapsor_domain::foreign_code::{Acknowledged, CodeForm, ForeignCode};
use synapsor_domain::writeback::MYSQL_ROWS_MODIFIED;

use synapsor_engine::mysql::dialect::qualified;
use synapsor_engine::mysql::inspect::Described;
use synapsor_engine::mysql::session::MysqlConn;
use synapsor_source::{EngineError, EngineErrorKind};

use crate::violation::{CheckError, Violation, ViolationKind};

/// Maximum number of requests for a new copy of the server's transaction list.
const COUNT_TRIES: u32 = 8;
/// Time without reads after which InnoDB refreshes the copy of its transactions, plus a margin.
const COPY_AGE: Duration = Duration::from_millis(105);

/// The receipt table and its spelling in statements.
#[derive(Debug, Clone)]
pub(super) struct Receipts {
    pub(super) schema: String,
    pub(super) table: String,
    /// Whether the contract itself names the database.
    pub(super) is_named: bool,
}

impl Receipts {
    pub(super) fn qualified_name(&self) -> String {
        qualified(&self.schema, &self.table)
    }
}

/// Requires receipt and change in one database: replication filters and backups by database then keep or lose
/// both. A contract that names the receipt database declares that it is another one.
pub(super) fn same_database(receipts: &Receipts, schema: &str) -> Result<(), CheckError> {
    if receipts.is_named || receipts.schema == schema {
        return Ok(());
    }
    let detail = format!(
        "the receipt table is in another database than `{schema}`: name it as `receipt_schema` of the source"
    );
    Err(violation(ViolationKind::ReceiptTable, detail))
}

/// Requires an ordinary table as target: reading it ran no code.
pub(super) fn base_table(described: &Described) -> Result<(), CheckError> {
    let shape = &described.shape;
    let is_other = |word: &&String| matches!(word.as_str(), "view" | "virtual");
    match shape.traits.iter().find(is_other) {
        Some(_) => Err(violation(
            ViolationKind::TargetChanged,
            format!("`{}` is no longer a table", shape.table),
        )),
        None => Ok(()),
    }
}

/// Requires that the target's catalog lists all code, that this is exactly the checked code, and that the
/// receipt table has no trigger.
pub(super) fn catalog(
    described: &Described,
    receipts: &Receipts,
    allowed: &Acknowledged,
) -> Result<(), CheckError> {
    receipt_triggers(described, receipts)?;
    let foreign = |detail: String| Err(violation(ViolationKind::ForeignCode, detail));
    let table = &described.shape.table;
    if !described.is_complete {
        return foreign(format!("triggers and foreign keys of `{table}` are not visible"));
    }
    let found = &described.shape.foreign_code;
    if allowed.code() == found.as_slice() {
        return Ok(());
    }
    let is_verified = |code: &&ForeignCode| code.form == CodeForm::Closed || allowed.code().contains(code);
    match found.iter().find(|code| !is_verified(code)) {
        Some(code) => foreign(format!(
            "the {} `{}` of `{table}` differs from the checked one",
            code.kind, code.name
        )),
        None => Err(violation(
            ViolationKind::TargetChanged,
            format!("the triggers of `{table}` differ from the checked ones"),
        )),
    }
}

/// Requires that the receipt table verifiably has no trigger.
pub(super) fn receipt_triggers(described: &Described, receipts: &Receipts) -> Result<(), CheckError> {
    let found = |what: &str| {
        let detail = format!("the receipt table `{}` {what}", receipts.table);
        Err(violation(ViolationKind::ReceiptTable, detail))
    };
    match &described.receipts {
        Some(counted) if counted.schema != receipts.schema || counted.table != receipts.table => found(
            "is not the table that the procedures of the migration check: run `writeback migration` again",
        ),
        Some(counted) if counted.count > 0 => found("has a trigger"),
        Some(counted) if counted.is_complete => Ok(()),
        Some(_) => found("may have triggers that the owner of the procedures cannot see"),
        None => found("has no current procedures of the migration: run `writeback migration` again"),
    }
}

pub(super) fn violation(kind: ViolationKind, detail: impl Into<String>) -> CheckError {
    Violation::new(kind, detail).into()
}

/// Drops a temporary table of this connection.
pub(super) async fn drop_temporary(
    session: &mut MysqlConn,
    schema: &str,
    table: &str,
) -> Result<(), EngineError> {
    let table = qualified(schema, table);
    Ok(session.command(format!("DROP TEMPORARY TABLE {table}")).await?)
}

/// Rows that a transaction may have modified when its receipt is inserted.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowsMax {
    /// Rows that this program modified itself: the receipt, and the target row of a change.
    pub(super) own: u64,
    /// Rows that acknowledged code may modify.
    pub(super) acknowledged: u64,
}

/// Checks that foreign code modified no more rows than permitted. Must run when the receipt is inserted.
pub(super) async fn rows_modified(
    session: &mut MysqlConn,
    schema: &str,
    rows_max: RowsMax,
) -> Result<(), CheckError> {
    let procedure = qualified(schema, MYSQL_ROWS_MODIFIED);
    for _ in 0..COUNT_TRIES {
        // Unknown to the code that ran, so no copy that this code caused can contain it.
        let nonce = hex::encode(synapsor_chassis::random::bytes::<16>());
        let call = format!("CALL {procedure}('{nonce}', @synapsor_rows_modified)");
        session.command(call).await.map_err(EngineError::from)?;
        let answer = session.rows("SELECT @synapsor_rows_modified", Vec::new()).await;
        let answer = answer.map_err(EngineError::from)?;
        let answer = answer
            .first()
            .map(|cells| cells.optional(0))
            .transpose()?
            .flatten();
        let counted = answer.filter(|answer| answer.contains(&nonce));
        if let Some(count) = counted.and_then(|answer| answer.split(' ').next()?.parse::<u64>().ok()) {
            let RowsMax { own, acknowledged } = rows_max;
            if count <= own + acknowledged {
                return Ok(());
            }
            let more = count - own;
            return Err(violation(
                ViolationKind::RowsElsewhere,
                format!("{more} rows were modified besides its own, and {acknowledged} may be"),
            ));
        }
        // Not in step with other readers of the list.
        let [jitter] = synapsor_chassis::random::bytes::<1>();
        tokio::time::sleep(COPY_AGE + Duration::from_micros(u64::from(jitter) * 200)).await;
    }
    Err(CheckError::Engine(EngineError::new(
        EngineErrorKind::Busy,
        "InnoDB's list of transactions is being read by other sessions",
    )))
}
