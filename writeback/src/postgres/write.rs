//! One writing transaction at READ COMMITTED: a row lock, one UPDATE with all deferred work, the count of its
//! changes, the receipt, COMMIT. Any error closes the connection, which rolls back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::transaction::{
    CheckTarget, CommitError, OpenTransaction, RecordError, RowChange, Rows, Transaction,
};
use crate::violation::{CheckError, Violation, ViolationKind};
use async_trait::async_trait;
use synapsor_domain::foreign_code::Acknowledged;
use synapsor_domain::schema::TableSchema;
use synapsor_engine::postgres::connect::{PgPool, PgPooledConnection, PgStatementError};
use synapsor_engine::postgres::dialect::{self, Statement, TableExtent};
use synapsor_engine::postgres::error_map::{is_lost, is_unique_violation};
use synapsor_engine::postgres::notice::with_warnings;
use synapsor_engine::postgres::read;
use synapsor_engine::postgres::session::{
    EXACT_SETTINGS, ServerFacts, StatementCounts, local_settings, timeouts,
};
use synapsor_engine::postgres::shapes::Shapes;
use synapsor_source::{
    EngineError, EngineErrorKind, ErrorCause, FoundReceipts, ReceiptTable, RowPlan, StoredReceipt,
};

use super::check_facts::{self, Settings};
use super::checks::{Checked, FactsAhead, FirstCheck, LastCheck, TransactionChecks};
use super::side_effects::{self, Counts};
use super::stamp::VerifiedStamps;
use super::together;
use super::update;
use super::version::version_statement;

/// Maximum time that a transaction holds locks.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of a COMMIT: no server timeout limits the wait for a standby.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// The first server version that limits whole transactions itself.
const TRANSACTION_TIMEOUT_SINCE: u32 = 17;

/// Begins a transaction; reads the server's clock and identity inside it.
pub(crate) async fn begin(
    connections: &Arc<PgPool>,
    receipts: &ReceiptTable,
    shapes: &Arc<Shapes>,
    stamps: &Arc<VerifiedStamps>,
) -> Result<OpenTransaction, EngineError> {
    loop {
        let (lease, is_kept) = connections.lease().await?;
        match begin_on(lease, connections.statement_timeout(), receipts, (shapes, stamps)).await {
            // A pooled connection may be lost; a new one has not been tried yet.
            Err(error) if is_kept && is_lost(&error) => {}
            done => return done,
        }
    }
}

async fn begin_on(
    mut lease: PgPooledConnection,
    statement_timeout: Duration,
    receipts: &ReceiptTable,
    (shapes, stamps): (&Arc<Shapes>, &Arc<VerifiedStamps>),
) -> Result<OpenTransaction, EngineError> {
    let rows = lease.batch(opening(&lease, statement_timeout)).await?;
    let facts = rows
        .iter()
        .find(|row| tag(row) == "fact")
        .map_or(&[][..], Vec::as_slice);
    let facts = ServerFacts::of_row(facts)?;
    let refuse = |kind, why: &str| Err(EngineError::new(kind, why));
    if facts.is_standby || facts.is_read_only {
        let takes_no_writes = EngineError::new(EngineErrorKind::Unavailable, "the transaction is read-only");
        return Err(takes_no_writes.because(ErrorCause::TakesNoWrites));
    }
    if !facts.counts_changes {
        return refuse(EngineErrorKind::Denied, "the server does not count changes");
    }
    if facts.isolation != "read committed" {
        return refuse(
            EngineErrorKind::Other,
            "the transaction has another isolation level",
        );
    }
    let database_now = facts
        .now
        .parse()
        .map_err(|_| EngineError::new(EngineErrorKind::Unreadable, "the database's clock"))?;
    let identity = facts.identity.clone();
    lease.set_facts(facts);
    let settings = check_facts::settings_of(&rows);
    let transaction = Box::new(PostgresTransaction {
        lease: Some(lease),
        begun_at: Instant::now(),
        receipts: receipts.clone(),
        shapes: shapes.clone(),
        stamps: stamps.clone(),
        counts_before: Counts::default(),
        set_again: set_again(&settings),
        settings,
        has_read_target: false,
        has_read_receipts: false,
        is_locked: false,
        matched: 0,
        target: None,
        ahead: None,
        first: None,
        returned: None,
        checked: None,
    });
    Ok(OpenTransaction {
        transaction,
        identity,
        database_now,
        file: None,
    })
}

