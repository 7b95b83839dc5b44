//! What a source database is to its callers: rows, receipts, errors and the trait for reading. No driver is
//! reachable from here, so a crate that depends on this one alone cannot send a statement of its own.

pub mod db_error_message;
pub mod error;
pub mod identity;
pub mod probe;
pub mod receipt;
pub mod schema_catalog;
pub mod switch_row;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::schema::{TableColumn, TableSchema};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::value::{ColumnValue, Value};

pub use error::{EngineError, EngineErrorKind};
pub use identity::is_same_database;
pub use receipt::{
    FoundReceipts, KNOWN_RECEIPTS_MAX, RECEIPTS_PER_STATEMENT_MAX, RowMark, SourceReceipts, StoredReceipt,
};
pub use schema_catalog::{Finding, PreflightTarget, SchemaCatalog};
pub use switch_row::SwitchRow;

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

/// Rows, and the database that they are from.
#[derive(Debug, Clone)]
pub struct RowSet {
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
    async fn table_schema(&self, schema: &str, table: &str) -> Result<TableSchema, EngineError>;

    /// As [`Engine::shape`], but up to [`SHAPE_AGE_MAX`] old: enough to plan with, since a writer compares the
    /// fingerprint with a fresh one under the lock. Costs no round trip while it is kept.
    async fn cached_table_schema(&self, schema: &str, table: &str) -> Result<Arc<TableSchema>, EngineError>;

    /// The value exactly as the column would hold it, or why the database would round, clip, cast or pad it.
    /// The plain digits of an integer fit an integer column as that integer: keys and tenants come as text.
    fn fit(&self, column: &TableColumn, value: &Value) -> Result<Value, PublicError>;

    /// One round trip on a connection that is open and has the statement prepared; at most two rows, so that
    /// "more than one" can be told. Key and tenant are compared byte for byte whatever the collation. The
    /// statement is stopped on the server when the caller goes away.
    async fn read(&self, plan: &RowPlan) -> Result<RowSet, EngineError>;

    /// Every table and view that this credential sees, of one schema or of all but the system's.
    async fn catalogue(&self, schema: Option<&str>) -> Result<SchemaCatalog, EngineError>;

    /// What keeps this credential from reading the columns of a target: every right that it lacks, with the
    /// statement that gives it, and what is not there. No row is read.
    async fn check_reading(&self, target: &PreflightTarget) -> Result<Vec<Finding>, EngineError>;

    /// Why this database cannot be written by the protocol now, with the statements that fix it; empty when
    /// it can.
    async fn receipt_problems(&self) -> Result<Vec<String>, EngineError>;

    /// The receipt as committed. Absence proves nothing.
    async fn find_receipt(&self, id: &ProposalId) -> Result<Option<StoredReceipt>, EngineError>;

    /// The receipts of up to [`RECEIPTS_PER_STATEMENT_MAX`] proposals as committed on the primary, in one statement
    /// with what the database says of itself. A standby or a database that takes no writes is unavailable: what it
    /// lacks can be on its way.
    async fn find_receipts(&self, ids: &[ProposalId]) -> Result<SourceReceipts, EngineError>;

    /// Rows of the receipt table before a mark, newest first by their time, at most `rows_max`. Freezes and lifts are
    /// among them.
    async fn receipts_before(
        &self,
        before: Option<&RowMark>,
        rows_max: u32,
    ) -> Result<Vec<StoredReceipt>, EngineError>;

    /// Every freeze and lift that the receipt table holds.
    async fn find_switches(&self) -> Result<Vec<StoredReceipt>, EngineError>;

    /// Receipts committed at or after a moment, oldest first, at most `rows_max`.
    async fn receipts_since(&self, from: Timestamp, rows_max: u32)
    -> Result<Vec<StoredReceipt>, EngineError>;
}
