//! Prints the findings of an audit as text, JSON, Markdown or SARIF.

use serde_json::{Value as Json, json};
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::run::ExitError;
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::tool_audit::{AuditCode, AuditFinding, AuditSeverity};

use crate::output::{self, markdown_cell as cell, safe};

const DISCLAIMER: &str = "A static review of names, descriptions, schemas and annotations. It calls no tool, and is no \
    proof that a server is safe.";

/// Findings of one target.
pub(super) struct AuditReport {
    pub(super) target: String,
    pub(super) tools_count: usize,
    pub(super) findings: Vec<AuditFinding>,
}

impl AuditReport {
    fn count(&self, severity: AuditSeverity) -> usize {
        self.findings.iter().filter(|f| f.severity == severity).count()
    }

    fn summary(&self) -> String {
        format!(
            "{} tool(s), {} high, {} medium, {} low",
            self.tools_count,
            self.count(AuditSeverity::High),
            self.count(AuditSeverity::Medium),
            self.count(AuditSeverity::Low)
        )
    }

    pub(super) fn text(&self) -> Result<(), ExitError> {
        output::line(format!("MCP tool audit of {}", safe(&self.target)))?;
        for finding in &self.findings {
            output::line(format!(
                "{:<6} {} {}",
                finding.severity.as_str(),
                finding.code.as_str(),
                safe(finding.tool.as_deref().unwrap_or("-"))
            ))?;
            output::line(format!("       {}", finding.message))?;
            if !finding.evidence.is_empty() {
                output::line(format!("       found: {}", safe(&finding.evidence.join(", "))))?;
            }
            output::line(format!("       fix: {}", finding.recommendation))?;
        }
        output::line(self.summary())?;
        output::line(DISCLAIMER)
    }

    pub(super) fn json(&self) -> Result<(), ExitError> {
        output::json(&json!({
            "schema_version": "synapsor.mcp-audit.v1",
            "target": self.target,
            "disclaimer": DISCLAIMER,
            "generated_at": now(),
            "summary": {
                "tools_inspected": self.tools_count,
                "high": self.count(AuditSeverity::High),
                "medium": self.count(AuditSeverity::Medium),
                "low": self.count(AuditSeverity::Low),
                "total_findings": self.findings.len(),
            },
            "findings": self.findings,
        }))
    }

    pub(super) fn markdown(&self) -> Result<(), ExitError> {
        output::line(format!(
            "# MCP tool audit\n\nTarget: {}\n\n{}\n",
            cell(&self.target),
            self.summary()
        ))?;
        output::line("| severity | code | tool | finding | fix |\n|---|---|---|---|---|")?;
        for finding in &self.findings {
            let found = if finding.evidence.is_empty() {
                finding.message.to_owned()
            } else {
                format!("{} Found: {}.", finding.message, finding.evidence.join(", "))
            };
            output::line(format!(
                "| {} | {} | {} | {} | {} |",
                finding.severity.as_str(),
                finding.code.as_str(),
                cell(finding.tool.as_deref().unwrap_or("")),
                cell(&found),
                finding.recommendation
            ))?;
        }
        output::line(format!("\n{DISCLAIMER}"))
    }

    /// SARIF 2.1.0, which code scanners read.
    pub(super) fn sarif(&self) -> Result<(), ExitError> {
        let rules: Vec<Json> = AuditCode::ALL.iter().map(|code| rule(*code)).collect();
        let results: Vec<Json> = self.findings.iter().map(|finding| self.result(finding)).collect();
        output::json(&json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": { "driver": {
                    "name": "synapsor-runner audit", "version": env!("CARGO_PKG_VERSION"), "rules": rules,
                }},
                "results": results,
            }],
        }))
    }

    fn result(&self, finding: &AuditFinding) -> Json {
        let tool = finding.tool.as_deref().unwrap_or_default();
        let text = format!("{tool}: {} {}", finding.message, finding.evidence.join(", "));
        json!({
            "ruleId": finding.code.as_str(),
            "level": level(finding.severity),
            "message": { "text": text.trim_end() },
            "locations": [{
                "physicalLocation": { "artifactLocation": { "uri": self.target } },
                "logicalLocations": [{ "name": tool, "kind": "function" }],
            }],
        })
    }
}

fn rule(code: AuditCode) -> Json {
    json!({
        "id": code.as_str(),
        "shortDescription": { "text": code.message() },
        "help": { "text": code.recommendation() },
        "defaultConfiguration": { "level": level(code.severity()) },
    })
}

const fn level(severity: AuditSeverity) -> &'static str {
    match severity {
        AuditSeverity::High => "error",
        AuditSeverity::Medium => "warning",
        AuditSeverity::Low => "note",
    }
}

fn now() -> Timestamp {
    Timestamp::from_unix_millis(SystemClock.now_ms())
}
