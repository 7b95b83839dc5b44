//! One writing transaction on a new connection: BEGIN IMMEDIATE, which takes every lock at once, one UPDATE,
//! the count of all changes, the receipt, COMMIT. Any error closes the connection, which rolls back.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::hooks::Action;
use rusqlite::{Connection, params_from_iter};
use synapsor_domain::foreign_code::Acknowledged;
use synapsor_domain::schema::{TableColumn, TableSchema};
use synapsor_domain::timestamp::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;

use super::checks::{self, Definitions};
use crate::transaction::{
    CheckTarget, CommitError, OpenTransaction, RecordError, RowChange, Rows, Transaction,
};
use crate::violation::{CheckError, RECEIPT_DIFFERS};
use synapsor_engine::sqlite::connect::{DatabaseFile, LOCK_TIMEOUT, OpenFiles, Opened, StatementDeadline};
use synapsor_engine::sqlite::error_map::{is_unique_violation, map_driver_error};
use synapsor_engine::sqlite::{dialect, inspect, read};
use synapsor_source::{EngineError, EngineErrorKind, FoundReceipts};
use synapsor_source::{RowPlan, StoredReceipt};

/// Maximum time that a transaction holds the file's one lock.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of reported lines about other changes.
const COLLATERAL_LINES_MAX: usize = 16;

/// Begins a transaction on its own connection.
///
/// Within this process writers queue for the single permit of `turns`: this is cheaper and fairer than
/// SQLite's own waiting, which polls.
pub(crate) async fn begin(
    file: DatabaseFile,
    receipt_table: String,
    turns: Arc<Semaphore>,
) -> Result<OpenTransaction, EngineError> {
    let turn = match tokio::time::timeout(LOCK_TIMEOUT, turns.acquire_owned()).await {
        Ok(Ok(turn)) => turn,
        Ok(Err(_)) | Err(_) => {
            let text = "another transaction of this process holds the file";
            return Err(EngineError::new(EngineErrorKind::Busy, text));
        }
    };
    let opened = tokio::task::spawn_blocking(move || {
        let opened = open(&file, receipt_table, turn)?;
        Ok::<_, EngineError>((opened, file.location()?))
    });
    let ((session, identity, database_now), location) = opened.await.map_err(|_| died())??;
    let deadline = session.deadline.clone();
    let slot = Arc::new(Mutex::new(Some(session)));
    let expiry = tokio::spawn(expire(slot.clone(), deadline)).abort_handle();
    let transaction = Box::new(SqliteTransaction {
        held: TransactionSlot { slot, expiry },
    });
    Ok(OpenTransaction {
        transaction,
        identity,
        database_now,
        file: Some(location),
    })
}

/// Ends a transaction that exceeded its time: interrupts the running statement and closes the connection.
async fn expire(slot: Slot, deadline: Arc<StatementDeadline>) {
    tokio::time::sleep(TRANSACTION_TIMEOUT).await;
    deadline.set_passed();
    let closing = tokio::task::spawn_blocking(move || {
        drop(slot.lock().unwrap_or_else(PoisonError::into_inner).take());
    });
    // A thread that panics while closing has closed the connection as well.
    let _ = closing.await;
}

pub(super) fn open(
    file: &DatabaseFile,
    receipt_table: String,
    turn: OwnedSemaphorePermit,
) -> Result<(SqliteTxConn, String, Timestamp), EngineError> {
    let Opened {
        mut connection,
        deadline,
        mut files,
        ..
    } = file.open_writer()?;
    let changes = Arc::new(Mutex::new(ChangeCounter::default()));
    let seen = changes.clone();
    connection
        .update_hook(Some(
            move |action: Action, schema: &str, table: &str, row: i64| {
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .note(action, schema, table, row);
            },
        ))
        .map_err(map_driver_error)?;
    deadline.set(TRANSACTION_TIMEOUT);
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(map_driver_error)?;
    // The file may have been replaced while this connection waited for the lock.
    files.check_in_place(file)?;
    let identity = read::identity(&connection, file)?;
    let now: String = connection
        .query_row("SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')", [], |row| {
            row.get(0)
        })
        .map_err(map_driver_error)?;
    let now = now
        .parse()
        .map_err(|_| EngineError::new(EngineErrorKind::Unreadable, "the database's clock"))?;
    let total_at_begin = connection.total_changes();
    Ok((
        SqliteTxConn {
            connection,
            file: file.clone(),
            files,
            deadline,
            changes,
            total_at_begin,
            receipt_table,
            definitions: None,
            row_number: None,
            _turn: turn,
        },
        identity,
        now,
    ))
}

