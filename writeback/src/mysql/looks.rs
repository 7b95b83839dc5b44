//! What a writing transaction checks before its first write, after its UPDATE, and before COMMIT.
//!
//! Once both tables were read in the transaction, metadata locks keep everybody from altering them or giving them
//! triggers until COMMIT. What foreign code can do on this very connection is left; see `tables`.

use std::time::Duration;

use synapsor_domain::foreign_code::{Acknowledged, CodeForm, ForeignCode};
use synapsor_domain::writeback::MYSQL_ROWS_MODIFIED;

use synapsor_engine::mysql::dialect::qualified;
use synapsor_engine::mysql::inspect::Described;
use synapsor_engine::mysql::session::MysqlConn;
use synapsor_source::{EngineError, EngineErrorKind};

use crate::violation::{LookError, Violation, ViolationKind};

/// How often the server is asked for a new copy of its list of transactions.
const COUNT_TRIES: u32 = 8;
/// How long InnoDB's copy of its transactions must not be read before it makes another one, and a little more.
const COPY_AGE: Duration = Duration::from_millis(105);

/// The table of receipts and how it is spelled in statements.
#[derive(Debug, Clone)]
pub(super) struct Receipts {
    pub(super) schema: String,
    pub(super) table: String,
    /// Whether the contract itself names the database.
    pub(super) is_named: bool,
}

impl Receipts {
    pub(super) fn place(&self) -> String {
        qualified(&self.schema, &self.table)
    }
}

/// Receipt and change are in one database: filters of replication and backups by database keep or lose both. A
/// contract that names the database of its receipts says that it has another one.
pub(super) fn same_database(receipts: &Receipts, schema: &str) -> Result<(), LookError> {
    if receipts.is_named || receipts.schema == schema {
        return Ok(());
    }
    let detail = format!(
        "the receipt table is in another database than `{schema}`: name it as `receipt_schema` of the source"
    );
    Err(violation(ViolationKind::ReceiptTable, detail))
}

/// The target is an ordinary table: nothing ran when it was read.
pub(super) fn base_table(described: &Described) -> Result<(), LookError> {
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

/// The catalogue of the target knows all code, which is exactly the code that was judged, and the receipt table has
/// no trigger.
pub(super) fn catalogue(
    described: &Described,
    receipts: &Receipts,
    allowed: &Acknowledged,
) -> Result<(), LookError> {
    receipt_triggers(described, receipts)?;
    let foreign = |detail: String| Err(violation(ViolationKind::ForeignCode, detail));
    let table = &described.shape.table;
    if !described.is_complete {
        return foreign(format!("triggers and foreign keys of `{table}` cannot be seen"));
    }
    let found = &described.shape.foreign_code;
    if allowed.code() == found.as_slice() {
        return Ok(());
    }
    let is_judged = |code: &&ForeignCode| code.form == CodeForm::Closed || allowed.code().contains(code);
    match found.iter().find(|code| !is_judged(code)) {
        Some(code) => foreign(format!(
            "the {} `{}` of `{table}` is not what was judged",
            code.kind, code.name
        )),
        None => Err(violation(
            ViolationKind::TargetChanged,
            format!("the triggers of `{table}` are not the ones that were judged"),
        )),
    }
}

/// The receipt table has no trigger, and that can be known.
pub(super) fn receipt_triggers(described: &Described, receipts: &Receipts) -> Result<(), LookError> {
    let found = |what: &str| {
        let detail = format!("the receipt table `{}` {what}", receipts.table);
        Err(violation(ViolationKind::ReceiptTable, detail))
    };
    match &described.receipts {
        Some(counted) if counted.schema != receipts.schema || counted.table != receipts.table => {
            found("is another one than the procedures of the migration know: run `writeback migration` again")
        }
        Some(counted) if counted.count > 0 => found("has a trigger"),
        Some(counted) if counted.is_complete => Ok(()),
        Some(_) => found("has an owner of procedures who cannot see its triggers"),
        None => found("has no current procedures of the migration: run `writeback migration` again"),
    }
}

pub(super) fn violation(kind: ViolationKind, detail: impl Into<String>) -> LookError {
    Violation::new(kind, detail).into()
}

/// Takes a temporary table of this connection away.
pub(super) async fn drop_temporary(
    session: &mut MysqlConn,
    schema: &str,
    table: &str,
) -> Result<(), EngineError> {
    let place = qualified(schema, table);
    Ok(session.command(format!("DROP TEMPORARY TABLE {place}")).await?)
}

/// Rows that a transaction may have modified when its receipt is inserted.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowsMax {
    /// What this program modified itself: the receipt, and the target row of a change.
    pub(super) own: u64,
    /// What acknowledged code may.
    pub(super) acknowledged: u64,
}

/// Code of others modified no more rows than it may. To be asked when the receipt is inserted.
pub(super) async fn rows_modified(
    session: &mut MysqlConn,
    schema: &str,
    rows_max: RowsMax,
) -> Result<(), LookError> {
    let procedure = qualified(schema, MYSQL_ROWS_MODIFIED);
    for _ in 0..COUNT_TRIES {
        // Unknown to the code that ran, so that no copy which that code caused can hold it.
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
        // Not in step with others that ask.
        let [jitter] = synapsor_chassis::random::bytes::<1>();
        tokio::time::sleep(COPY_AGE + Duration::from_micros(u64::from(jitter) * 200)).await;
    }
    Err(LookError::Engine(EngineError::new(
        EngineErrorKind::Busy,
        "InnoDB's list of transactions is being read by others",
    )))
}
