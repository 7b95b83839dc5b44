//! Audits the tool list of an MCP server for risks: what a model could do to a database with it. Only names,
//! descriptions, schemas and annotations are read; no tool is called. A finding is a hint for a reviewer, not a proof.

mod audited_tool;
mod rules;
#[cfg(test)]
mod tests;
mod words;

use std::collections::HashSet;

use serde::Serialize;

pub use audited_tool::{AuditedTool, tools_of};

/// Severity of a finding, from least to most severe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AuditSeverity {
    Low,
    Medium,
    High,
}

impl AuditSeverity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $name:ident = $code:literal, $severity:ident, $message:literal, $fix:literal;)+) => {
        /// Kinds of findings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
        pub enum AuditCode {
            $($(#[doc = $meaning])+ #[serde(rename = $code)] $name,)+
        }

        impl AuditCode {
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            pub const fn severity(self) -> AuditSeverity {
                match self { $(Self::$name => AuditSeverity::$severity),+ }
            }

            /// Returns the risk as one sentence.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message),+ }
            }

            /// Returns how to avoid the risk.
            pub const fn recommendation(self) -> &'static str {
                match self { $(Self::$name => $fix),+ }
            }
        }
    };
}

codes! {
    /// A tool for SQL of the caller's choice.
    GenericSqlTool = "GENERIC_SQL_TOOL", High,
        "The tool looks like a general SQL executor.",
        "Replace it with one tool for each reviewed read or change.";
    /// A tool for SQL with a field for the statement.
    WriteToolAcceptsArbitrarySql = "WRITE_TOOL_ACCEPTS_ARBITRARY_SQL", High,
        "The tool takes the text of a SQL statement.",
        "Fix the statement in the server, and take only its values as arguments.";
    /// A field that names a table, column, schema or database.
    ArbitraryIdentifierInput = "ARBITRARY_IDENTIFIER_INPUT", High,
        "The model chooses a table, column, schema or database.",
        "Fix the identifiers in the server, with one tool for each table.";
    /// A field that decides whose data is used.
    ModelControlledTrustScope = "MODEL_CONTROLLED_TRUST_SCOPE", High,
        "The model sets a value that decides whose data is used or what may change.",
        "Take tenant, principal and versions from the authenticated session.";
    /// A tool that approves or applies.
    ModelCallableCommitOrApproval = "MODEL_CALLABLE_COMMIT_OR_APPROVAL", High,
        "The model can approve or commit a change.",
        "Move approval and commit to a channel that models cannot call.";
    /// A tool that writes at once.
    WriteWithoutProposalBoundary = "WRITE_WITHOUT_PROPOSAL_BOUNDARY", High,
        "The tool changes data at once, without a proposal that an operator reviews.",
        "Let the tool create a proposal, and apply it after review.";
    /// No schema of results.
    NoStructuredOutputSchema = "NO_STRUCTURED_OUTPUT_SCHEMA", Medium,
        "The tool declares no output schema.",
        "Declare `outputSchema`, so that clients can check results.";
    /// A write without a field that makes a repetition harmless.
    NoIdempotencyField = "NO_IDEMPOTENCY_FIELD", Medium,
        "A repeated call may change data twice.",
        "Take an idempotency key, or make the change idempotent.";
    /// A write without a field for the expected version.
    NoConflictGuard = "NO_CONFLICT_GUARD", Medium,
        "The tool may overwrite a row that changed after it was read.",
        "Compare a version of the row before the change.";
    /// Wording of both reads and writes.
    AmbiguousReadWriteTool = "AMBIGUOUS_READ_WRITE_TOOL", Medium,
        "Name or description suggest both a read and a write.",
        "Split it into one tool that reads and one that proposes.";
    /// Nothing to audit.
    NoToolsFound = "NO_TOOLS_FOUND", Medium,
        "No tool was found.",
        "Check that the target lists tools.";
    /// No description.
    MissingBusinessDescription = "MISSING_BUSINESS_DESCRIPTION", Low,
        "The tool has no description.",
        "Describe in business terms what the tool does.";
    /// No annotations.
    MissingRiskAnnotations = "MISSING_RISK_ANNOTATIONS", Low,
        "The tool has no annotations about risk.",
        "Set readOnlyHint, destructiveHint, idempotentHint and openWorldHint.";
    /// No example of a call.
    MissingTestFixture = "MISSING_TEST_FIXTURE", Low,
        "The tool has no example of its input.",
        "Add an example that a test can call.";
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFinding {
    pub severity: AuditSeverity,
    pub code: AuditCode,
    /// Name of the tool; absent for a finding about the whole list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    pub message: &'static str,
    /// Names and texts that caused it.
    pub evidence: Vec<String>,
    pub recommendation: &'static str,
}

/// Returns the findings of a tool list, most severe first, then in the order of the list; at most one of each code for
/// a tool.
pub fn audit(tools: &[AuditedTool]) -> Vec<AuditFinding> {
    let mut findings = Vec::new();
    if tools.is_empty() {
        findings.push(finding(AuditCode::NoToolsFound, None, Vec::new()));
    }
    for tool in tools {
        for (code, evidence) in rules::findings(tool) {
            findings.push(finding(code, Some(tool.name.clone()), evidence));
        }
    }
    let mut seen = HashSet::new();
    findings.retain(|finding| seen.insert((finding.code, finding.tool.clone())));
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    findings
}

fn finding(code: AuditCode, tool: Option<String>, evidence: Vec<String>) -> AuditFinding {
    AuditFinding {
        severity: code.severity(),
        code,
        tool,
        message: code.message(),
        evidence,
        recommendation: code.recommendation(),
    }
}
