//! Choices of the operator; absent choices are derived.

use serde_json::{Map, Value as Json};
use synapsor_codes::ErrorCode;

use super::DraftError;
use super::flag_syntax::{Assigned, Bounds, States};
use crate::contract::{Mode, VersionAdvance};

/// Choices from flags or from an answers file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InitOptions {
    pub engine: Option<String>,
    pub mode: Option<Mode>,
    pub schema: Option<String>,
    /// Table name alone, or `schema.table`.
    pub table: Option<String>,
    /// Columns that together identify a row.
    pub primary_key: Vec<String>,
    pub tenant_column: Option<String>,
    /// The table has no tenant column; for development.
    pub single_tenant_dev: bool,
    pub conflict_column: Option<String>,
    /// No version column is used, even if the table has one.
    pub weak_guard: bool,
    pub conflict_advance: Option<VersionAdvance>,
    pub visible_columns: Vec<String>,
    pub allowed_columns: Vec<String>,
    pub patch: Vec<(String, Assigned)>,
    /// Attributes of arguments that the columns do not determine.
    pub patch_args: Vec<(String, Map<String, Json>)>,
    pub bounds: Vec<(String, Bounds)>,
    pub states: Vec<(String, States)>,
    /// Guarded column and the column that holds its state, where it is another one.
    pub state_columns: Vec<(String, String)>,
    pub namespace: Option<String>,
    pub object_name: Option<String>,
    pub lookup_arg: Option<String>,
    pub read_tool: Option<String>,
    pub proposal_tool: Option<String>,
    pub read_description: Option<String>,
    pub read_returns_hint: Option<String>,
    pub proposal_description: Option<String>,
    pub proposal_returns_hint: Option<String>,
    /// 1 or 2.
    pub result_format: Option<u8>,
    pub source_name: Option<String>,
    pub read_url_env: Option<String>,
    /// Variable with whose credential the schema was inspected; absent for a saved inspection.
    pub inspected_env: Option<String>,
    /// Variable of the server's authorities.
    pub ssl_ca_env: Option<String>,
    pub write_url_env: Option<String>,
    pub statement_timeout_ms: Option<u32>,
    pub tenant_env: Option<String>,
    pub principal_env: Option<String>,
    pub approval_role: Option<String>,
    /// Key of a real row for a first call; several columns are separated by commas.
    pub object_id: Option<String>,
}

impl InitOptions {
    /// Checks that the table, if it is written SCHEMA.TABLE, is of this schema.
    ///
    /// # Errors
    /// `SCHEMA_MISMATCH`.
    pub fn check_schema(&self, schema: Option<&str>) -> Result<(), DraftError> {
        let of_table = self.table.as_deref().and_then(|table| table.split_once('.'));
        match (of_table, schema) {
            (Some((named, table)), Some(schema)) if named != schema => Err(DraftError::new(
                ErrorCode::SchemaMismatch,
                format!("`{named}.{table}` is not of the schema `{schema}`"),
                format!("choose either {named}.{table} or {schema}.{table}, without another schema"),
            )),
            _ => Ok(()),
        }
    }

    /// Returns these choices, with missing ones taken from `base`.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        fn list<T>(own: Vec<T>, base: Vec<T>) -> Vec<T> {
            if own.is_empty() { base } else { own }
        }
        Self {
            engine: self.engine.or(base.engine),
            mode: self.mode.or(base.mode),
            schema: self.schema.or(base.schema),
            table: self.table.or(base.table),
            primary_key: list(self.primary_key, base.primary_key),
            tenant_column: self.tenant_column.or(base.tenant_column),
            single_tenant_dev: self.single_tenant_dev || base.single_tenant_dev,
            weak_guard: self.weak_guard || (self.conflict_column.is_none() && base.weak_guard),
            conflict_column: self.conflict_column.or(base.conflict_column),
            conflict_advance: self.conflict_advance.or(base.conflict_advance),
            visible_columns: list(self.visible_columns, base.visible_columns),
            allowed_columns: list(self.allowed_columns, base.allowed_columns),
            patch: list(self.patch, base.patch),
            patch_args: list(self.patch_args, base.patch_args),
            bounds: list(self.bounds, base.bounds),
            states: list(self.states, base.states),
            state_columns: list(self.state_columns, base.state_columns),
            namespace: self.namespace.or(base.namespace),
            object_name: self.object_name.or(base.object_name),
            lookup_arg: self.lookup_arg.or(base.lookup_arg),
            read_tool: self.read_tool.or(base.read_tool),
            proposal_tool: self.proposal_tool.or(base.proposal_tool),
            read_description: self.read_description.or(base.read_description),
            read_returns_hint: self.read_returns_hint.or(base.read_returns_hint),
            proposal_description: self.proposal_description.or(base.proposal_description),
            proposal_returns_hint: self.proposal_returns_hint.or(base.proposal_returns_hint),
            result_format: self.result_format.or(base.result_format),
            source_name: self.source_name.or(base.source_name),
            read_url_env: self.read_url_env.or(base.read_url_env),
            inspected_env: self.inspected_env.or(base.inspected_env),
            ssl_ca_env: self.ssl_ca_env.or(base.ssl_ca_env),
            write_url_env: self.write_url_env.or(base.write_url_env),
            statement_timeout_ms: self.statement_timeout_ms.or(base.statement_timeout_ms),
            tenant_env: self.tenant_env.or(base.tenant_env),
            principal_env: self.principal_env.or(base.principal_env),
            approval_role: self.approval_role.or(base.approval_role),
            object_id: self.object_id.or(base.object_id),
        }
    }
}