/// The connection of one transaction.
pub(super) struct SqliteTxConn {
    pub(super) connection: Connection,
    pub(super) file: DatabaseFile,
    pub(super) files: OpenFiles,
    deadline: Arc<StatementDeadline>,
    changes: Arc<Mutex<ChangeCounter>>,
    total_at_begin: u64,
    pub(super) receipt_table: String,
    /// As the first check found them.
    pub(super) definitions: Option<Definitions>,
    /// Name of the target's row number, as the first check found it; `None` in a table without row numbers.
    pub(super) row_number: Option<&'static str>,
    /// Released after the connection is closed: fields are dropped in their order.
    _turn: OwnedSemaphorePermit,
}

type Slot = Arc<Mutex<Option<SqliteTxConn>>>;

impl SqliteTxConn {
    pub(super) fn changes(&self) -> MutexGuard<'_, ChangeCounter> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the changes besides the target, the receipt and declared rows, by two counts that must agree:
    /// the hook, which names tables, and the connection's own counter.
    pub(super) fn side_effects(&self) -> Vec<String> {
        let counted = self.connection.total_changes() - self.total_at_begin;
        let changes = self.changes();
        let mut lines = changes.others.clone();
        let accounted = changes.total + changes.unreported();
        if counted != accounted {
            lines.push(format!(
                "the database counts {counted} changes, {accounted} were reported or expected"
            ));
        }
        lines
    }
}

/// Changes that SQLite reported since BEGIN. It reports none of tables without row numbers.
#[derive(Default)]
pub(super) struct ChangeCounter {
    target: ExpectedChange,
    /// The receipt table while its one row is inserted.
    receipts: Option<String>,
    /// Declared tables with the number of rows that may still be written there.
    allowed: BTreeMap<String, u32>,
    total: u64,
    others: Vec<String>,
}

/// The one row that may change.
#[derive(Default)]
enum ExpectedChange {
    /// Not yet known, or none.
    #[default]
    None,
    /// A row known by its number, which may change any number of times.
    Numbered { table: String, row: i64 },
    /// A row of a table without row numbers: exactly this many changes are expected and none is reported.
    Unreported { expected: u64 },
}

impl ChangeCounter {
    /// Permits writes to the declared tables.
    pub(super) fn allow(&mut self, allowed: &Acknowledged) {
        let table = |(name, rows): (&str, u32)| Some((name.split_once('.')?.1.to_owned(), rows));
        self.allowed = allowed.writes().filter_map(table).collect();
    }

    /// Whether the change was expected; each receipt and each declared row is expected once.
    fn is_expected(&mut self, action: Action, table: &str, row: i64) -> bool {
        // A deletion and re-insertion of the row, which keeps its number too, is never expected.
        if action == Action::SQLITE_UPDATE
            && matches!(&self.target, ExpectedChange::Numbered { table: t, row: r } if t == table && *r == row)
        {
            return true;
        }
        if action == Action::SQLITE_INSERT && self.receipts.as_deref() == Some(table) {
            self.receipts = None;
            return true;
        }
        match self.allowed.get_mut(table) {
            Some(rows) if *rows > 0 => {
                *rows -= 1;
                true
            }
            _ => false,
        }
    }

    fn note(&mut self, action: Action, schema: &str, table: &str, row: i64) {
        self.total += 1;
        let is_expected = schema == dialect::SCHEMA && self.is_expected(action, table, row);
        if !is_expected && self.others.len() < COLLATERAL_LINES_MAX {
            let what = match action {
                Action::SQLITE_INSERT => "a row was inserted into",
                Action::SQLITE_DELETE => "a row was deleted from",
                Action::SQLITE_UPDATE => "another row was changed in",
                _ => "something was changed in",
            };
            self.others.push(format!("{what} `{table}`"));
        }
    }

    fn unreported(&self) -> u64 {
        match self.target {
            ExpectedChange::Unreported { expected } => expected,
            ExpectedChange::None | ExpectedChange::Numbered { .. } => 0,
        }
    }
}