/// Sends BEGIN, every setting for this transaction only, and the query of the server's facts, in one message.
fn opening(lease: &PgPooledConnection, statement_timeout: Duration) -> String {
    let mut settings: Vec<(&str, String)> = EXACT_SETTINGS
        .map(|(name, value)| (name, value.to_owned()))
        .into();
    settings.extend(timeouts(statement_timeout));
    let major = lease
        .facts()
        .version
        .split('.')
        .next()
        .and_then(|n| n.parse::<u32>().ok());
    if major.is_some_and(|major| major >= TRANSACTION_TIMEOUT_SINCE) {
        settings.push(("transaction_timeout", TRANSACTION_TIMEOUT.as_millis().to_string()));
    }
    format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED; {}; SELECT 'set', pg_catalog.set_config('synchronous_commit', \
         CASE pg_catalog.current_setting('synchronous_commit') WHEN 'remote_apply' THEN 'remote_apply' \
         ELSE 'on' END, true); SET CONSTRAINTS ALL IMMEDIATE; {}; {}",
        local_settings(&settings),
        lease.facts_statement(),
        check_facts::settings_statement()
    )
}

/// Sets every setting of the opening message again, to its value right after that message.
fn set_again(settings: &Settings) -> String {
    let ours = EXACT_SETTINGS.iter().map(|(name, _)| *name).chain([
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "synchronous_commit",
    ]);
    let set: Vec<(&str, &str)> = ours
        .filter_map(|name| Some((name, settings.get(name)?.as_str())))
        .collect();
    local_settings(&set)
}

fn tag(row: &[Option<String>]) -> &str {
    row.first().and_then(Option::as_deref).unwrap_or_default()
}

/// See [`Transaction`].
struct PostgresTransaction {
    /// Taken while a statement runs, and put back when it succeeded: an error ends the transaction.
    lease: Option<PgPooledConnection>,
    begun_at: Instant,
    receipts: ReceiptTable,
    shapes: Arc<Shapes>,
    stamps: Arc<VerifiedStamps>,
    /// From the first check, if the target has code: that may change other tables.
    counts_before: Counts,
    /// The settings right after the opening message, and the statement that sets them again.
    settings: Settings,
    set_again: String,
    has_read_target: bool,
    has_read_receipts: bool,
    is_locked: bool,
    /// Rows of the target that the UPDATE matched.
    matched: u64,
    /// The table of the locked row.
    target: Option<(String, String)>,
    /// Facts for the first check, read with the receipts.
    ahead: Option<FactsAhead>,
    first: Option<FirstCheck>,
    /// The row of a plan as the UPDATE returned it.
    returned: Option<(RowPlan, Rows)>,
    /// Result of the last check; COMMIT consumes it.
    checked: Option<Confirmed>,
}

/// Data for COMMIT: the transaction as it was checked, and the statement that reads its row again.
struct Confirmed {
    checked: Checked,
    row_again: Option<String>,
}

impl PostgresTransaction {
    fn take(&mut self) -> Result<PgPooledConnection, EngineError> {
        let lease = self.lease.take().ok_or_else(ended)?;
        if self.begun_at.elapsed() > TRANSACTION_TIMEOUT {
            return Err(ended());
        }
        Ok(lease)
    }

    async fn kept_shape(
        &self,
        lease: &mut PgPooledConnection,
        plan: &RowPlan,
    ) -> Result<Arc<TableSchema>, EngineError> {
        self.shapes.kept_or_read(lease, &plan.schema, &plan.table).await
    }

