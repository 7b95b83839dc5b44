//! What an engine offers to the write core: the statements of one writing transaction, and nothing that decides.
//! The trait is private to this crate, so no other crate can send them.

use std::fmt;

use async_trait::async_trait;
use synapsor_domain::foreign_code::Acknowledged;
use synapsor_domain::schema::TableSchema;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::value::ColumnValue;
use synapsor_engine::sqlite::connect::FilePlace;
use synapsor_source::{EngineError, FoundReceipts, RowPlan, StoredReceipt};

use crate::violation::{LookError, Violation};

/// Rows of a plan, each with the columns of the plan in their order.
pub(crate) type Rows = Vec<Vec<ColumnValue>>;

/// What one UPDATE changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowChange<'a> {
    pub(crate) set: &'a [ColumnValue],
    /// The version column as it must still be.
    pub(crate) guard: Option<&'a ColumnValue>,
    /// A version column that is set to the database's own time.
    pub(crate) now: Option<&'a str>,
}

/// An open transaction with what the database reports of itself from inside it.
pub(crate) struct OpenTransaction {
    pub(crate) transaction: Box<dyn Transaction>,
    pub(crate) identity: String,
    pub(crate) database_now: Timestamp,
    /// For a database that is a file.
    pub(crate) place: Option<FilePlace>,
}

impl fmt::Debug for OpenTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTransaction")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Why a receipt could not be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RecordError {
    /// Another transaction's receipt of this proposal is committed.
    Exists,
    Engine(EngineError),
}

/// Why a COMMIT did not answer with success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CommitError {
    /// The database refused COMMIT, and the transaction was rolled back.
    NotCommitted(EngineError),
    /// Nobody knows whether it took effect.
    Doubt(EngineError),
    /// It took effect, and what it committed is not what was checked.
    Violation(Violation),
}

impl CommitError {
    /// As an error of the engine, for transactions without a row.
    pub(crate) fn into_engine(self) -> EngineError {
        match self {
            Self::NotCommitted(error) | Self::Doubt(error) => error,
            Self::Violation(violation) => LookError::Violation(violation).into_engine(),
        }
    }
}

/// The row that a transaction changes, with what the contract acknowledges that its table may do besides.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LookTarget<'a> {
    pub(crate) plan: &'a RowPlan,
    pub(crate) allowed: &'a Acknowledged,
}

/// Begins writing transactions on one database.
#[async_trait]
pub(crate) trait Begin: Send + Sync {
    /// Opens a connection and a transaction that may write, with its timeouts set. The clock and the identity of
    /// the database come from inside the transaction.
    async fn begin(&self) -> Result<OpenTransaction, EngineError>;
}

/// An open transaction. Dropping it, or any error from it, ends it by closing its connection; there is no way from
/// an error to a COMMIT.
#[async_trait]
pub(crate) trait Transaction: Send {
    /// Locks and reads the row; at most two rows. Waits at most the engine's lock timeout.
    async fn lock(&mut self, plan: &RowPlan) -> Result<Rows, EngineError>;

    /// Whether a plain read finds a row that the lock did not.
    async fn is_visible_unlocked(&mut self, plan: &RowPlan) -> Result<bool, EngineError>;

    /// The receipt of a proposal, those of the known others, and every freeze and lift, read under the lock by one
    /// statement.
    async fn find_receipts(&mut self, id: &str, known: &[&str]) -> Result<FoundReceipts, EngineError>;

    /// The one row with this key, whatever its kind.
    #[cfg(test)]
    async fn find_receipt(&mut self, id: &str) -> Result<Option<StoredReceipt>, EngineError> {
        Ok(self.find_receipts(id, &[]).await?.of_key(id))
    }

    /// The table's shape as this transaction reads it.
    async fn shape(&mut self, schema: &str, table: &str) -> Result<TableSchema, EngineError>;

    /// The look before the first write: the receipt table has exactly the required form and the target runs no code
    /// that is neither of the closed form nor acknowledged. Without a target only the receipt table matters.
    async fn first_look(&mut self, target: Option<LookTarget<'_>>) -> Result<(), LookError>;

    /// What puts the account above every check of the writer, as [`Self::first_look`] found it: attributes of its
    /// role, and tables that it owns.
    fn account_powers(&self) -> &[String] {
        &[]
    }

    /// One UPDATE of exactly the change where key, tenant and guard match, and everything that the database had
    /// deferred to the COMMIT; returns the number of matched rows.
    async fn update(&mut self, plan: &RowPlan, change: RowChange<'_>) -> Result<u64, EngineError>;

    /// Reads the row again inside the transaction; at most two rows.
    async fn reread(&mut self, plan: &RowPlan) -> Result<Rows, EngineError>;

    /// Every change of this transaction besides the one row, one line each; empty when there is none.
    async fn side_effects(&mut self, plan: &RowPlan) -> Result<Vec<String>, EngineError>;

    /// Inserts the receipt, which must be the one row of its statement.
    async fn insert_receipt(&mut self, receipt: &StoredReceipt) -> Result<(), RecordError>;

    /// Whether the last look without a target needs a first one before it.
    #[cfg(test)]
    fn needs_first_look(&self) -> bool {
        false
    }

    /// The last look, after the receipt's INSERT: what was deferred has run, no setting was changed, both tables are
    /// as the first look found them, the receipt reads back as it was written, and no code of others can run until
    /// the end of COMMIT. Returns the rows of the target as they will be committed.
    async fn last_look(
        &mut self,
        target: Option<LookTarget<'_>>,
        receipt: &StoredReceipt,
    ) -> Result<Rows, LookError>;

    /// Commits what the last look found; every error of a statement and every missing answer is doubt.
    async fn commit(self: Box<Self>) -> Result<(), CommitError>;

    /// Ends the transaction without effect.
    async fn roll_back(self: Box<Self>);
}
