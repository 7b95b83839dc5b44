//! A first contract for one table: one read and one proposal, from what a person chose and what the catalogue says.
//! Pure: from choices to the text of the files. What is generated is checked like any other contract.

mod answers;
mod args;
mod choices;
mod flag_syntax;
mod names;
mod render;
mod resolve;
#[cfg(test)]
mod tests;

use std::fmt;

pub use answers::read_answers;
pub use choices::InitOptions;
pub use flag_syntax::{Assigned, Bounds, States, read_bounds, read_patch, read_states};

use crate::contract::{Contract, ContractErrorCode, ValidationIssue};
use crate::inspection::Inspection;

/// Variables that a contract names unless the person chooses others.
pub const READ_URL_ENV: &str = "SYNAPSOR_DATABASE_READ_URL";
pub const WRITE_URL_ENV: &str = "SYNAPSOR_DATABASE_WRITE_URL";

/// The generated files, and what the person should know about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedContract {
    /// synapsor.runner.json
    pub contract: String,
    /// .env.example, with placeholders only.
    pub env_example: String,
    pub warnings: Vec<String>,
    pub read_tool: String,
    /// Absent in mode `read_only`.
    pub proposal_tool: Option<String>,
    /// Whether a writer will need the receipt table and rights.
    pub is_applied: bool,
}

/// Why no contract can be drafted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftError {
    /// Stable, upper snake case.
    pub code: &'static str,
    pub text: String,
    pub fix: String,
}

impl DraftError {
    fn new(code: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
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

/// Drafts the files. Without an inspection everything that it would have told must be chosen.
///
/// # Errors
/// Choices that are missing, that the table does not have, or that make a contract with errors.
pub fn draft(
    choices: &InitOptions,
    inspection: Option<&Inspection>,
) -> Result<GeneratedContract, DraftError> {
    let mut plan = resolve::plan(choices, inspection)?;
    let contract = render::contract(&plan)?;
    let checked = Contract::parse(contract.as_bytes()).map_err(|report| {
        let lines = report
            .errors
            .iter()
            .map(|problem| format!("{} {}: {}", problem.path, problem.code.as_str(), problem.message));
        DraftError::new(
            "DRAFT_INVALID",
            format!(
                "the contract would have errors:\n{}",
                lines.collect::<Vec<_>>().join("\n")
            ),
            "change the choices that these lines are about",
        )
    })?;
    let mut warnings = std::mem::take(&mut plan.warnings);
    // That there is no version column is said already, in the words of the choices.
    let is_said = |problem: &ValidationIssue| {
        problem.code == ContractErrorCode::ConflictGuardWeak && plan.guard.is_none()
    };
    warnings.extend(
        checked
            .warnings
            .iter()
            .filter(|problem| !is_said(problem))
            .map(|problem| format!("{} {}: {}", problem.path, problem.code.as_str(), problem.message)),
    );
    Ok(GeneratedContract {
        env_example: render::env_example(&plan),
        contract,
        warnings,
        is_applied: plan.write_url_env.is_some(),
        proposal_tool: plan.change.map(|change| change.tool),
        read_tool: plan.read_tool,
    })
}