    fn checks(&self) -> TransactionChecks<'_> {
        TransactionChecks {
            receipts: &self.receipts,
            stamps: &self.stamps,
            settings: &self.settings,
            set_again: &self.set_again,
        }
    }

    /// Whether certainly no foreign code ran: it could have changed the session for later transactions.
    /// Reading rows can run code too, so every table that was read must have been checked since.
    fn is_session_clean(&self) -> bool {
        let is_verified = match &self.first {
            Some(first) => first.is_without_foreign_code() && (first.has_target() || !self.has_read_target),
            None => !self.has_read_target && !self.has_read_receipts,
        };
        let is_unchanged = self.matched == 0 || self.checked.is_some();
        is_verified && is_unchanged
    }

    /// Runs the UPDATE. On a target without code it returns the row as it stays; other code can change the row after
    /// the UPDATE returns it.
    async fn run_update(
        &mut self,
        lease: &mut PgPooledConnection,
        mut statement: Statement,
        (plan, shape): (&RowPlan, &TableSchema),
    ) -> Result<u64, EngineError> {
        if self.first.as_ref().is_none_or(FirstCheck::has_code) {
            return lease.execute(statement).await.map_err(|failed| failed.scrubbed());
        }
        let columns = dialect::row_texts(plan, shape)?;
        statement.sql = format!("{} RETURNING {columns}", statement.sql);
        let found = lease.fetch(statement).await?;
        self.returned = Some((plan.clone(), read::exact_rows(&found, plan, shape)?));
        Ok(u64::try_from(found.len()).unwrap_or(u64::MAX))
    }

    async fn rows(&mut self, plan: &RowPlan, is_locking: bool) -> Result<Rows, EngineError> {
        let mut lease = self.take()?;
        self.has_read_target = true;
        let shape = self.kept_shape(&mut lease, plan).await?;
        let rows = select(&mut lease, plan, &shape, is_locking).await;
        let rows = rows.inspect_err(|_| self.shapes.forget(&plan.schema, &plan.table))?;
        self.lease = Some(lease);
        Ok(rows)
    }
}

#[async_trait]
impl Transaction for PostgresTransaction {
    async fn lock(&mut self, plan: &RowPlan) -> Result<Rows, EngineError> {
        let rows = self.rows(plan, true).await?;
        self.is_locked |= !rows.is_empty();
        self.target = Some((plan.schema.clone(), plan.table.clone()));
        Ok(rows)
    }

    async fn first_check(&mut self, target: Option<CheckTarget<'_>>) -> Result<(), CheckError> {
        let nothing = Acknowledged::default();
        let (plan, allowed) = match target {
            Some(target) => (Some(target.plan), target.allowed),
            None => (None, &nothing),
        };
        let mut lease = self.take()?;
        let ahead = self.ahead.take();
        let first = self.checks().first(&mut lease, (plan, allowed), ahead).await?;
        if first.has_code() {
            self.counts_before = side_effects::counts(&mut lease).await?;
        }
        self.lease = Some(lease);
        self.first = Some(first);
        Ok(())
    }

    async fn is_visible_unlocked(&mut self, plan: &RowPlan) -> Result<bool, EngineError> {
        Ok(!self.rows(plan, false).await?.is_empty())
    }

    async fn find_receipts(&mut self, id: &str, known: &[&str]) -> Result<FoundReceipts, EngineError> {
        let mut lease = self.take()?;
        self.has_read_receipts = true;
        let target = self.target.as_ref();
        let of = target.and_then(|(schema, table)| self.checks().known_without_code(&lease, (schema, table)));
        let found = match of {
            Some(of) => {
                let wanted = (id, known);
                let read = together::receipts_and_facts(&mut lease, &self.receipts, &of.covered, wanted);
                let (found, facts) = read.await?;
                self.ahead = Some(FactsAhead { of, facts });
                found
            }
            None => read::receipts(&mut lease, &self.receipts, id, known).await?,
        };
        self.lease = Some(lease);
        Ok(found)
    }

    async fn shape(&mut self, schema: &str, table: &str) -> Result<TableSchema, EngineError> {
        if let Some(shape) = self
            .first
            .as_ref()
            .and_then(|first| first.shape_of(schema, table))
        {
            return Ok(TableSchema::clone(shape));
        }
        let mut lease = self.take()?;
        let shape = self.shapes.read(&mut lease, schema, table).await?;
        self.lease = Some(lease);
        Ok(TableSchema::clone(&shape))
    }

    async fn update(&mut self, plan: &RowPlan, change: RowChange<'_>) -> Result<u64, EngineError> {
        let mut lease = self.take()?;
        let shape = self.kept_shape(&mut lease, plan).await?;
        // Constraints were set immediate at the start of the transaction, so deferred work runs with the
        // statement.
        let matched = match update::update_row(plan, change, &shape, lease.facts().process_id)? {
            Some(statement) => self
                .run_update(&mut lease, statement, (plan, &shape))
                .await
                .inspect_err(|_| self.shapes.forget(&plan.schema, &plan.table))?,
            None => 0,
        };
        self.matched += matched;
        self.lease = Some(lease);
        Ok(matched)
    }

