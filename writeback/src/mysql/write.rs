//! One writing transaction: BEGIN, the lock on one row, one UPDATE, its side effects, the receipt, COMMIT.
//! Any error closes the connection, which rolls back; a server error alone (for example 1205) would not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use synapsor_domain::schema::TableSchema;
use synapsor_domain::timestamp::Timestamp;

use crate::transaction::{
    CheckTarget, CommitError, OpenTransaction, RecordError, RowChange, Rows, Transaction,
};
use crate::violation::CheckError;
use synapsor_engine::mysql::connect::BASE_TABLE;
use synapsor_engine::mysql::dialect;
use synapsor_engine::mysql::inspect::{Described, Shapes};
use synapsor_engine::mysql::pool::{MysqlPool, PooledConnection};
use synapsor_engine::mysql::read::{self, RECEIPT_COLUMNS};
use synapsor_engine::mysql::session::{BindValue, MysqlConn, MysqlStatementError};

use super::checks::Receipts;
use super::tables::{self, Tables};
use super::transaction_checks::FirstCheck;
use super::update;
use synapsor_source::{EngineError, EngineErrorKind, FoundReceipts};
use synapsor_source::{RowPlan, StoredReceipt};

/// Timeout of one statement; the server ends reads itself, the writer ends writes.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time that a transaction holds a row. The server ends a silent transaction after the same time.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// A MariaDB table with system versioning.
const VERSIONED_TABLE: &str = "SYSTEM VERSIONED";
const WHICH_CONNECTION: &str = "SELECT CAST(CONNECTION_ID() AS CHAR)";
/// How long to wait for a connection when all are in use.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// Begins a transaction.
pub(crate) async fn begin(
    pool: &Arc<MysqlPool>,
    shapes: &Arc<Shapes>,
) -> Result<OpenTransaction, EngineError> {
    let receipts = Receipts {
        schema: pool.connector.receipt_schema()?,
        table: pool.connector.receipt_table().to_owned(),
        is_named: pool.connector.is_receipt_schema_named(),
    };
    let (mut held, shown) = opened(pool, &receipts).await?;
    // Nothing is read through a view or a temporary table, not even the database's identity.
    if shown.is_identity_unfit(&receipts) {
        return Err(read::unfit_identity(EngineErrorKind::Denied));
    }
    let unreadable_receipts = shown.unreadable_receipts(&receipts);
    let (identity, database_now) = facts(held.session(), &receipts.schema).await?;
    Ok(OpenTransaction {
        transaction: Box::new(MysqlTransaction {
            held,
            shapes: shapes.clone(),
            receipts,
            unreadable_receipts,
            was_read: None,
            touched: Vec::new(),
            first: None,
            found: None,
            is_unfit: false,
        }),
        identity,
        database_now,
        file: None,
    })
}

/// Returns a connection with an open transaction. Replaces a connection that the server closed meanwhile, or
/// that has state left from an earlier transaction.
async fn opened(
    pool: &Arc<MysqlPool>,
    receipts: &Receipts,
) -> Result<(PooledConnection, Tables), EngineError> {
    loop {
        let mut held = pool.take(ACQUIRE_TIMEOUT).await?;
        held.session().limit(STATEMENT_TIMEOUT);
        held.session().until(Instant::now() + TRANSACTION_TIMEOUT);
        match tables::begin(held.session(), receipts).await {
            Ok(shown) if !held.is_reused || shown.is_untouched() => return Ok((held, shown)),
            Ok(_) => tracing::warn!("connection closed because code that ran on it changed its state"),
            // No statement has reached the database yet.
            Err(failed) if held.is_reused && failed.is_lost => {
                drop(held);
                pool.clear();
            }
            Err(failed) => return Err(failed.error),
        }
    }
}

