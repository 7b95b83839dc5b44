//! Preflight report of one source: whether writebacks can work there, and excess rights of its credential.

use serde::{Deserialize, Serialize};
use synapsor_codes::ErrorCode;

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingSeverity {
    /// No problem.
    Ok,
    /// Writebacks work, but a guarantee is weaker or a right is broader than it should be.
    Warning,
    /// Writebacks cannot work, or are refused.
    Error,
}

/// One preflight finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightFinding {
    pub severity: FindingSeverity,
    /// Stable code.
    pub code: ErrorCode,
    /// One sentence; names objects and rights, never a value or a URL.
    pub text: String,
    /// Exact statements for the database's owner to run, if any.
    #[serde(default)]
    pub fix: Option<String>,
}

/// Findings of one source under one credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightReport {
    pub source_id: String,
    pub engine: String,
    /// Actual product with its version; empty when the database is unavailable.
    pub product: String,
    /// Identity that the database reports to this credential; empty when it is unavailable.
    #[serde(default)]
    pub database_identity: String,
    /// Why the database could not be queried, as one word.
    #[serde(default)]
    pub unavailable: Option<String>,
    /// Worst first.
    pub findings: Vec<PreflightFinding>,
}

impl FindingSeverity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl PreflightReport {
    /// Creates the report of a source whose database did not answer.
    pub fn unavailable(source_id: &str, engine: &str, reason: &str) -> Self {
        Self {
            source_id: source_id.to_owned(),
            engine: engine.to_owned(),
            product: String::new(),
            database_identity: String::new(),
            unavailable: Some(reason.to_owned()),
            findings: Vec::new(),
        }
    }

    /// Returns whether a finding prevents writebacks.
    pub fn has_problem(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == FindingSeverity::Error)
    }
}