    async fn reread(&mut self, plan: &RowPlan) -> Result<Rows, EngineError> {
        match self.returned.take() {
            Some((of, rows)) if of == *plan => Ok(rows),
            _ => self.rows(plan, false).await,
        }
    }

    async fn side_effects(&mut self, plan: &RowPlan) -> Result<Vec<String>, EngineError> {
        let first = self.first.as_ref().ok_or_else(ended)?;
        // Without code on the target an UPDATE has no other effect; the last check proves that there was
        // none, and no lock.
        if !first.has_code() {
            return Ok(Vec::new());
        }
        let allowed = first.rows_allowed();
        let mut lease = self.take()?;
        let change = (plan, self.matched);
        let lines = side_effects::read(&mut lease, &self.counts_before, change, &allowed).await?;
        self.lease = Some(lease);
        Ok(lines)
    }

    async fn insert_receipt(&mut self, receipt: &StoredReceipt) -> Result<(), RecordError> {
        let surprise = |what: &str| RecordError::Engine(EngineError::new(EngineErrorKind::Other, what));
        if self.first.is_none() {
            if self.matched > 0 {
                return Err(surprise("the tables were not checked before the UPDATE"));
            }
            let checked = self.first_check(None).await;
            checked.map_err(|error| RecordError::Engine(error.into_engine()))?;
        }
        let mut lease = self.take().map_err(RecordError::Engine)?;
        let rows = match lease.fetch_or_fail(insert(&self.receipts, receipt)).await {
            Ok(rows) => rows,
            Err(PgStatementError::Driver(error)) if is_unique_violation(&error) => {
                return Err(RecordError::Exists);
            }
            Err(failed) => return Err(RecordError::Engine(failed.scrubbed())),
        };
        if rows.len() != 1 {
            return Err(surprise("the receipt was not inserted"));
        }
        self.lease = Some(lease);
        Ok(())
    }

    fn account_powers(&self) -> &[String] {
        self.first.as_ref().map_or(&[], FirstCheck::powers)
    }

    async fn last_check(
        &mut self,
        target: Option<CheckTarget<'_>>,
        receipt: &StoredReceipt,
    ) -> Result<Rows, CheckError> {
        let mut lease = self.take()?;
        let first = self.first.as_ref().ok_or_else(ended)?;
        let check = LastCheck {
            first,
            plan: target.map(|target| target.plan),
            is_locked: self.is_locked,
            receipt,
            matched: self.matched,
        };
        let (rows, checked) = self.checks().last(&mut lease, check).await?;
        let row_again = match (target, first.shape(), &checked.version) {
            (Some(target), Some(shape), Some(_)) => version_statement(target.plan, shape)?,
            _ => None,
        };
        self.lease = Some(lease);
        self.checked = Some(Confirmed { checked, row_again });
        Ok(rows)
    }

    async fn commit(mut self: Box<Self>) -> Result<(), CommitError> {
        let is_clean = self.is_session_clean();
        let lease = self.take().map_err(CommitError::Doubt)?;
        let confirmed = self.checked.take().ok_or_else(|| CommitError::Doubt(ended()))?;
        commit(lease, &confirmed, is_clean).await
    }

    async fn roll_back(mut self: Box<Self>) {
        let is_clean = self.is_session_clean();
        let Some(mut lease) = self.lease.take() else {
            return;
        };
        let ended = lease.batch(format!("ROLLBACK; {}", StatementCounts::SQL)).await;
        if is_clean && ended.is_ok_and(|rows| has_only_ours(&lease, &rows)) {
            lease.give_back();
        }
    }
}