/// Reads identity and clock, and whether this server takes writes, in one statement inside the transaction.
async fn facts(session: &mut MysqlConn, schema: &str) -> Result<(String, Timestamp), EngineError> {
    let unavailable = |why: &str| EngineError::new(EngineErrorKind::Unavailable, why);
    let server = session.server()?;
    if server.is_cluster {
        return Err(EngineError::new(
            EngineErrorKind::Denied,
            "the server is a node of a cluster, whose row locks are local to the node",
        ));
    }
    let read_only = read::read_only_words(server.flavor);
    let sql = format!(
        "SELECT {}, {}, CAST(CONNECTION_ID() AS CHAR), CAST({read_only} AS CHAR), \
         DATE_FORMAT(UTC_TIMESTAMP(3), '%Y-%m-%dT%H:%i:%s.%f')",
        read::server_words(server.flavor),
        read::mark_words(server.has_marker, schema),
    );
    let answer = session.rows(&sql, Vec::new()).await?;
    let cells = answer.first().ok_or_else(|| unavailable("no answer"))?;
    if cells.text(2)? != session.id.to_string() {
        return Err(unavailable("the connection was replaced"));
    }
    if cells.text(3)? != "0" {
        return Err(unavailable("the server is read-only"));
    }
    let identity = read::identity_of(schema, &cells.text(0)?, cells.optional(1)?)?;
    let now = cells.text(4)?;
    // Microseconds, of which only the first three digits are nonzero.
    let now = now.get(..23).and_then(|millis| format!("{millis}Z").parse().ok());
    let now = now.ok_or_else(|| EngineError::new(EngineErrorKind::Unreadable, "the database's clock"))?;
    Ok((identity, now))
}

/// See [`Transaction`].
pub(super) struct MysqlTransaction {
    pub(super) held: PooledConnection,
    pub(super) shapes: Arc<Shapes>,
    pub(super) receipts: Receipts,
    /// The reason why nothing may be read through the receipt table.
    unreadable_receipts: Option<EngineError>,
    /// Schema and name of the table that was read.
    pub(super) was_read: Option<(String, String)>,
    /// Columns that this transaction set.
    pub(super) touched: Vec<String>,
    pub(super) first: Option<FirstCheck>,
    /// Findings after the UPDATE, for the last check to report.
    pub(super) found: Option<CheckError>,
    /// Whether a check found a violation: the connection is closed.
    pub(super) is_unfit: bool,
}

impl MysqlTransaction {
    /// Refuses to read through a view, which runs code of its owner. The later checks find a view created
    /// after this.
    async fn check_before_reading(&mut self, plan: &RowPlan) -> Result<(), EngineError> {
        let kind = self.held.session().table_type(&plan.schema, &plan.table).await?;
        if kind.is_some_and(|kind| kind != BASE_TABLE && kind != VERSIONED_TABLE) {
            self.shapes.forget(&plan.schema, &plan.table);
            return Err(EngineError::new(
                EngineErrorKind::Denied,
                "the target is not a table",
            ));
        }
        Ok(())
    }

    async fn described(&mut self, plan: &RowPlan) -> Result<Arc<Described>, EngineError> {
        match self.shapes.kept(&plan.schema, &plan.table) {
            Some(described) => Ok(described),
            None => Ok(self
                .shapes
                .fresh(self.held.session(), &plan.schema, &plan.table)
                .await?),
        }
    }

    async fn select(&mut self, plan: &RowPlan, lock: bool) -> Result<Rows, EngineError> {
        self.was_read = Some((plan.schema.clone(), plan.table.clone()));
        let described = self.described(plan).await?;
        let result = self.select_described(&described, plan, lock).await;
        if result.is_err() {
            self.shapes.forget(&plan.schema, &plan.table);
        }
        result
    }

    pub(super) async fn select_described(
        &mut self,
        described: &Described,
        plan: &RowPlan,
        lock: bool,
    ) -> Result<Rows, EngineError> {
        let mut statement = dialect::select_row(described, plan)?;
        if lock {
            statement.sql.push_str(" FOR UPDATE");
        }
        let answer = self
            .held
            .session()
            .rows(&statement.sql, statement.args.clone())
            .await?;
        read::rows_of(plan, &statement, &answer)
    }

    async fn change(&mut self, plan: &RowPlan, change: RowChange<'_>) -> Result<u64, EngineError> {
        let described = self.described(plan).await?;
        let session = self.held.session();
        let statement = update::update_row(&described, plan, change, session.id)?;
        let matched = session.execute(&statement.sql, statement.args).await?;
        if matched == 0 {
            // A server that counts changed rows returns 0 for a row that had these values already.
            let count = update::count_matching(&described, plan, change.guard)?;
            let answer = session.rows(&count.sql, count.args).await?;
            let found = answer.first().map(|cells| cells.text(0)).transpose()?;
            if found.is_some_and(|found| found != "0") {
                return Err(EngineError::new(
                    EngineErrorKind::Denied,
                    "CLIENT_FOUND_ROWS is not in effect; a proxy may have removed it",
                ));
            }
        }
        Ok(matched)
    }

