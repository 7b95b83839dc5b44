//! Generates a first contract for one table: one read and one proposal, from the operator's choices and the
//! schema catalog. No I/O: choices in, file texts out. The generated contract is validated like any other
//! contract.

mod answers;
mod args;
mod choices;
mod flag_syntax;
mod key;
mod names;
mod recipe;
mod render;
mod resolve;
mod selection;
mod selection_schema;
mod starter;
#[cfg(test)]
mod tests;

use std::fmt;

use synapsor_codes::ErrorCode;

pub use answers::read_answers;
pub use choices::InitOptions;
pub use flag_syntax::{Assigned, Bounds, States, read_bounds, read_patch, read_states};
pub use names::default_names;
pub use recipe::{RECIPE_BYTES_MAX, Recipe, built_in_recipes, read_recipe};
pub use selection::read_selection;
pub use selection_schema::{recipe_schema, selection_schema};

use crate::contract::{Contract, ValidationIssue};
use crate::inspection::Inspection;

/// Default environment variables of a generated contract.
pub const READ_URL_ENV: &str = "SYNAPSOR_DATABASE_READ_URL";
pub const WRITE_URL_ENV: &str = "SYNAPSOR_DATABASE_WRITE_URL";

/// Generated files, and warnings for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedContract {
    /// synapsor.runner.json
    pub contract: String,
    /// .env.example, with placeholders only.
    pub env_example: String,
    pub warnings: Vec<String>,
    pub read_tool: String,
    /// Arguments of the read tool as one JSON object: of the chosen row, else with a placeholder for the key.
    pub read_input: String,
    /// Whether `read_input` names a row.
    pub names_row: bool,
    /// Absent in mode `read_only`.
    pub proposal_tool: Option<String>,
    /// Whether a writer needs the receipt table and its rights.
    pub is_applied: bool,
    /// Whether the database has accounts with rights; a file has none.
    pub has_accounts: bool,
}

/// Error that prevents generating a contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftError {
    /// Stable code, upper snake case.
    pub code: ErrorCode,
    pub text: String,
    pub fix: String,
}

impl DraftError {
    fn new(code: ErrorCode, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for DraftError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for DraftError {}

/// Generates the files. Without an inspection, the choices must cover everything that the inspection would
/// supply.
///
/// # Errors
/// A choice is missing, names something that the table does not have, or makes an invalid contract.
pub fn draft(
    choices: &InitOptions,
    inspection: Option<&Inspection>,
) -> Result<GeneratedContract, DraftError> {
    let mut plan = resolve::plan(choices, inspection)?;
    let contract = render::contract(&plan)?;
    let checked = Contract::parse(contract.as_bytes()).map_err(|report| {
        let lines = report.errors.iter().map(|problem| {
            format!(
                "{} {}: {}",
                problem.path,
                problem.code.as_str(),
                problem.message.trim_end_matches('.')
            )
        });
        DraftError::new(
            ErrorCode::DraftInvalid,
            format!(
                "the generated contract is invalid: {}",
                lines.collect::<Vec<_>>().join("; ")
            ),
            "change the choices that these lines name",
        )
    })?;
    let mut warnings = std::mem::take(&mut plan.warnings);
    // A missing version column is already reported, in terms of the choices.
    let is_reported = |problem: &ValidationIssue| {
        problem.code == ErrorCode::ConflictGuardWeak && plan.guard.is_none() && !choices.weak_guard
    };
    warnings.extend(
        checked
            .warnings
            .iter()
            .filter(|problem| !is_reported(problem))
            .map(|problem| format!("{} {}: {}", problem.path, problem.code.as_str(), problem.message)),
    );
    Ok(GeneratedContract {
        read_input: render::read_input(&plan)?,
        names_row: plan.choices.object_id.is_some(),
        env_example: render::env_example(&plan),
        contract,
        warnings,
        is_applied: plan.write_url_env.is_some(),
        has_accounts: plan.engine != crate::contract::EngineKind::Sqlite,
        proposal_tool: plan.change.map(|change| change.tool),
        read_tool: plan.read_tool,
    })
}