fn insert(receipts: &ReceiptTable, receipt: &StoredReceipt) -> Statement {
    let text = |text: &str| Some(text.to_owned());
    let parameters = vec![
        text(&receipt.proposal_id),
        text(&receipt.proposal_digest),
        text(&receipt.outcome),
        text(&receipt.reason),
        Some(receipt.rows_affected.to_string()),
        receipt.previous_version.clone(),
        receipt.new_version.clone(),
        Some(receipt.fence.to_string()),
        text(&receipt.executor_id),
        Some(receipt.ledger_size.to_string()),
        text(&receipt.ledger_root),
        text(&receipt.db_identity),
        text(&receipt.created_at),
        text(&receipt.receipt),
        text(&receipt.executor_key),
        text(&receipt.executor_sig),
    ];
    let values: Vec<String> = (1..=parameters.len())
        .map(|at| match at {
            5 | 8 | 10 => format!("${at}::pg_catalog.text::bigint"),
            _ => format!("${at}::pg_catalog.text"),
        })
        .collect();
    Statement {
        sql: format!(
            "INSERT INTO {} ({}) VALUES ({}) RETURNING pg_catalog.pg_backend_pid()::pg_catalog.text",
            read::receipt_table(receipts),
            read::RECEIPT_COLUMNS,
            values.join(", ")
        ),
        parameters,
    }
}

/// Fails, with the rest of its message, unless every prepared statement is one of ours: all reads and writes
/// of the transaction went through them.
fn fails_unless_ours(prepared: usize) -> String {
    format!(
        "SELECT 'ours', 1 OPERATOR(pg_catalog./) pg_catalog.count(*) FROM (SELECT \
           pg_catalog.count(*) FILTER (WHERE s.from_sql) of_sql, \
           pg_catalog.count(*) FILTER (WHERE NOT s.from_sql) of_protocol \
           FROM pg_catalog.pg_prepared_statement() s) c \
         WHERE c.of_sql OPERATOR(pg_catalog.=) 0::pg_catalog.int8 \
           AND c.of_protocol OPERATOR(pg_catalog.=) {prepared}::pg_catalog.int8"
    )
}

/// Whether the counts among these rows confirm that. Behind a pooler no statement is prepared by name.
pub(super) fn has_only_ours(lease: &PgPooledConnection, rows: &[Vec<Option<String>>]) -> bool {
    let Some(prepared) = lease.prepared_statements() else {
        return true;
    };
    rows.iter()
        .find(|row| tag(row) == "statements")
        .and_then(|row| StatementCounts::of(row))
        .is_some_and(|counts| counts.are_ours(prepared))
}

async fn commit(
    mut lease: PgPooledConnection,
    confirmed: &Confirmed,
    is_clean: bool,
) -> Result<(), CommitError> {
    let transaction_id = confirmed.checked.transaction_id;
    // A COMMIT can return a rollback, and the driver does not report it; the state afterwards does.
    let mut sql = format!("COMMIT; SELECT pg_catalog.pg_xact_status('{transaction_id}')");
    if let Some(prepared) = lease.prepared_statements() {
        sql = format!("{}; {sql}", fails_unless_ours(prepared));
    }
    if let Some(row_again) = &confirmed.row_again {
        sql = format!("{sql}; {row_again}");
    }
    let (done, is_warned) = with_warnings(lease.batch_within(sql, COMMIT_TIMEOUT)).await;
    let doubt = |why: &str| CommitError::Doubt(EngineError::new(EngineErrorKind::Other, why));
    let mut rows = done.map_err(CommitError::Doubt)?;
    rows.retain(|row| tag(row) != "ours");
    let Some((status, rows)) = rows.split_first() else {
        return Err(doubt("the COMMIT was not confirmed"));
    };
    if tag(status) != "committed" {
        return Err(doubt("the COMMIT ended in another state"));
    }
    let version = confirmed.checked.version.as_ref();
    if version.is_some_and(|version| version.is_replaced_by_own(rows, transaction_id)) {
        let detail = "COMMIT created another version of the row than the checked one";
        return Err(CommitError::Violation(Violation::new(
            ViolationKind::RowChangedInCommit,
            detail,
        )));
    }
    if is_warned {
        return Err(doubt("the server warned at the COMMIT"));
    }
    if is_clean {
        lease.give_back();
    }
    Ok(())
}

/// Returns the rows of a plan, with their lock if requested.
async fn select(
    lease: &mut PgPooledConnection,
    plan: &RowPlan,
    shape: &TableSchema,
    is_locking: bool,
) -> Result<Rows, EngineError> {
    let Some(mut statement) = dialect::select_row(plan, shape, TableExtent::Only)? else {
        return Ok(Vec::new());
    };
    if is_locking {
        statement.sql.push_str(" FOR UPDATE OF t");
    }
    read::exact_rows(&lease.fetch(statement).await?, plan, shape)
}

fn ended() -> EngineError {
    EngineError::new(EngineErrorKind::Timeout, "the transaction is no longer open")
}