    /// Ends an attempt whose error leaves a transaction open on the server: the connection must not be
    /// reused.
    fn fail(&mut self, error: EngineError) -> EngineError {
        self.held.session().give_up();
        error
    }

    /// Like [`Self::fail`]; a statement that succeeded found the violation, so the transaction can be rolled
    /// back.
    fn end(&mut self, error: CheckError) -> CheckError {
        self.is_unfit = true;
        match error {
            CheckError::Engine(error) => CheckError::Engine(self.fail(error)),
            violation => violation,
        }
    }
}

#[async_trait]
impl Transaction for MysqlTransaction {
    async fn lock(&mut self, plan: &RowPlan) -> Result<Rows, EngineError> {
        let verified = self.check_before_reading(plan).await;
        verified.map_err(|error| self.fail(error))?;
        self.select(plan, true).await.map_err(|error| self.fail(error))
    }

    async fn is_visible_unlocked(&mut self, plan: &RowPlan) -> Result<bool, EngineError> {
        let rows = self.select(plan, false).await;
        Ok(!rows.map_err(|error| self.fail(error))?.is_empty())
    }

    async fn find_receipts(&mut self, id: &str, known: &[&str]) -> Result<FoundReceipts, EngineError> {
        if let Some(error) = self.unreadable_receipts.take() {
            return Err(self.fail(error));
        }
        let table = self.receipts.qualified_name();
        let found = read::receipts(self.held.session(), &table, id, known).await;
        found.map_err(|failed| self.fail(failed.error))
    }

    async fn shape(&mut self, schema: &str, table: &str) -> Result<TableSchema, EngineError> {
        let checked = self.first.as_ref().and_then(|first| first.described.as_ref());
        if let Some(described) = checked
            && (described.shape.schema.as_str(), described.shape.table.as_str()) == (schema, table)
        {
            return Ok(described.shape.as_ref().clone());
        }
        let described = self.shapes.fresh(self.held.session(), schema, table).await;
        match described {
            Ok(described) => Ok(described.shape.as_ref().clone()),
            Err(failed) => Err(self.fail(failed.error)),
        }
    }

    fn account_powers(&self) -> &[String] {
        self.first.as_ref().map_or(&[], |first| &first.powers)
    }

    async fn update(&mut self, plan: &RowPlan, change: RowChange<'_>) -> Result<u64, EngineError> {
        let set = change.set.iter().map(|new| new.column.as_str());
        self.touched.extend(set.chain(change.now).map(ToOwned::to_owned));
        let changed = match self.change(plan, change).await {
            Ok(matched) if self.may_have_run_code() => self.check_after_update(plan).await.map(|()| matched),
            changed => changed,
        };
        match changed {
            Ok(matched) => Ok(matched),
            Err(error) => {
                self.shapes.forget(&plan.schema, &plan.table);
                Err(self.fail(error))
            }
        }
    }

    async fn reread(&mut self, plan: &RowPlan) -> Result<Rows, EngineError> {
        self.select(plan, false).await.map_err(|error| self.fail(error))
    }

    async fn side_effects(&mut self, plan: &RowPlan) -> Result<Vec<String>, EngineError> {
        // The row is locked, so the table cannot get a trigger before the COMMIT. The last check looks for
        // new foreign keys once more.
        let checked = self.first.as_ref().and_then(|first| first.described.clone());
        let described = match checked {
            Some(described) => Ok(described),
            None => {
                let fresh = self.shapes.fresh(self.held.session(), &plan.schema, &plan.table);
                fresh.await.map_err(EngineError::from)
            }
        };
        match described {
            Ok(described) => Ok(self.possible_side_effects(&described)),
            Err(error) => Err(self.fail(error)),
        }
    }

