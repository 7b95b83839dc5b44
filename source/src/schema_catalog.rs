//! Metadata of a database for operators: its tables with the facts a contract needs, and the findings of a
//! preflight. Never contains a row.

use synapsor_codes::ErrorCode;
use synapsor_domain::inspection::{ForeignKey, Index, Unique};
use synapsor_domain::schema::{TableColumn, TableSchema};
use synapsor_domain::writeback::FindingSeverity;

use crate::db_error_message::explain;
use crate::error::{EngineError, EngineErrorKind};

/// Everything that one credential can see.
#[derive(Debug, Clone)]
pub struct SchemaCatalog {
    /// As [`super::Engine::product`].
    pub product: String,
    /// The account, as the database names it.
    pub account: String,
    /// Schema of names without one; `None` if the connection has none.
    pub current_schema: Option<String>,
    /// Every schema except system schemas, whether or not its tables are listed.
    pub schemas: Vec<String>,
    /// By schema, then by name.
    pub tables: Vec<CatalogTable>,
    /// Whether tables were left out because of the limit.
    pub truncated: bool,
}

/// Maximum number of tables in a schema catalog.
pub const TABLES_MAX: usize = 500;

/// One table or view.
#[derive(Debug, Clone)]
pub struct CatalogTable {
    pub shape: TableSchema,
    /// In key order; empty without a primary key.
    pub primary_key: Vec<String>,
    /// Columns of types whose values cannot be read exactly.
    pub unreadable: Vec<String>,
    /// Columns of types to which no value can be written unchanged.
    pub unwritable: Vec<String>,
    /// By column, as the database spells the type.
    pub defaults: Vec<(String, String)>,
    pub unique: Vec<Unique>,
    pub foreign_keys: Vec<ForeignKey>,
    pub indexes: Vec<Index>,
    /// Whether this credential can change rows here, through any of its roles and in any column. In an engine
    /// without rights: whether the object can be changed at all.
    pub can_change: bool,
}

/// One table that direct writebacks of the contract change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreflightTarget {
    pub schema: String,
    pub table: String,
    /// Columns that together identify a row.
    pub keys: Vec<String>,
    pub tenant: Option<String>,
    /// Every column that a writeback reads under the lock, keys and guard included.
    pub reads: Vec<String>,
    /// Every column that a writeback sets.
    pub writes: Vec<String>,
}

/// One finding of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub severity: FindingSeverity,
    pub code: ErrorCode,
    /// One sentence; names objects and rights, never a value or a URL.
    pub text: String,
    /// The exact statements for the owner to run, if there are any.
    pub fix: Option<String>,
}

impl Finding {
    /// The receipt table, or what the protocol needs besides it, is not as the migration creates it.
    pub fn unfit_receipts(text: impl Into<String>, fix: Option<String>) -> Self {
        Self {
            severity: FindingSeverity::Error,
            code: ErrorCode::ReceiptTableUnfit,
            text: text.into(),
            fix,
        }
    }

    /// There is no receipt table; `ddl` creates it.
    pub fn missing_receipts(table: &str, ddl: String) -> Self {
        Self {
            code: ErrorCode::ReceiptTableMissing,
            ..Self::unfit_receipts(format!("the receipt table `{table}` does not exist"), Some(ddl))
        }
    }

    /// A change of the table has an effect besides the change.
    pub fn side_effect(table: &str, effect: &str) -> Self {
        Self {
            severity: FindingSeverity::Warning,
            code: ErrorCode::SideEffect,
            text: format!(
                "a change of `{table}` triggers {effect}; a column of the row that it sets has to be in `db_managed` of \
                 the capabilities that show it"
            ),
            fix: None,
        }
    }

    /// There is no identity table, so that a copy of the database is not recognized as one.
    pub fn missing_identity() -> Self {
        Self {
            severity: FindingSeverity::Warning,
            ..Self::unfit_receipts(
                "the table `synapsor_database_identity` does not exist: copies of this database are not recognized, and \
                 proposals that were made while it existed are refused",
                Some(
                    "restore the table, or run what `synapsor-runner writeback migration` prints".to_owned(),
                ),
            )
        }
    }

    /// The check of a table waited for a lock, or took too long; `None` for other errors.
    pub fn unchecked_table(table: &str, error: &EngineError) -> Option<Self> {
        let reason = match error.kind {
            EngineErrorKind::Busy => "another session holds a lock on it",
            EngineErrorKind::Timeout => "it did not answer in time, as if another session held a lock on it",
            _ => return None,
        };
        let explained = explain(error);
        Some(Self {
            severity: FindingSeverity::Error,
            code: explained.code,
            text: format!(
                "the table `{table}` cannot be checked now: {reason} ({})",
                error.detail
            ),
            fix: Some(explained.fix.into_owned()),
        })
    }

    /// Values of a key column are not compared exactly with an argument.
    pub fn unfit_key(table: &TableSchema, column: &TableColumn) -> Self {
        Self {
            severity: FindingSeverity::Error,
            code: ErrorCode::KeyTypeUnfit,
            text: format!(
                "no row of `{}` can be found by `{}`: values of `{}` are not compared exactly",
                table.table, column.name, column.declared_type
            ),
            fix: Some("name another key in the contract's capabilities".to_owned()),
        }
    }

    /// Returns text and fix as one text.
    pub fn lines(&self) -> String {
        match &self.fix {
            Some(fix) => format!("{}:\n{fix}", self.text),
            None => self.text.clone(),
        }
    }
}
