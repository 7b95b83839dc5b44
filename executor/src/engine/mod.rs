//! The only folder that names a database driver: one trait, one folder per engine with the same file names.
//!
//! What an engine must do is the conformance list in `tests/conformance`; an engine is finished when the
//! list is green. The protocol of a writeback is not here but in `writeback/apply`, once for all engines.

pub mod catalogue;
pub mod credential;
pub mod error;
pub mod mysql;
pub mod open;
pub mod postgres;
pub mod receipt;
pub mod sqlite;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::refusal::Refusal;
use synapsor_domain::schema::{Column, TableShape};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::value::{ColumnValue, Value};

pub use catalogue::{Catalogue, CheckTarget, Finding};
pub use credential::Credential;
pub use error::{CommitError, EngineError, RecordError};
pub use open::Opening;
pub use receipt::StoredReceipt;

/// What a credential is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reads only; no transaction that could write is ever begun.
    Read,
    /// Reads, and transactions of the writeback.
    Write,
}

/// Where receipts are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptTable {
    /// The engine's own default if absent.
    pub schema: Option<String>,
    pub table: String,
}

/// Which row, and which of its columns. Built from the contract; the values are always bound, never printed
/// into a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPlan {
    pub schema: String,
    pub table: String,
    pub primary_key: ColumnValue,
    /// Absent only for single-tenant development reads.
    pub tenant: Option<ColumnValue>,
    /// In the order in which values come back.
    pub columns: Vec<String>,
}

/// What one UPDATE changes.
#[derive(Debug, Clone, Copy)]
pub struct RowChange<'a> {
    pub set: &'a [ColumnValue],
    /// The version column as it must still be.
    pub guard: Option<&'a ColumnValue>,
    /// A version column that is set to the database's own time.
    pub now: Option<&'a str>,
}

/// Rows, and the database that they are from.
#[derive(Debug, Clone)]
pub struct Reading {
    pub identity: String,
    pub rows: Vec<Vec<ColumnValue>>,
}

/// How old a kept table shape may be.
pub const SHAPE_AGE_MAX: Duration = Duration::from_secs(2);

/// One database behind one credential. A reader's engine is opened read-only and never begins a transaction
/// that could write; a writer's engine is opened for writing and never serves a gateway.
#[async_trait]
pub trait Engine: Send + Sync + fmt::Debug {
    /// `postgres`, `mysql` or `sqlite`.
    fn kind(&self) -> &'static str;

    /// What is really there, with its version: `PostgreSQL 15.18`, `MariaDB 10.11.19`.
    async fn product(&self) -> Result<String, EngineError>;

    /// What the database says of itself; another database, a clone or a restored copy says something else
    /// where the engine can tell.
    async fn identity(&self) -> Result<String, EngineError>;

    /// The table as its catalogue describes it now; `EngineError::NotFound` if there is none.
    async fn shape(&self, schema: &str, table: &str) -> Result<TableShape, EngineError>;

    /// As [`Engine::shape`], but up to [`SHAPE_AGE_MAX`] old: enough to plan with, since a writer compares the
    /// fingerprint with a fresh one under the lock. Costs no round trip while it is kept.
    async fn known_shape(&self, schema: &str, table: &str) -> Result<Arc<TableShape>, EngineError>;

    /// The value exactly as the column would hold it, or why the database would round, clip, cast or pad it.
    /// The plain digits of an integer fit an integer column as that integer: keys and tenants come as text.
    fn fit(&self, column: &Column, value: &Value) -> Result<Value, Refusal>;

    /// One round trip on a connection that is open and has the statement prepared; at most two rows, so that
    /// "more than one" can be told. Key and tenant are compared byte for byte whatever the collation. The
    /// statement is stopped on the server when the caller goes away.
    async fn read(&self, plan: &RowPlan) -> Result<Reading, EngineError>;

    /// Every table and view that this credential sees, of one schema or of all but the system's.
    async fn catalogue(&self, schema: Option<&str>) -> Result<Catalogue, EngineError>;

    /// Proves the write path under this credential: every statement of a writeback on `targets` and on the
    /// receipt table, rolled back; and what the role may do that it need not.
    async fn check(&self, targets: &[CheckTarget]) -> Result<Vec<Finding>, EngineError>;

    /// What keeps this credential from reading the columns of a target: every right that it lacks, with the
    /// statement that gives it, and what is not there. No row is read.
    async fn check_reading(&self, target: &CheckTarget) -> Result<Vec<Finding>, EngineError>;

    /// Why this database cannot be written by the protocol now, with the statements that fix it; empty when
    /// it can.
    async fn receipt_problems(&self) -> Result<Vec<String>, EngineError>;

    /// The receipt as committed. Absence proves nothing.
    async fn find_receipt(&self, id: &ProposalId) -> Result<Option<StoredReceipt>, EngineError>;

    /// Receipts committed at or after a moment, oldest first, at most `rows_max`.
    async fn receipts_since(&self, from: Timestamp, rows_max: u32)
    -> Result<Vec<StoredReceipt>, EngineError>;

    /// Opens a connection and a transaction that may write, with its timeouts set. The clock and the
    /// identity of the database come from inside the transaction.
    async fn begin(&self) -> Result<Begun, EngineError>;
}

/// An open transaction with what the database said when it began.
pub struct Begun {
    pub transaction: Box<dyn Transaction>,
    pub identity: String,
    pub database_now: Timestamp,
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// An open transaction. Dropping it, or any error from it, ends it by closing its connection; there is no
/// way from an error to a COMMIT.
#[async_trait]
pub trait Transaction: Send {
    /// Locks and reads the row; at most two rows. Waits at most the engine's lock timeout.
    async fn lock(&mut self, plan: &RowPlan) -> Result<Vec<Vec<ColumnValue>>, EngineError>;

    /// Whether a plain read sees a row that the lock did not.
    async fn sees(&mut self, plan: &RowPlan) -> Result<bool, EngineError>;

    /// The receipt of a proposal, read under the lock.
    async fn find_receipt(&mut self, id: &ProposalId) -> Result<Option<StoredReceipt>, EngineError>;

    /// The table's shape as this transaction sees it.
    async fn shape(&mut self, schema: &str, table: &str) -> Result<TableShape, EngineError>;

    /// One UPDATE of exactly the change where key, tenant and guard match, and everything that the database
    /// had deferred to the COMMIT; gives the number of matched rows.
    async fn update(&mut self, plan: &RowPlan, change: RowChange<'_>) -> Result<u64, EngineError>;

    /// Reads the row again inside the transaction; at most two rows.
    async fn reread(&mut self, plan: &RowPlan) -> Result<Vec<Vec<ColumnValue>>, EngineError>;

    /// Every change of this transaction besides the one row, one line each; empty when there is none.
    async fn collateral(&mut self, plan: &RowPlan) -> Result<Vec<String>, EngineError>;

    /// Inserts the receipt as the last statement and reads it back byte-equal.
    async fn record(self: Box<Self>, receipt: &StoredReceipt) -> Result<Box<dyn Recorded>, RecordError>;

    /// Ends the transaction without effect.
    async fn roll_back(self: Box<Self>);
}

/// A transaction whose receipt is in place: the only thing that can be committed.
#[async_trait]
pub trait Recorded: Send {
    /// Commits; every error and every missing answer is doubt.
    async fn commit(self: Box<Self>) -> Result<(), CommitError>;
}