    async fn insert_receipt(&mut self, receipt: &StoredReceipt) -> Result<(), RecordError> {
        let table = self.receipts.qualified_name();
        let inserted = insert(self.held.session(), &table, receipt).await;
        inserted.inspect_err(|_| self.held.session().give_up())
    }

    async fn first_check(&mut self, target: Option<CheckTarget<'_>>) -> Result<(), CheckError> {
        let checked = self.run_first_check(target).await;
        self.first = Some(checked.map_err(|error| self.end(error))?);
        Ok(())
    }

    #[cfg(test)]
    fn needs_first_check(&self) -> bool {
        self.first.as_ref().is_none_or(|first| first.has_target)
    }

    async fn last_check(
        &mut self,
        target: Option<CheckTarget<'_>>,
        receipt: &StoredReceipt,
    ) -> Result<Rows, CheckError> {
        let checked = self.run_last_check(target, receipt).await;
        checked.map_err(|error| self.end(error))
    }

    async fn commit(mut self: Box<Self>) -> Result<(), CommitError> {
        let session = self.held.session();
        if !session.is_reusable() {
            let error = EngineError::new(EngineErrorKind::Timeout, "the transaction is no longer open");
            return Err(CommitError::Doubt(error));
        }
        session.unlimited();
        session.limit(COMMIT_TIMEOUT);
        let doubt = |failed: MysqlStatementError| CommitError::Doubt(failed.error);
        session
            .command("COMMIT AND NO CHAIN NO RELEASE".to_owned())
            .await
            .map_err(doubt)?;
        // On a connection that was replaced earlier, COMMIT succeeds and commits nothing.
        let answer = session.rows(WHICH_CONNECTION, Vec::new()).await.map_err(doubt)?;
        let id = answer.first().map(|cells| cells.text(0)).transpose();
        if id.map_err(CommitError::Doubt)? != Some(session.id.to_string()) {
            let error = EngineError::new(EngineErrorKind::Other, "the connection was replaced");
            return Err(CommitError::Doubt(error));
        }
        self.release();
        Ok(())
    }

    async fn roll_back(mut self: Box<Self>) {
        let session = self.held.session();
        if session.is_reusable()
            && session
                .command("ROLLBACK AND NO CHAIN NO RELEASE".to_owned())
                .await
                .is_ok()
        {
            self.release();
        }
    }
}

/// Inserts the receipt on this connection, as the one row of its statement, and reads it back.
async fn insert(session: &mut MysqlConn, table: &str, receipt: &StoredReceipt) -> Result<(), RecordError> {
    let surprise = |what: &str| RecordError::Engine(EngineError::new(EngineErrorKind::Other, what));
    let placeholders = vec!["?"; RECEIPT_COLUMNS.len()].join(", ");
    // Selects from a table of one row, so that a replaced connection inserts nothing.
    let sql = format!(
        "INSERT INTO {table} ({}) SELECT {placeholders} FROM DUAL WHERE CONNECTION_ID() = ?",
        RECEIPT_COLUMNS.join(", ")
    );
    let mut args = parameters(receipt);
    args.push(BindValue::Uint(session.id));
    match session.execute(&sql, args).await {
        Ok(1) => Ok(()),
        Ok(_) => Err(surprise("the receipt was not inserted")),
        Err(failed) if failed.is_duplicate => Err(RecordError::Exists),
        Err(failed) => Err(RecordError::Engine(failed.error)),
    }
}

fn parameters(receipt: &StoredReceipt) -> Vec<BindValue> {
    let text = |text: &str| BindValue::Text(text.to_owned());
    let optional = |text: &Option<String>| text.clone().map_or(BindValue::Null, BindValue::Text);
    vec![
        text(&receipt.proposal_id),
        text(&receipt.proposal_digest),
        text(&receipt.outcome),
        text(&receipt.reason),
        BindValue::Uint(receipt.rows_affected.into()),
        optional(&receipt.previous_version),
        optional(&receipt.new_version),
        BindValue::Uint(receipt.fence),
        text(&receipt.executor_id),
        BindValue::Uint(receipt.ledger_size),
        text(&receipt.ledger_root),
        text(&receipt.db_identity),
        text(&receipt.created_at),
        text(&receipt.receipt),
        text(&receipt.executor_key),
        text(&receipt.executor_sig),
    ]
}
