//! What a person is shown of a database: its tables with what a contract needs to know of them, and what a check
//! of the write path found. Metadata only, never a row.

use synapsor_domain::inspection::{ForeignKey, Index, Unique};
use synapsor_domain::schema::TableSchema;

/// Everything that one credential sees.
#[derive(Debug, Clone)]
pub struct SchemaCatalog {
    /// As [`super::Engine::product`].
    pub product: String,
    /// The account, as the database names it.
    pub account: String,
    /// Every schema that is no system schema, whether or not its tables are listed.
    pub schemas: Vec<String>,
    /// By schema, then by name.
    pub tables: Vec<CatalogTable>,
    /// Whether tables were left out because there are more than are listed.
    pub truncated: bool,
}

/// Tables that a catalogue lists at most.
pub const TABLES_MAX: usize = 500;

/// One table or view.
#[derive(Debug, Clone)]
pub struct CatalogTable {
    pub shape: TableSchema,
    /// In key order; empty without a primary key.
    pub primary_key: Vec<String>,
    /// By column, in the database's own words.
    pub defaults: Vec<(String, String)>,
    pub unique: Vec<Unique>,
    pub foreign_keys: Vec<ForeignKey>,
    pub indexes: Vec<Index>,
    /// Whether this credential may change rows here, through any of its roles and in any column; in an engine
    /// without rights whether the object can be changed at all.
    pub can_change: bool,
}

/// One table that direct writebacks of the contract change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreflightTarget {
    pub schema: String,
    pub table: String,
    pub primary_key: String,
    pub tenant: Option<String>,
    /// Every column that a writeback reads under the lock, keys and guard included.
    pub reads: Vec<String>,
    /// Every column that a writeback sets.
    pub writes: Vec<String>,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingSeverity {
    /// As it should be.
    Fine,
    /// Writebacks work, but a promise is weaker or a right is broader than it should be.
    Warning,
    /// Writebacks cannot work, or are refused.
    Problem,
}

/// The code of a finding that refuses a writer outside the environment `dev`: its account is a superuser, passes by row
/// security, or owns a table that it writes, so no check of the writer limits what the account can do.
pub const WRITER_ACCOUNT_TOO_POWERFUL: &str = "WRITER_ACCOUNT_TOO_POWERFUL";

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: FindingSeverity,
    /// Stable, upper snake case: `GRANT_MISSING`, `GRANT_EXCESSIVE`, `RECEIPT_TABLE_MISSING`.
    pub code: &'static str,
    /// One sentence; names objects and rights, never a value or a URL.
    pub text: String,
    /// The exact statements for the owner to run, if there are any.
    pub fix: Option<String>,
}
