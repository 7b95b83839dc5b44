//! What a probe of one source came to: whether writebacks can work there, and what its credential may do besides.

use serde::{Deserialize, Serialize};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingSeverity {
    /// As it should be.
    Fine,
    /// Writebacks work, but a promise is weaker or a right is broader than it should be.
    Warning,
    /// Writebacks cannot work, or are refused.
    Problem,
}

/// One thing that a probe found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeFinding {
    pub severity: FindingSeverity,
    /// Stable, upper snake case.
    pub code: String,
    /// One sentence; names objects and rights, never a value or a URL.
    pub text: String,
    /// The exact statements for the database's owner to run, if there are any.
    #[serde(default)]
    pub fix: Option<String>,
}

/// The findings of one source under one credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightReport {
    pub source_id: String,
    pub engine: String,
    /// What is really there, with its version; empty when the database is away.
    pub product: String,
    /// Why the database could not be asked, as one word.
    #[serde(default)]
    pub unavailable: Option<String>,
    /// Worst first.
    pub findings: Vec<ProbeFinding>,
}

impl FindingSeverity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

impl PreflightReport {
    /// A source whose database did not answer.
    pub fn unavailable(source_id: &str, engine: &str, reason: &str) -> Self {
        Self {
            source_id: source_id.to_owned(),
            engine: engine.to_owned(),
            product: String::new(),
            unavailable: Some(reason.to_owned()),
            findings: Vec::new(),
        }
    }

    /// Whether something keeps writebacks from working.
    pub fn has_problem(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.severity == FindingSeverity::Problem)
    }
}
