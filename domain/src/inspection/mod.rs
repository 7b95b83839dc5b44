//! Inspection of a database before a contract exists: its tables as facts, and suggestions derived from them. A
//! suggestion has no authority: the contract's author decides. Metadata only, never a row.

mod kind;
mod suggest;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use kind::ColumnKind;
pub use suggest::{ColumnSuggestions, TableSuggestions, of_column, of_table};

use crate::contract::{SslMode, is_identifier};
use crate::schema::is_set_by_updates;

/// Sentence printed with every inspection.
pub const ADVISORY: &str = "Suggestions go by names and types only: confirm tenant, version and visible columns before you use them.";

/// Maximum size of an inspection as JSON, in bytes.
pub const INSPECTION_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Prefix of the tables that this program keeps in a database.
pub const OWN_TABLE_PREFIX: &str = "synapsor_";

/// One database as one credential sees it. Public form of `inspect --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// `postgres`, `mysql` or `sqlite`.
    pub engine: String,
    /// Actual product with its version: `MariaDB 10.11.19`. Empty in files of 0.1.x.
    #[serde(default)]
    pub product: String,
    pub server_version: String,
    pub current_user: String,
    /// Schema of names without one: on PostgreSQL the first of the search path, otherwise the URL's database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_schema: Option<String>,
    /// How the server's certificate was verified, if the authorities were named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_mode: Option<SslMode>,
    /// RFC 3339, UTC.
    pub inspected_at: String,
    /// Every non-system schema, whether or not its tables are listed.
    pub schemas: Vec<String>,
    pub tables: Vec<TableInfo>,
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// One table or view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableInfo {
    pub schema: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: TableKind,
    /// Whether this credential may change rows of the table.
    pub writable: bool,
    /// What keeps the writer from changing rows of the table: `partitioned`, `inherits`, `unlogged` and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never_written: Option<String>,
    pub columns: Vec<ColumnInfo>,
    /// Columns in key order; empty without a primary key.
    pub primary_key: Vec<String>,
    #[serde(default)]
    pub unique_constraints: Vec<Unique>,
    #[serde(default)]
    pub foreign_keys: Vec<ForeignKey>,
    #[serde(default)]
    pub indexes: Vec<Index>,
    #[serde(default)]
    pub suggestions: TableSuggestions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableKind {
    Table,
    View,
}

/// A column as declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnInfo {
    pub name: String,
    pub data_type: String,
    /// For a domain type, its underlying type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_type: Option<String>,
    /// For an enumeration or a set, every label in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    pub nullable: bool,
    /// As the database spells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Computed by the database from other columns; a default is not.
    pub generated: bool,
    /// Values of the type cannot be read exactly.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unreadable: bool,
    /// No value can be written to the type unchanged.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unwritable: bool,
    /// From 1.
    pub ordinal_position: u32,
    #[serde(default)]
    pub suggestions: ColumnSuggestions,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unique {
    pub name: String,
    pub columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    pub name: String,
    pub columns: Vec<String>,
    pub referenced_schema: String,
    pub referenced_table: String,
    pub referenced_columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    pub name: String,
    /// Whole columns only; an expression has no name.
    #[serde(default)]
    pub columns: Vec<String>,
    #[serde(default)]
    pub unique: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes the field by reference"
)]
fn is_false(flag: &bool) -> bool {
    !*flag
}

impl TableKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::View => "view",
        }
    }
}

impl Inspection {
    /// Returns the tables with this name, in this schema if one is given.
    pub fn tables_called<'a, 'b>(
        &'a self,
        schema: Option<&'b str>,
        name: &'b str,
    ) -> impl Iterator<Item = &'a TableInfo> {
        self.tables
            .iter()
            .filter(move |table| table.name == name && schema.is_none_or(|schema| table.schema == schema))
    }

    /// Returns the tables for which a contract can be drafted: the ones that it can name, without this program's own.
    pub fn offered(&self) -> Vec<&TableInfo> {
        let is_own = |table: &&TableInfo| table.name.starts_with(OWN_TABLE_PREFIX);
        let nameable = self.tables.iter().filter(|table| table.is_nameable());
        nameable.filter(|table| !is_own(table)).collect()
    }

    /// Fills in the suggestions derived from the facts.
    #[must_use]
    pub fn with_suggestions(mut self) -> Self {
        for table in &mut self.tables {
            for column in &mut table.columns {
                let is_key = table.primary_key.contains(&column.name);
                column.suggestions = of_column(&column.name, &column.data_type, is_key);
            }
            table.suggestions = of_table(&table.columns);
        }
        self
    }
}

impl TableInfo {
    pub fn column(&self, name: &str) -> Option<&ColumnInfo> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns whether a contract can name the table.
    pub fn is_nameable(&self) -> bool {
        is_identifier(&self.schema) && is_identifier(&self.name)
    }

    /// Returns the only column of the primary key, otherwise a column named like a key: `id`, `<object>_id`,
    /// `<table>_id`.
    pub fn key_candidate(&self, object: &str) -> Option<&str> {
        if let [only] = self.primary_key.as_slice() {
            return Some(only);
        }
        let names = [
            "id".to_owned(),
            format!("{object}_id"),
            format!("{}_id", self.name),
        ];
        let found = names.iter().find_map(|name| self.column(name))?;
        self.primary_key.is_empty().then_some(found.name.as_str())
    }
}

impl ColumnInfo {
    /// Returns the argument type for the column; `None` for unknown types.
    pub fn kind(&self) -> Option<ColumnKind> {
        kind::of(self.base_type.as_deref().unwrap_or(&self.data_type))
    }

    /// Returns whether the column holds whole numbers.
    pub fn is_integer(&self) -> bool {
        kind::is_integer(self.base_type.as_deref().unwrap_or(&self.data_type))
    }

    /// Whether the column holds bytes, which a value writes as hex digits.
    pub fn is_bytes(&self) -> bool {
        kind::is_bytes(self.base_type.as_deref().unwrap_or(&self.data_type))
    }

    /// Returns the declared length of a string in characters, or of bytes, if any.
    pub fn length(&self) -> Option<u32> {
        kind::length(self.base_type.as_deref().unwrap_or(&self.data_type))
    }

    /// Returns the declared number of decimals of a decimal number; `None` without decimals.
    pub fn decimals(&self) -> Option<usize> {
        kind::decimals(self.base_type.as_deref().unwrap_or(&self.data_type))
    }

    /// Returns the declared number of digits of a number that is not an integer, if any.
    pub fn digits(&self) -> Option<u32> {
        kind::digits(self.base_type.as_deref().unwrap_or(&self.data_type))
    }

    /// Whether the declared type allows values of any length.
    pub fn is_unbounded(&self) -> bool {
        kind::is_unbounded(self.base_type.as_deref().unwrap_or(&self.data_type))
    }

    /// Whether the database sets the column at every UPDATE that does not set it.
    pub fn moves_by_itself(&self) -> bool {
        is_set_by_updates(&self.data_type)
    }

    /// Whether a value lists any number of the labels.
    pub fn is_set(&self) -> bool {
        kind::bare(&self.data_type) == "set"
    }

    /// Returns whether a contract can name the column.
    pub fn is_nameable(&self) -> bool {
        is_identifier(&self.name)
    }
}
