//! The list of behaviors, the interface of a harness, and helpers that the behaviors share.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use synapsor_codes::ErrorCode;
use synapsor_domain::contract::SideEffectAck;
use synapsor_domain::foreign_code::{Acknowledged, CodeForm};
use synapsor_domain::value::{ColumnValue, Value, ValueKind};

use crate::transaction::{CheckTarget, OpenTransaction, RecordError, RowChange, Transaction};
use synapsor_engine::{Access, EngineConfig};
use synapsor_source::{
    Engine, EngineError, EngineErrorKind, Finding, PreflightTarget, RowPlan, StoredReceipt,
};

use super::{checking, lost_receipts, reading, receipts, traps, values, writing};

/// Tables that the behaviors need, each in its engine's SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fixture {
    /// `invoices(id text key, tenant text, status text, fee integer, version integer)` with rows of two
    /// tenants, and the receipt table.
    Invoices,
    /// Like `Invoices`, with a trigger that raises `version`.
    RaisesVersion,
    /// Like `Invoices`, with a trigger that writes to `journal`.
    WritesElsewhere,
    /// Like `Invoices`, with a trigger that changes every other row too.
    ChangesOthers,
    /// Like `Invoices`, with a trigger that rewrites `status`.
    RewritesColumn,
    /// Like `Invoices`, with a child table that follows changes of `status`.
    Cascades,
    /// Like `Cascades`, with a child table whose row changes are invisible to the engine's account.
    CascadesUnseen,
    /// Like `Invoices`, where a new `status` equal to that of a second row replaces that row.
    ReplacesOnConflict,
    /// Like `Invoices`, without row numbers where the engine has them.
    ClusteredKey,
    /// Like `Invoices`, with `fee` never negative.
    Checked,
    /// `folded(id, tenant, body)` whose key and tenant ignore case in the engine's own comparison.
    FoldedKeys,
    /// `numbered(id integer key, tenant text, body text)` with the rows 1 and 12.
    IntegerKeys,
    /// `lettered(id text, tenant text, body text)` with the text keys `1`, `01` and `1 `.
    TextKeys,
    /// `twins(id text, tenant text, body text)`, three rows with the key `same`.
    Twins,
    /// `kinds(id text key, tenant text, …)` with a column per kind of value; see the harness.
    Kinds,
    /// `wide(id text key, tenant text, a text, b text, c text, d text)` with the keys `limit` (64 KiB in `a`),
    /// `value` (one more) and `row` (60 KiB in each).
    Wide,
    /// `broken(id text key, tenant text, body)` whose body has no exact value: invalid text where the engine stores
    /// it, a geometric type elsewhere.
    Broken,
    /// `slow(id, tenant, body)`, which takes a minute to read.
    Slow,
}

/// A database behind one credential.
#[derive(Clone)]
pub(crate) enum Account {
    Reader(Arc<dyn Engine>),
    Writer(crate::Database),
}

impl Account {
    /// Opens an engine behind a credential of this kind.
    pub(crate) fn open(opening: EngineConfig, access: Access) -> Self {
        match access {
            Access::Read => Self::Reader(opening.open().unwrap()),
            Access::Write => Self::Writer(crate::Database::open(opening).unwrap()),
        }
    }

    pub(crate) async fn begin(&self) -> Result<OpenTransaction, EngineError> {
        match self {
            Self::Reader(_) => Err(EngineError::new(
                EngineErrorKind::Denied,
                "a reader begins no transaction",
            )),
            Self::Writer(database) => database.begin().await,
        }
    }

    pub(crate) async fn check(&self, targets: &[PreflightTarget]) -> Result<Vec<Finding>, EngineError> {
        match self {
            Self::Reader(_) => Err(EngineError::new(
                EngineErrorKind::Denied,
                "a reader writes nothing",
            )),
            Self::Writer(database) => database.check(targets).await,
        }
    }
}

impl Deref for Account {
    type Target = dyn Engine;

    fn deref(&self) -> &(dyn Engine + 'static) {
        match self {
            Self::Reader(engine) => engine.as_ref(),
            Self::Writer(database) => database.reading(),
        }
    }
}