/// The slot of a transaction, and the task that empties it after the time limit.
struct TransactionSlot {
    slot: Slot,
    expiry: AbortHandle,
}

impl Drop for TransactionSlot {
    fn drop(&mut self) {
        self.expiry.abort();
    }
}

impl TransactionSlot {
    /// Runs `work` on a blocking thread. An error closes the connection there. So does the end of the process
    /// or of the waiting future, because nothing else owns the transaction.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteTxConn) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let slot = self.slot.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let mut session = slot.take().ok_or_else(ended)?;
            let result = work(&mut session)?;
            if session.connection.is_autocommit() {
                return Err(EngineError::new(
                    EngineErrorKind::Other,
                    "the database ended the transaction",
                ));
            }
            *slot = Some(session);
            Ok(result)
        });
        done.await.map_err(|_| died())?
    }
}

impl TransactionSlot {
    /// Like [`Held::run`] for a check: its findings leave the connection open for the rollback.
    async fn check<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SqliteTxConn) -> Result<T, CheckError> + Send + 'static,
    ) -> Result<T, CheckError> {
        let found = self.run(|session| match work(session) {
            Err(CheckError::Engine(error)) => Err(error),
            found => Ok(found),
        });
        found.await?
    }
}

/// See [`Transaction`].
struct SqliteTransaction {
    held: TransactionSlot,
}

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn lock(&mut self, plan: &RowPlan) -> Result<Rows, EngineError> {
        // The lock on the whole file is held since BEGIN.
        self.reread(plan).await
    }

    async fn is_visible_unlocked(&mut self, plan: &RowPlan) -> Result<bool, EngineError> {
        Ok(!self.reread(plan).await?.is_empty())
    }

    async fn find_receipts(&mut self, id: &str, known: &[&str]) -> Result<FoundReceipts, EngineError> {
        let id = id.to_owned();
        let known: Vec<String> = known.iter().map(|key| (*key).to_owned()).collect();
        self.held
            .run(move |s| {
                let known: Vec<&str> = known.iter().map(String::as_str).collect();
                read::receipts(&s.connection, &s.receipt_table, &id, &known)
            })
            .await
    }

    async fn shape(&mut self, schema: &str, table: &str) -> Result<TableSchema, EngineError> {
        let (schema, table) = (schema.to_owned(), table.to_owned());
        self.held
            .run(move |s| inspect::shape(&s.connection, &schema, &table))
            .await
    }

    async fn update(&mut self, plan: &RowPlan, change: RowChange<'_>) -> Result<u64, EngineError> {
        let (plan, set, guard) = (plan.clone(), change.set.to_vec(), change.guard.cloned());
        let now = change.now.map(ToOwned::to_owned);
        self.held
            .run(move |s| {
                let change = RowChange {
                    set: &set,
                    guard: guard.as_ref(),
                    now: now.as_deref(),
                };
                update(s, &plan, change)
            })
            .await
    }

    async fn reread(&mut self, plan: &RowPlan) -> Result<Rows, EngineError> {
        let plan = plan.clone();
        self.held.run(move |s| read::rows(&s.connection, &plan)).await
    }

    async fn side_effects(&mut self, _plan: &RowPlan) -> Result<Vec<String>, EngineError> {
        self.held.run(|s| Ok(s.side_effects())).await
    }

    async fn first_check(&mut self, target: Option<CheckTarget<'_>>) -> Result<(), CheckError> {
        let target = target.map(|target| (target.plan.clone(), target.allowed.clone()));
        self.held
            .check(move |s| match &target {
                Some((plan, allowed)) => checks::first(s, plan, allowed),
                None => checks::receipt_table(s),
            })
            .await
    }

    async fn last_check(
        &mut self,
        target: Option<CheckTarget<'_>>,
        receipt: &StoredReceipt,
    ) -> Result<Rows, CheckError> {
        let (plan, receipt) = (target.map(|target| target.plan.clone()), receipt.clone());
        self.held
            .check(move |s| checks::last(s, plan.as_ref(), &receipt))
            .await
    }

    async fn insert_receipt(&mut self, receipt: &StoredReceipt) -> Result<(), RecordError> {
        let receipt = receipt.clone();
        // The insert's error is kept beside the transaction's own: a violation of the key ends both.
        let met = Arc::new(Mutex::new(None));
        let seen = met.clone();
        let inserted = self.held.run(move |s| {
            insert(s, &receipt).map_err(|error| {
                let engine = match &error {
                    RecordError::Exists => EngineError::new(EngineErrorKind::Other, "a receipt exists"),
                    RecordError::Engine(engine) => engine.clone(),
                };
                *seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                engine
            })
        });
        match inserted.await {
            Ok(()) => Ok(()),
            Err(engine) => {
                let met = met.lock().unwrap_or_else(PoisonError::into_inner).take();
                Err(met.unwrap_or(RecordError::Engine(engine)))
            }
        }
    }

    async fn commit(self: Box<Self>) -> Result<(), CommitError> {
        let slot = self.held.slot.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut session = slot
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
                .ok_or_else(|| CommitError::Doubt(ended()))?;
            session.deadline.clear();
            let committed = session
                .connection
                .execute_batch("COMMIT")
                .map_err(map_driver_error);
            match (committed, session.connection.is_autocommit()) {
                // If the file was replaced, the commit is looked for in the replacement.
                (Ok(()), true) => session
                    .files
                    .check_in_place(&session.file)
                    .map_err(CommitError::Doubt),
                // The transaction is still open, so nothing was committed; closing the connection rolls it
                // back.
                (committed, false) => Err(CommitError::NotCommitted(committed.err().unwrap_or_else(ended))),
                (Err(error), true) => Err(CommitError::Doubt(error)),
            }
        });
        done.await.map_err(|_| CommitError::Doubt(died()))?
    }

    async fn roll_back(self: Box<Self>) {
        let closed = self.held.run(|_| Err::<(), _>(ended()));
        // The error closes the connection.
        let _ = closed.await;
    }
}

