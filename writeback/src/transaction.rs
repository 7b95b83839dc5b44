//! Interface of an engine to the write core: the statements of one writing transaction, without decisions.
//! The trait is private to this crate, so no other crate can send them.

use std::fmt;

use async_trait::async_trait;
use synapsor_domain::foreign_code::Acknowledged;
use synapsor_domain::schema::TableSchema;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::value::ColumnValue;
use synapsor_engine::sqlite::connect::FileLocation;
use synapsor_source::{EngineError, FoundReceipts, RowPlan, StoredReceipt};

use crate::violation::{CheckError, Violation};

/// Rows of a plan, each with the columns of the plan in their order.
pub(crate) type Rows = Vec<Vec<ColumnValue>>;

/// Change of one UPDATE.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowChange<'a> {
    pub(crate) set: &'a [ColumnValue],
    /// The expected current value of the version column.
    pub(crate) guard: Option<&'a ColumnValue>,
    /// A version column that is set to the database's own time.
    pub(crate) now: Option<&'a str>,
}

/// An open transaction with the facts that the database reports inside it.
pub(crate) struct OpenTransaction {
    pub(crate) transaction: Box<dyn Transaction>,
    pub(crate) identity: String,
    pub(crate) database_now: Timestamp,
    /// For a database that is a file.
    pub(crate) file: Option<FileLocation>,
}

impl fmt::Debug for OpenTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTransaction")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Reasons why a receipt could not be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordError {
    /// Another transaction's receipt of this proposal is committed.
    Exists,
    Engine(EngineError),
}

/// Reasons why a COMMIT did not return success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CommitError {
    /// The database rejected COMMIT, and the transaction was rolled back.
    NotCommitted(EngineError),
    /// The result is unknown.
    Doubt(EngineError),
    /// It took effect, but committed other data than was checked.
    Violation(Violation),
}

impl CommitError {
    /// Converts to an engine error, for transactions without a row.
    pub(crate) fn into_engine(self) -> EngineError {
        match self {
            Self::NotCommitted(error) | Self::Doubt(error) => error,
            Self::Violation(violation) => CheckError::Violation(violation).into_engine(),
        }
    }
}

/// The row that a transaction changes, with the acknowledged side effects of its table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckTarget<'a> {
    pub(crate) plan: &'a RowPlan,
    pub(crate) allowed: &'a Acknowledged,
}

/// Begins writing transactions on one database.
#[async_trait]
pub(crate) trait Begin: Send + Sync {
    /// Opens a connection and a transaction that may write, with its timeouts set. Reads clock and identity
    /// of the database inside the transaction.
    async fn begin(&self) -> Result<OpenTransaction, EngineError>;
}

/// An open transaction. Dropping it, or any error from it, ends it by closing its connection; COMMIT is
/// unreachable after an error.
#[async_trait]
pub(crate) trait Transaction: Send {
    /// Locks and reads the row; returns at most two rows. Waits at most the engine's lock timeout.
    async fn lock(&mut self, plan: &RowPlan) -> Result<Rows, EngineError>;

    /// Whether a plain read finds a row that the lock did not.
    async fn is_visible_unlocked(&mut self, plan: &RowPlan) -> Result<bool, EngineError>;

    /// Reads the receipt of a proposal, those of the known others, and every freeze and lift, in one
    /// statement under the lock.
    async fn find_receipts(&mut self, id: &str, known: &[&str]) -> Result<FoundReceipts, EngineError>;

    /// Reads the one row with this key, of any kind.
    #[cfg(test)]
    async fn find_receipt(&mut self, id: &str) -> Result<Option<StoredReceipt>, EngineError> {
        Ok(self.find_receipts(id, &[]).await?.of_key(id))
    }

    /// Reads the table's shape in this transaction.
    async fn shape(&mut self, schema: &str, table: &str) -> Result<TableSchema, EngineError>;

    /// Runs the check before the first write: the receipt table has exactly the required form, and the target
    /// runs only code that has the closed form or is acknowledged. Without a target only the receipt table is
    /// checked.
    async fn first_check(&mut self, target: Option<CheckTarget<'_>>) -> Result<(), CheckError>;

    /// Returns the reasons why the account is above every check of the writer, as [`Self::first_check`] found
    /// them: attributes of its role, and tables that it owns.
    fn account_powers(&self) -> &[String] {
        &[]
    }

    /// Runs one UPDATE of exactly the change where key, tenant and guard match, with all work that the
    /// database had deferred to the COMMIT; returns the number of matched rows.
    async fn update(&mut self, plan: &RowPlan, change: RowChange<'_>) -> Result<u64, EngineError>;

    /// Reads the row again inside the transaction; returns at most two rows.
    async fn reread(&mut self, plan: &RowPlan) -> Result<Rows, EngineError>;

    /// Returns every change of this transaction besides the one row, one line each.
    async fn side_effects(&mut self, plan: &RowPlan) -> Result<Vec<String>, EngineError>;

    /// Inserts the receipt, which must be the one row of its statement.
    async fn insert_receipt(&mut self, receipt: &StoredReceipt) -> Result<(), RecordError>;

    /// Whether the last check without a target requires a first one before it.
    #[cfg(test)]
    fn needs_first_check(&self) -> bool {
        false
    }

    /// Runs the last check, after the receipt's INSERT: deferred work has run, settings are unchanged, both
    /// tables are as the first check found them, and the receipt reads back. No foreign code can run until
    /// the end of COMMIT. Returns the rows of the target as they will be committed.
    async fn last_check(
        &mut self,
        target: Option<CheckTarget<'_>>,
        receipt: &StoredReceipt,
    ) -> Result<Rows, CheckError>;

    /// Commits the checked transaction; every error of a statement and every missing answer leaves it in
    /// doubt.
    async fn commit(self: Box<Self>) -> Result<(), CommitError>;

    /// Ends the transaction without effect.
    async fn roll_back(self: Box<Self>);
}
