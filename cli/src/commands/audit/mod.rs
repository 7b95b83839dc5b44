//! `audit`: finds risks in the tool list of an MCP server. Reads lists only and calls no tool.

mod remote;
mod render;
mod target;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::tool_audit::{AuditSeverity, audit};

use crate::Context;
use render::AuditReport;

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// JSON file with tools, contract, MCP client configuration, http(s) URL, or `stdio:COMMAND`
    #[arg(value_name = "TARGET", required_unless_present_any = ["mcp_config", "url", "stdio", "example"],
        conflicts_with_all = ["mcp_config", "url", "stdio", "example"])]
    audit_target: Option<String>,
    /// Audit every server of an MCP client configuration; starts the ones with a command
    #[arg(long, value_name = "PATH", conflicts_with_all = ["url", "stdio", "example"])]
    mcp_config: Option<PathBuf>,
    /// Audit a server over streamable HTTP
    #[arg(long, value_name = "URL", conflicts_with_all = ["stdio", "example"])]
    url: Option<String>,
    /// Audit a server that this command starts
    #[arg(long, value_name = "COMMAND", conflicts_with = "example")]
    stdio: Option<String>,
    /// Audit a built-in example
    #[arg(long, value_name = "NAME")]
    example: Option<Example>,
    /// Variable that holds the bearer token for a server over HTTP
    #[arg(long, value_name = "NAME", default_value = "SYNAPSOR_MCP_AUDIT_BEARER")]
    bearer_env: String,
    /// Timeout of one handshake with a server, in milliseconds; two are tried
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(100..=120_000))]
    timeout_ms: u64,
    /// Format of the report; --json is the same as `--format json`
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Exit with 4 if a finding has this severity or a higher one
    #[arg(long, value_enum, value_name = "SEVERITY")]
    fail_on: Option<FailOn>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Example {
    /// A server with generic SQL and direct writes
    DangerousDbMcp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Markdown,
    Sarif,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FailOn {
    High,
    Medium,
    Low,
}

impl FailOn {
    const fn severity(self) -> AuditSeverity {
        match self {
            Self::High => AuditSeverity::High,
            Self::Medium => AuditSeverity::Medium,
            Self::Low => AuditSeverity::Low,
        }
    }
}

pub(crate) async fn run(args: &AuditArgs, context: &Context) -> Result<Exit, ExitError> {
    let timeout = Duration::from_millis(args.timeout_ms);
    let audited = context
        .unless_stopped(target::read(args, timeout, context))
        .await?;
    let report = AuditReport {
        findings: audit(&audited.tools),
        target: audited.name,
        tools_count: audited.tools.len(),
    };
    match args.format {
        _ if context.global.json => report.json()?,
        Format::Text => report.text()?,
        Format::Json => report.json()?,
        Format::Markdown => report.markdown()?,
        Format::Sarif => report.sarif()?,
    }
    let is_reached = |least: FailOn| report.findings.iter().any(|f| f.severity >= least.severity());
    Ok(match args.fail_on {
        Some(least) if is_reached(least) => Exit::Refused,
        _ => Exit::Ok,
    })
}