pub(super) fn update(
    session: &SqliteTxConn,
    plan: &RowPlan,
    change: RowChange<'_>,
) -> Result<u64, EngineError> {
    let RowChange { set, guard, now } = change;
    let connection = &session.connection;
    read::require_schema(&plan.schema)?;
    let shape = inspect::shape(connection, &plan.schema, &plan.table)?;
    let target = target_row(connection, plan, &shape)?;
    let follows = following_key(&shape, change);
    {
        let mut changes = session.changes();
        changes.target = target;
        changes.others.extend(follows);
    }
    let mut parameters = Vec::with_capacity(set.len() + 3);
    for new in set {
        parameters.push(dialect::to_sql(&new.value)?);
    }
    parameters.extend(dialect::key_parameters(plan)?);
    if let Some(guard) = guard {
        if guard.value.is_null() {
            return Err(EngineError::new(
                EngineErrorKind::Other,
                "a guard must have a value",
            ));
        }
        parameters.push(dialect::to_sql(&guard.value)?);
    }
    let sql = super::update::update_row(plan, set, guard, now);
    let mut statement = connection.prepare(&sql).map_err(map_driver_error)?;
    let changed = statement
        .execute(params_from_iter(parameters.iter().map(dialect::bound)))
        .map_err(map_driver_error)?;
    Ok(u64::try_from(changed).unwrap_or(u64::MAX))
}

/// A foreign key of the table to itself that propagates a change to another column. SQLite reports that as
/// one more change of the same row.
fn following_key(shape: &TableSchema, change: RowChange<'_>) -> Option<String> {
    let set = change.set.iter().map(|new| new.column.as_str()).chain(change.now);
    let set: Vec<&str> = set.collect();
    // A trigger can set any column.
    let may_change = |column: &String| {
        !shape.triggers.is_empty() || set.iter().any(|name| name.eq_ignore_ascii_case(column))
    };
    let is_key = |column: &&TableColumn| column.primary_key && may_change(&column.name);
    shape
        .referenced_by
        .iter()
        .filter(|key| key.table.eq_ignore_ascii_case(&shape.table))
        .filter(|key| !matches!(key.on_update.as_str(), "NO ACTION" | "RESTRICT"))
        .find(|key| match key.referenced_columns.as_slice() {
            // Without a list the key references the primary key.
            [] => shape.columns.iter().any(|column| is_key(&column)),
            columns => columns.iter().any(may_change),
        })
        .map(|key| {
            format!(
                "the foreign key on `{}` references a changed column",
                key.columns.join(", ")
            )
        })
}

