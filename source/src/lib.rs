//! The interface of a source database: rows, receipts, errors and the trait for reading. No driver is
//! reachable from here, so a crate that depends only on this one cannot send its own statements.

pub mod db_error_message;
pub mod error;
pub mod error_cause;
pub mod preflight;
pub mod receipt;
pub mod row_size;
pub mod schema_catalog;
pub mod switch_row;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use synapsor_domain::contract::EngineKind;
use synapsor_domain::error::PublicError;
use synapsor_domain::ids::ProposalId;
use synapsor_domain::schema::{TableColumn, TableSchema};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::value::{ColumnValue, Value};

pub use error::{EngineError, EngineErrorKind};
pub use error_cause::ErrorCause;
pub use receipt::{
    FoundReceipts, KNOWN_RECEIPTS_MAX, RECEIPTS_PER_STATEMENT_MAX, RowMark, SourceReceipts, StoredReceipt,
};
pub use schema_catalog::{Finding, PreflightTarget, SchemaCatalog};
pub use switch_row::SwitchRow;

/// Schema and name of the receipt table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptTable {
    /// The engine's default if absent.
    pub schema: Option<String>,
    pub table: String,
}

/// Identifies a row and the columns to read. Built from the contract; values are always bound, never
/// formatted into a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPlan {
    pub schema: String,
    pub table: String,
    /// Columns that together identify the row; at least one.
    pub keys: Vec<ColumnValue>,
    /// Absent only for single-tenant development reads.
    pub tenant: Option<ColumnValue>,
    /// In the order in which values are returned.
    pub columns: Vec<String>,
}

impl RowPlan {
    /// Columns that the row must have these values in: the keys, and the tenant unless it is one of them.
    pub fn conditions(&self) -> impl Iterator<Item = &ColumnValue> {
        let tenant = self.tenant.iter().filter(|tenant| !self.keys.contains(tenant));
        self.keys.iter().chain(tenant)
    }
}

/// Rows, and the identity of the database they come from.
#[derive(Debug, Clone)]
pub struct RowSet {
    pub identity: String,
    pub rows: Vec<Vec<ColumnValue>>,
}

/// Maximum age of a cached table shape.
pub const SHAPE_AGE_MAX: Duration = Duration::from_secs(2);

/// One database under one credential. A reader's engine is opened read-only and never begins a transaction
/// that could write. A writer's engine is opened for writing and never serves a gateway.
#[async_trait]
pub trait Engine: Send + Sync + fmt::Debug {
    /// `postgres`, `mysql` or `sqlite`.
    fn kind(&self) -> EngineKind;

    /// Product and version of the server: `PostgreSQL 15.18`, `MariaDB 10.11.19`.
    async fn product(&self) -> Result<String, EngineError>;

    /// Returns the identity that the database reports. Another database, a clone or a restored copy has
    /// another identity where the engine can detect it.
    async fn identity(&self) -> Result<String, EngineError>;

    /// Returns those of the server's functions that the role of this credential may not call. Engines whose identity has
    /// no unreadable parts are never asked.
    async fn denied_functions(&self, _functions: &[&'static str]) -> Result<Vec<&'static str>, EngineError> {
        Ok(Vec::new())
    }

    /// Reads the table's current shape from the schema catalog; `EngineError::NotFound` if there is no such
    /// table.
    async fn table_schema(&self, schema: &str, table: &str) -> Result<TableSchema, EngineError>;

    /// Returns [`Engine::shape`], at most [`SHAPE_AGE_MAX`] old. That is enough for planning, since a writer
    /// compares the fingerprint with a fresh one under the lock. A cached shape costs no round trip.
    async fn cached_table_schema(&self, schema: &str, table: &str) -> Result<Arc<TableSchema>, EngineError>;

    /// Returns the value exactly as the column would store it, or the reason why the database would round,
    /// clip, cast or pad it. The plain digits of an integer fit an integer column: keys and tenants arrive as
    /// strings.
    fn fit(&self, column: &TableColumn, value: &Value) -> Result<Value, PublicError>;

    /// Takes one round trip on an open connection with the statement prepared. Returns at most two rows, so
    /// that the caller can detect "more than one". Key and tenant are compared byte for byte under any
    /// collation. The server cancels the statement when the caller drops the future.
    async fn read(&self, plan: &RowPlan) -> Result<RowSet, EngineError>;

    /// Lists the tables and views visible to this credential, of one schema or of all but system schemas.
    async fn catalog(&self, schema: Option<&str>) -> Result<SchemaCatalog, EngineError>;

    /// Lists the reasons why this credential cannot read the columns of a target: each missing right with the
    /// statement that grants it, and each missing object. No row is read.
    async fn check_reading(&self, target: &PreflightTarget) -> Result<Vec<Finding>, EngineError>;

    /// Lists the reasons why the protocol cannot write to this database now. Empty if it can.
    async fn receipt_problems(&self) -> Result<Vec<Finding>, EngineError>;

    /// Returns the committed receipt. Absence proves nothing.
    async fn find_receipt(&self, id: &ProposalId) -> Result<Option<StoredReceipt>, EngineError>;

    /// Returns the committed receipts of up to [`RECEIPTS_PER_STATEMENT_MAX`] proposals on the primary, in
    /// one statement with the database's identity. A standby or a read-only database is reported as
    /// unavailable: a missing receipt may still be replicated to it.
    async fn find_receipts(&self, ids: &[ProposalId]) -> Result<SourceReceipts, EngineError>;

    /// Returns rows of the receipt table before a mark, newest first, at most `rows_max`. They include
    /// freezes and lifts.
    async fn receipts_before(
        &self,
        before: Option<&RowMark>,
        rows_max: u32,
    ) -> Result<Vec<StoredReceipt>, EngineError>;

    /// Returns every freeze and lift in the receipt table.
    async fn find_switches(&self) -> Result<Vec<StoredReceipt>, EngineError>;

    /// Returns receipts committed at or after a time, oldest first, at most `rows_max`.
    async fn receipts_since(&self, from: Timestamp, rows_max: u32)
    -> Result<Vec<StoredReceipt>, EngineError>;
}