/// Inserts a receipt and reads it back.
pub(crate) async fn record(
    mut transaction: Box<dyn Transaction>,
    receipt: &StoredReceipt,
) -> Result<Box<dyn Transaction>, RecordError> {
    if transaction.needs_first_check() {
        let checked = transaction.first_check(None).await;
        checked.map_err(|error| RecordError::Engine(error.into_engine()))?;
    }
    transaction.insert_receipt(receipt).await?;
    let checked = transaction.last_check(None, receipt).await;
    checked.map_err(|error| RecordError::Engine(error.into_engine()))?;
    Ok(transaction)
}

/// A new database behind both kinds of credential. All of its methods block on the server.
pub(crate) trait TestDatabase: Send + Sync {
    /// Creates a fixture; `false` if the engine has no such thing, which ends the behavior as not applicable.
    fn set_up(&self, fixture: Fixture) -> bool {
        match self.lacks(fixture) {
            Some(reason) => {
                super::published::not_applicable(reason);
                false
            }
            None => {
                self.create(fixture);
                true
            }
        }
    }
    /// Returns why the engine cannot have a fixture; no other fixture replaces it.
    fn lacks(&self, _fixture: Fixture) -> Option<&'static str> {
        None
    }
    /// Creates a fixture that the engine has.
    fn create(&self, fixture: Fixture);
    /// Runs statements as the owner, then grants both accounts read and change rights on all tables.
    fn execute(&self, sql: &str);
    /// Returns one text, as the owner.
    fn text(&self, sql: &str) -> String;
    fn schema(&self) -> String;
    /// Creates another new database of the same engine.
    fn another(&self) -> Db;
    fn drop_trigger(&self, name: &str);
    /// Opens this database behind one credential; `timeout` replaces the engine's own statement timeout.
    fn engine(&self, access: Access, timeout: Option<Duration>) -> Account;
    fn reader(&self) -> Account {
        self.engine(Access::Read, None)
    }
    /// Opens a reader with this statement timeout.
    fn hurried_reader(&self, timeout: Duration) -> Account {
        self.engine(Access::Read, Some(timeout))
    }
    fn writer(&self) -> Account {
        self.engine(Access::Write, None)
    }
    /// Blocks writers on the invoice `INV-1` until it is dropped.
    fn hold_lock(&self) -> Box<dyn Send>;
    /// Makes the database report another identity.
    fn change_identity(&self);
    /// Returns defects of receipt tables that this engine supports, with the statements that create them.
    fn bad_receipt_tables(&self) -> Vec<(&'static str, &'static str)>;
    /// Makes the receipt table change the `reason` of every new receipt.
    fn alter_receipts(&self);
    /// Returns the values of the row `k` of `Kinds`.
    fn kinds(&self) -> Vec<(&'static str, Value)>;
    /// Returns columns of `Kinds` with a value, and the value as stored.
    fn fits(&self) -> Vec<(&'static str, Value, Value)>;
    /// Returns columns of `Kinds` with a value that they reject.
    fn misfits(&self) -> Vec<(&'static str, Value)>;
    /// Returns column types, each with a value as SQL and as it is read.
    fn samples(&self) -> Vec<Sample>;
    /// Returns the reader's running statements on the server, if it can report them.
    fn running_reads(&self) -> Option<u64>;
}

/// A column type.
pub(crate) struct Sample {
    pub(crate) declared: &'static str,
    pub(crate) literal: &'static str,
    pub(crate) value: Value,
    /// Whether the value can be written as it was read, and not only read.
    pub(crate) is_writable: bool,
}

pub(crate) const fn sample(
    declared: &'static str,
    literal: &'static str,
    value: Value,
    is_writable: bool,
) -> Sample {
    Sample {
        declared,
        literal,
        value,
        is_writable,
    }
}

/// Columns of a table whose types store no value unchanged.
pub(crate) async fn unwritable_columns(engine: &Account, schema: &str, table: &str) -> Vec<String> {
    let catalog = engine.catalog(Some(schema)).await.unwrap();
    let mut tables = catalog.tables.into_iter();
    tables.find(|t| t.shape.table == table).unwrap().unwritable
}

/// Code of a value that does not fit the column: the type of the column, or the value is the reason.
pub(crate) fn misfit_code(unwritable: &[String], column: &str) -> ErrorCode {
    if unwritable.iter().any(|name| name == column) {
        ErrorCode::ColumnNotWritable
    } else {
        ErrorCode::ValueDoesNotFit
    }
}

pub(crate) type Db = Arc<dyn TestDatabase>;
type Running = Pin<Box<dyn Future<Output = ()> + Send>>;
type Behavior = (&'static str, fn(Db) -> Running);

/// Every behavior.
pub(crate) const ALL: &[Behavior] = &[
    ("values come back exactly", |db| {
        Box::pin(reading::values_come_back_exactly(db))
    }),
    ("extreme integers come back exactly", |db| {
        Box::pin(reading::extreme_integers_come_back_exactly(db))
    }),
    ("a value without an exact form is unreadable", |db| {
        Box::pin(reading::inexact_values_are_unreadable(db))
    }),
    ("a row of another tenant is not found", |db| {
        Box::pin(reading::a_row_of_another_tenant_is_not_found(db))
    }),
    ("tenants that look alike are others", |db| {
        Box::pin(reading::tenants_that_look_alike_are_others(db))
    }),
    ("case does not matter to the column but to us", |db| {
        Box::pin(reading::folded_columns_match_exactly(db))
    }),
    ("a text key is not a number", |db| {
        Box::pin(reading::a_text_key_is_not_a_number(db))
    }),
    ("an integer key is found by its digits", |db| {
        Box::pin(reading::an_integer_key_is_found_by_its_digits(db))
    }),
    ("at most two rows come back", |db| {
        Box::pin(reading::at_most_two_rows_come_back(db))
    }),
    ("a missing row is no error", |db| {
        Box::pin(reading::a_missing_row_is_no_error(db))
    }),
    ("null is no key and no tenant", |db| {
        Box::pin(reading::null_matches_nothing(db))
    }),
    ("a value at the limit comes back whole", |db| {
        Box::pin(reading::a_value_at_the_limit_comes_back_whole(db))
    }),
    ("a value beyond the limit is refused", |db| {
        Box::pin(reading::a_value_beyond_the_limit_is_refused(db))
    }),
    ("a row beyond the limit is refused", |db| {
        Box::pin(reading::a_row_beyond_the_limit_is_refused(db))
    }),
    ("unknown tables and columns are not found", |db| {
        Box::pin(reading::unknown_names_are_not_found(db))
    }),
    ("a name cannot become a statement", |db| {
        Box::pin(reading::a_name_cannot_become_a_statement(db))
    }),
    ("a value cannot become a statement", |db| {
        Box::pin(reading::a_value_cannot_become_a_statement(db))
    }),
    ("a slow read times out", |db| {
        Box::pin(reading::a_slow_read_times_out(db))
    }),
    ("an abandoned read stops", |db| {
        Box::pin(reading::a_read_that_nobody_waits_for_stops(db))
    }),
    ("parallel reads are all served", |db| {
        Box::pin(reading::parallel_reads_are_all_served(db))
    }),
    ("reads go on while a writer waits", |db| {
        Box::pin(reading::reads_go_on_while_the_lock_is_held(db))
    }),
    ("a reader begins nothing", |db| {
        Box::pin(reading::a_reader_begins_nothing(db))
    }),
    ("the identity is the same for both credentials", |db| {
        Box::pin(reading::one_identity_for_both(db))
    }),
    ("another database has another identity", |db| {
        Box::pin(reading::another_database_is_another(db))
    }),
    ("a changed identity is noticed", |db| {
        Box::pin(reading::a_changed_identity_is_noticed(db))
    }),
    ("the shape lists columns and keys", |db| {
        Box::pin(reading::the_shape_tells_columns_and_keys(db))
    }),
    ("a new trigger changes the fingerprint", |db| {
        Box::pin(reading::a_new_trigger_changes_the_fingerprint(db))
    }),
    ("the shape lists inbound foreign keys", |db| {
        Box::pin(reading::the_shape_tells_references(db))
    }),
    ("values that would change do not fit", |db| {
        Box::pin(reading::values_that_would_change_do_not_fit(db))
    }),
    ("what fits is what the column holds", |db| {
        Box::pin(writing::what_fits_is_what_the_column_holds(db))
    }),
    ("a violated constraint is reported", |db| {
        Box::pin(writing::a_violated_constraint_is_reported(db))
    }),
    ("an error that a trigger raises is reported as that", |db| {
        Box::pin(writing::an_error_that_a_trigger_raises_is_reported(db))
    }),
    ("one row changes once, with its receipt", |db| {
        Box::pin(writing::one_row_changes_with_its_receipt(db))
    }),
    ("a dropped transaction leaves nothing", |db| {
        Box::pin(writing::a_dropped_transaction_leaves_nothing(db))
    }),
    ("a rolled back transaction leaves nothing", |db| {
        Box::pin(writing::a_rolled_back_one_leaves_nothing(db))
    }),
    ("a recorded transaction that is dropped leaves nothing", |db| {
        Box::pin(writing::a_dropped_record_leaves_nothing(db))
    }),
    ("a stale guard matches nothing", |db| {
        Box::pin(writing::a_stale_guard_matches_nothing(db))
    }),
    ("another tenant's row is not updated", |db| {
        Box::pin(writing::another_tenants_row_is_not_updated(db))
    }),
    ("a null guard is refused", |db| {
        Box::pin(writing::a_null_guard_is_refused(db))
    }),
    ("a plain read inside sees what the lock saw", |db| {
        Box::pin(writing::sees_agrees_with_the_lock(db))
    }),
    ("a trigger on the row itself is no collateral", |db| {
        Box::pin(writing::a_trigger_on_the_row_is_no_collateral(db))
    }),
    ("a write to another table is collateral", |db| {
        Box::pin(writing::a_write_elsewhere_is_collateral(db))
    }),
    ("a change of other rows is collateral", |db| {
        Box::pin(writing::a_change_of_other_rows_is_collateral(db))
    }),
    ("a rewritten column shows when read again", |db| {
        Box::pin(writing::a_rewritten_column_shows(db))
    }),
    ("a cascade is collateral", |db| {
        Box::pin(writing::a_cascade_is_collateral(db))
    }),
    ("an unseen cascade is collateral", |db| {
        Box::pin(writing::an_unseen_cascade_is_collateral(db))
    }),
    ("a conflict clause replaces no other row", |db| {
        Box::pin(writing::a_conflict_clause_replaces_nothing(db))
    }),
    ("a clustered key is written like any other", |db| {
        Box::pin(writing::a_clustered_key_is_written(db))
    }),
    ("after an error nothing can be committed", |db| {
        Box::pin(writing::after_an_error_nothing_commits(db))
    }),
    ("after an unusable value nothing can be committed", |db| {
        Box::pin(writing::after_an_unusable_value_nothing_commits(db))
    }),
    ("a held lock is retryable and waits little", |db| {
        Box::pin(writing::a_held_lock_is_retryable(db))
    }),
    ("a second writer waits for the first", |db| {
        Box::pin(writing::a_second_writer_waits(db))
    }),
    ("a transaction held too long is ended", |db| {
        Box::pin(writing::a_transaction_held_too_long_is_ended(db))
    }),
    ("clock, identity and shape come from inside", |db| {
        Box::pin(writing::facts_come_from_inside(db))
    }),
    ("a second receipt is refused as existing", |db| {
        Box::pin(receipts::a_second_receipt_exists(db))
    }),
    ("two racing receipts leave one", |db| {
        Box::pin(receipts::two_racing_receipts_leave_one(db))
    }),
    ("a receipt reads back as it was written", |db| {
        Box::pin(receipts::a_receipt_reads_back(db))
    }),
    ("a receipt that the table alters is not recorded", |db| {
        Box::pin(receipts::an_altered_receipt_is_not_recorded(db))
    }),
    ("receipts come in the order of their time", |db| {
        Box::pin(receipts::receipts_come_by_time(db))
    }),
    ("a missing receipt table is reported with its fix", |db| {
        Box::pin(receipts::a_missing_table_is_reported(db))
    }),
    ("every bad receipt table is reported", |db| {
        Box::pin(receipts::every_bad_table_is_reported(db))
    }),
    ("a good receipt table has no problems", |db| {
        Box::pin(receipts::a_good_table_has_no_problems(db))
    }),
    ("a source with its newest receipts lacks nothing", |db| {
        Box::pin(lost_receipts::a_complete_source_lacks_nothing(db))
    }),
    ("a deleted newest receipt is missed", |db| {
        Box::pin(lost_receipts::a_deleted_newest_receipt_is_missed(db))
    }),
    ("an older receipt that was found lost is missed", |db| {
        Box::pin(lost_receipts::an_older_lost_receipt_is_missed(db))
    }),
    ("a known receipt with other bytes is missed", |db| {
        Box::pin(lost_receipts::altered_bytes_of_a_receipt_are_missed(db))
    }),
    ("a receipt of another database is not looked for", |db| {
        Box::pin(lost_receipts::a_receipt_of_an_earlier_database_of_the_source_is_looked_for(db))
    }),
    ("a receipt that was given up may be missing", |db| {
        Box::pin(lost_receipts::a_receipt_that_was_given_up_may_be_missing(db))
    }),
    ("an archived receipt may be missing", |db| {
        Box::pin(lost_receipts::an_archived_receipt_may_be_missing(db))
    }),
    ("every type of column reads exactly", |db| {
        Box::pin(values::every_type_reads_exactly(db))
    }),
    ("what was read can be written as it was", |db| {
        Box::pin(values::what_was_read_can_be_written(db))
    }),
    ("what cannot be written unchanged is refused by name", |db| {
        Box::pin(values::what_cannot_be_written_is_refused_by_name(db))
    }),
    ("a value of any type finds its own row", |db| {
        Box::pin(values::every_value_is_a_key_to_itself(db))
    }),
    ("composed and combining characters differ", |db| {
        Box::pin(values::composed_and_combining_characters_differ(db))
    }),
    ("blanks, case and quotes are kept", |db| {
        Box::pin(values::blanks_and_case_are_kept(db))
    }),
    ("an empty text is not null", |db| {
        Box::pin(values::an_empty_text_is_not_null(db))
    }),
    ("a text at the limit can be written", |db| {
        Box::pin(values::a_text_at_the_limit_can_be_written(db))
    }),
    ("a plan without tenant finds by key", |db| {
        Box::pin(checking::a_plan_without_tenant_finds_by_key(db))
    }),
    ("columns come in the order that is asked, repeated too", |db| {
        Box::pin(checking::columns_come_as_they_are_asked(db))
    }),
    ("a row without columns is a row", |db| {
        Box::pin(checking::a_row_without_columns_is_a_row(db))
    }),
    ("an error leaves the engine usable", |db| {
        Box::pin(checking::an_error_leaves_the_engine_usable(db))
    }),
    ("reads survive a new column", |db| {
        Box::pin(checking::reads_survive_a_new_column(db))
    }),
    ("a table that was known and is gone is not found", |db| {
        Box::pin(checking::a_dropped_table_is_not_found(db))
    }),
    ("the product is named with its version", |db| {
        Box::pin(checking::the_product_is_named_with_its_version(db))
    }),
    ("a generated column is reported and follows", |db| {
        Box::pin(checking::a_generated_column_is_reported(db))
    }),
    ("parts of a key are not unique alone", |db| {
        Box::pin(checking::parts_of_a_key_are_not_unique_alone(db))
    }),
    ("a view is reported", |db| {
        Box::pin(checking::a_view_is_reported(db))
    }),
    ("a new column changes the fingerprint", |db| {
        Box::pin(checking::a_new_column_is_drift(db))
    }),
    ("a dropped column changes the fingerprint", |db| {
        Box::pin(checking::a_dropped_column_is_drift(db))
    }),
    ("a renamed column changes the fingerprint", |db| {
        Box::pin(checking::a_renamed_column_is_drift(db))
    }),
    ("a new unique index changes the fingerprint", |db| {
        Box::pin(checking::a_new_unique_index_is_drift(db))
    }),
    ("a kept shape is young", |db| {
        Box::pin(checking::a_kept_shape_is_young(db))
    }),
    ("the catalog lists tables and keys", |db| {
        Box::pin(checking::the_catalog_lists_tables_and_keys(db))
    }),
    ("the catalog lists foreign keys", |db| {
        Box::pin(checking::the_catalog_tells_foreign_keys(db))
    }),
    ("a writer with its rights passes the check", |db| {
        Box::pin(checking::a_proper_writer_passes_the_check(db))
    }),
    ("a missing column fails the check", |db| {
        Box::pin(checking::a_missing_column_fails_the_check(db))
    }),
    ("a missing receipt table fails the check", |db| {
        Box::pin(checking::a_missing_receipt_table_fails_the_check(db))
    }),
    ("a row that stays as it is was matched", |db| {
        Box::pin(traps::a_row_that_stays_as_it_is_was_matched(db))
    }),
    ("a missing row matches nothing", |db| {
        Box::pin(traps::a_missing_row_matches_nothing(db))
    }),
    ("two rows of one key are both seen by the lock", |db| {
        Box::pin(traps::two_rows_of_one_key_are_both_locked(db))
    }),
    ("a column moves to the database's present", |db| {
        Box::pin(traps::a_column_moves_to_the_present(db))
    }),
    ("uncommitted changes are not read", |db| {
        Box::pin(traps::nobody_reads_what_is_not_committed(db))
    }),
    ("many transactions leave nothing behind", |db| {
        Box::pin(traps::many_transactions_leave_nothing_behind(db))
    }),
    ("each transaction is accounted for alone", |db| {
        Box::pin(traps::one_transaction_after_another_is_accounted_alone(db))
    }),
    ("a receipt of any characters reads back", |db| {
        Box::pin(traps::a_receipt_of_any_characters_reads_back(db))
    }),
    ("a long receipt reads back", |db| {
        Box::pin(traps::a_long_receipt_reads_back(db))
    }),
    ("the largest numbers of a receipt read back", |db| {
        Box::pin(traps::the_largest_numbers_of_a_receipt_read_back(db))
    }),
    ("receipts of one moment come by id", |db| {
        Box::pin(traps::receipts_of_one_moment_come_by_id(db))
    }),
    ("a guard of text is compared exactly", |db| {
        Box::pin(traps::a_guard_of_text_is_compared_exactly(db))
    }),
];

pub(crate) fn text(column: &str, value: &str) -> ColumnValue {
    ColumnValue::new(column, Value::text(value))
}

pub(crate) fn int(column: &str, value: i128) -> ColumnValue {
    ColumnValue::new(column, Value::int(value))
}

pub(crate) fn float(text: &str) -> Value {
    Value::exact(ValueKind::Float, text)
}

/// Returns the plan of a row of `table` by text key and tenant.
pub(crate) fn plan(db: &Db, table: &str, id: &str, tenant: &str, columns: &[&str]) -> RowPlan {
    RowPlan {
        schema: db.schema(),
        table: table.to_owned(),
        keys: vec![text("id", id)],
        tenant: Some(text("tenant", tenant)),
        columns: columns.iter().map(|c| (*c).to_owned()).collect(),
    }
}

/// Returns the invoice that most behaviors change: status `open`, fee 5500, version 7.
pub(crate) fn invoice(db: &Db) -> RowPlan {
    plan(db, "invoices", "INV-1", "acme", &["status", "fee", "version"])
}

pub(crate) async fn begin(db: &Db) -> OpenTransaction {
    db.writer().begin().await.unwrap()
}

/// Begins a transaction that has locked the invoice, whether its engine locks rows or the whole database.
pub(crate) async fn locked(db: &Db) -> Result<Box<dyn Transaction>, EngineError> {
    let mut transaction = db.writer().begin().await?.transaction;
    transaction.lock(&invoice(db)).await?;
    Ok(transaction)
}

/// Returns an exact decimal.
pub(crate) fn dec(text: &str) -> Value {
    Value::exact(ValueKind::Dec, text)
}

/// Returns a value of a kind whose text is in the server's form.
pub(crate) fn exact(kind: ValueKind, text: &str) -> Value {
    Value::exact(kind, text)
}

/// Creation time of the behaviors' receipts, where nothing depends on it.
pub(crate) const AT: &str = "2026-01-02T03:04:05.678Z";

/// Returns the code on the table of a plan, acknowledged without side effects.
pub(crate) async fn all_code(transaction: &mut dyn Transaction, plan: &RowPlan) -> Acknowledged {
    let shape = transaction.shape(&plan.schema, &plan.table).await.unwrap();
    let entries: Vec<SideEffectAck> = shape
        .foreign_code
        .iter()
        .filter(|code| code.form == CodeForm::Acknowledgeable)
        .map(|code| SideEffectAck {
            name: code.name.clone(),
            digest: code.digest,
            functions: code.functions.clone(),
            writes: Vec::new(),
        })
        .collect();
    Acknowledged::acknowledge(&shape.foreign_code, &entries).unwrap()
}

/// Runs the first check of a transaction with all code acknowledged.
pub(crate) async fn acknowledge(transaction: &mut dyn Transaction, plan: &RowPlan) -> Acknowledged {
    let allowed = all_code(transaction, plan).await;
    let check = CheckTarget {
        plan,
        allowed: &allowed,
    };
    transaction.first_check(Some(check)).await.unwrap();
    allowed
}

/// Changes the row of a plan; returns the number of matched rows.
pub(crate) async fn update(
    transaction: &mut dyn Transaction,
    plan: &RowPlan,
    set: &[ColumnValue],
    guard: Option<&ColumnValue>,
) -> u64 {
    acknowledge(transaction, plan).await;
    transaction.update(plan, change(set, guard)).await.unwrap()
}

/// Asserts that nothing changed besides the row of the plan.
pub(crate) async fn nothing_else_changed(transaction: &mut dyn Transaction, plan: &RowPlan) {
    let collateral = transaction.side_effects(plan).await.unwrap();
    assert_eq!(collateral, Vec::<String>::new());
}

/// Inserts a receipt and commits it with the transaction's changes.
pub(crate) async fn commit(transaction: Box<dyn Transaction>, receipt: &StoredReceipt) {
    record(transaction, receipt)
        .await
        .unwrap()
        .commit()
        .await
        .unwrap();
}

pub(crate) fn proposal_id(n: u8) -> String {
    format!("wrp_{}", hex(n, 10))
}

pub(crate) fn receipt(n: u8, created_at: &str) -> StoredReceipt {
    StoredReceipt {
        proposal_id: proposal_id(n),
        proposal_digest: format!("sha256:{}", hex(n, 32)),
        outcome: "applied".to_owned(),
        reason: String::new(),
        rows_affected: 1,
        previous_version: Some("7".to_owned()),
        new_version: None,
        fence: 3,
        executor_id: "writer-1".to_owned(),
        ledger_size: 41,
        ledger_root: hex(n, 32),
        db_identity: "the same".to_owned(),
        created_at: created_at.to_owned(),
        receipt: "{\"note\":\"Zoë's “receipt”\\n\"}".to_owned(),
        executor_key: format!("ed25519:{}", hex(n, 16)),
        executor_sig: hex(n, 64),
    }
}

fn hex(n: u8, bytes: usize) -> String {
    format!("{n:02x}").repeat(bytes)
}

/// Returns an update that sets no column to the current time.
pub(crate) const fn change<'a>(set: &'a [ColumnValue], guard: Option<&'a ColumnValue>) -> RowChange<'a> {
    RowChange {
        set,
        guard,
        now: None,
    }
}

/// Runs blocking work after handing the thread's other tasks to another thread. The engine's background work
/// must continue, or the owner could wait for a connection that no task closes.
pub(crate) fn handing_over<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