fn target_row(
    connection: &Connection,
    plan: &RowPlan,
    shape: &TableSchema,
) -> Result<ExpectedChange, EngineError> {
    let Some(name) = inspect::row_number_name(shape) else {
        let rows = read::rows(connection, plan)?;
        return Ok(ExpectedChange::Unreported {
            expected: u64::from(rows.len() == 1),
        });
    };
    let mut statement = connection
        .prepare(&inspect::select_row_number(plan, name))
        .map_err(map_driver_error)?;
    let parameters = dialect::key_parameters(plan)?;
    let numbers = statement
        .query_map(params_from_iter(parameters.iter().map(dialect::bound)), |row| {
            row.get(0)
        })
        .map_err(map_driver_error)?;
    let numbers: Vec<i64> = numbers.collect::<Result<_, _>>().map_err(map_driver_error)?;
    // With none or several rows, no row may change.
    Ok(match numbers[..] {
        [row] => ExpectedChange::Numbered {
            table: plan.table.clone(),
            row,
        },
        _ => ExpectedChange::None,
    })
}

/// Inserts the receipt, which must be the one change of its statement, and reads it back.
pub(super) fn insert(session: &SqliteTxConn, receipt: &StoredReceipt) -> Result<(), RecordError> {
    let surprise = |what: &str| RecordError::Engine(EngineError::new(EngineErrorKind::Other, what));
    let connection = &session.connection;
    let seen = || session.changes().total;
    let (total_before, seen_before) = (connection.total_changes(), seen());
    let sql = format!(
        "INSERT OR ROLLBACK INTO {} ({}) VALUES ({})",
        dialect::qualified(&session.receipt_table),
        read::RECEIPT_COLUMNS,
        (1..=16).map(|i| format!("?{i}")).collect::<Vec<_>>().join(", ")
    );
    let parameters = parameters(receipt).ok_or_else(|| surprise("a number beyond 63 bits"))?;
    session.changes().receipts = Some(session.receipt_table.clone());
    let inserted = connection
        .prepare(&sql)
        .and_then(|mut statement| statement.execute(params_from_iter(parameters.iter().map(dialect::bound))));
    match inserted {
        Ok(1) => {}
        Ok(_) => return Err(surprise("the receipt was not inserted")),
        Err(error) if is_unique_violation(&error) => return Err(RecordError::Exists),
        Err(error) => return Err(RecordError::Engine(map_driver_error(error))),
    }
    if connection.total_changes() - total_before != 1 || seen() - seen_before != 1 {
        return Err(surprise("the receipt's insert changed something else"));
    }
    let stored = read::receipts(connection, &session.receipt_table, &receipt.proposal_id, &[]);
    let stored = stored.map(|found| found.of_key(&receipt.proposal_id));
    match stored.map_err(RecordError::Engine)? {
        Some(stored) if stored == *receipt => Ok(()),
        Some(_) | None => Err(surprise(RECEIPT_DIFFERS)),
    }
}

fn parameters(receipt: &StoredReceipt) -> Option<Vec<rusqlite::types::Value>> {
    use rusqlite::types::Value as Sql;
    let text = |text: &str| Sql::Text(text.to_owned());
    let optional = |text: &Option<String>| text.clone().map_or(Sql::Null, Sql::Text);
    let number = |number: u64| i64::try_from(number).ok().map(Sql::Integer);
    Some(vec![
        text(&receipt.proposal_id),
        text(&receipt.proposal_digest),
        text(&receipt.outcome),
        text(&receipt.reason),
        Sql::Integer(i64::from(receipt.rows_affected)),
        optional(&receipt.previous_version),
        optional(&receipt.new_version),
        number(receipt.fence)?,
        text(&receipt.executor_id),
        number(receipt.ledger_size)?,
        text(&receipt.ledger_root),
        text(&receipt.db_identity),
        text(&receipt.created_at),
        text(&receipt.receipt),
        text(&receipt.executor_key),
        text(&receipt.executor_sig),
    ])
}

fn ended() -> EngineError {
    EngineError::new(EngineErrorKind::Timeout, "the transaction is no longer open")
}

fn died() -> EngineError {
    EngineError::new(EngineErrorKind::Other, "a worker thread panicked")
}
