//! `doctor`: checks contract, variables, databases, ledger, certificates, keys and client files. Each check has a name;
//! a finding has a stable code, its reason, and the fix. Changes nothing.

mod boundary;
mod certificates;
mod check;
mod client_files;
mod contract;
mod databases;
mod deployment;
mod report;

use std::path::PathBuf;

use serde_json::{Value as Json, json};
use synapsor_chassis::files::{self, MODE_PRIVATE};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;

use crate::{Context, contract_file, output};
use check::{CheckLevel, DoctorCheck};

#[derive(Debug, clap::Args)]
pub(crate) struct DoctorArgs {
    /// Open the databases: reads under the reader's credential, and every statement of a writeback, rolled back
    #[arg(long, visible_alias = "check-writeback")]
    check_db: bool,
    /// Only warn about a credential that reader and writer share
    #[arg(long)]
    allow_shared_credential: bool,
    /// Also search this MCP client file for secrets
    #[arg(long, value_name = "PATH")]
    client_config: Option<PathBuf>,
    /// Only what has to be there before the first start: contract, variables, keys and client files
    #[arg(long, conflicts_with = "check_db")]
    first_run: bool,
    /// Write a Markdown report
    #[arg(long)]
    report: bool,
    /// Report file
    #[arg(
        long,
        visible_alias = "out",
        value_name = "PATH",
        default_value = "synapsor-doctor.md",
        requires = "report"
    )]
    output: PathBuf,
    /// Accepted for 0.1.x; reports never hold secrets
    #[arg(long, hide = true)]
    redact: bool,
    /// Rejected by name: this version has no handlers
    #[arg(long, hide = true)]
    check_handlers: bool,
}

impl DoctorArgs {
    /// The options of `doctor --first-run`.
    pub(super) fn before_start() -> Self {
        Self {
            check_db: false,
            allow_shared_credential: false,
            client_config: None,
            first_run: true,
            report: false,
            output: PathBuf::new(),
            redact: false,
            check_handlers: false,
        }
    }
}

pub(crate) async fn run(args: &DoctorArgs, context: &Context) -> Result<Exit, ExitError> {
    if args.check_handlers {
        let text = "--check-handlers: not supported by this version";
        return Err(ExitError::new(ErrorCode::NotAvailable, text)
            .with_fix("let the writer apply proposals: leave `executor` out of the capability"));
    }
    let checks = context.unless_stopped(Box::pin(collect(args, context))).await?;
    let is_ok = checks.iter().all(|check| check.level != CheckLevel::Fail);
    if args.report {
        let text = report::markdown(&checks, context);
        files::write_atomic(&args.output, text.as_bytes(), MODE_PRIVATE)?;
        output::note(format!("wrote {}", output::safe(&args.output.to_string_lossy())));
    }
    if context.global.json {
        output::json(&as_json(&checks, is_ok, context))?;
    } else if !args.report {
        show(&checks)?;
    }
    Ok(if is_ok { Exit::Ok } else { Exit::Failure })
}

/// Returns whether no check fails, and the result as `--json` prints it.
pub(super) async fn result(args: &DoctorArgs, context: &Context) -> Result<(bool, Json), ExitError> {
    let checks = context.unless_stopped(Box::pin(collect(args, context))).await?;
    let is_ok = checks.iter().all(|check| check.level != CheckLevel::Fail);
    Ok((is_ok, as_json(&checks, is_ok, context)))
}

fn as_json(checks: &[DoctorCheck], is_ok: bool, context: &Context) -> Json {
    let contract = contract_file::load_silently(&context.global);
    let tools = contract.as_ref().map(boundary::tools).unwrap_or_default();
    json!({
        "ok": is_ok,
        "mode": contract.map(|contract| contract.mode().as_str()),
        "config_path": contract_file::path(&context.global).to_string_lossy(),
        "checks": checks,
        "tools": tools,
    })
}

/// Runs every check, in the order in which an operator would correct them.
async fn collect(args: &DoctorArgs, context: &Context) -> Result<Vec<DoctorCheck>, ExitError> {
    let mut checks = contract::checks(context);
    if let Some(valid) = contract_file::load_silently(&context.global) {
        checks.extend(boundary::checks(&valid));
        match contract_file::load_runnable(&context.global) {
            Ok(loaded) => checks.extend(databases::checks(args, &loaded, context).await?),
            Err(error) => checks.push(DoctorCheck::of_error("config-runnable", &error)),
        }
    }
    checks.extend(deployment::key_checks(context));
    checks.extend(certificates::checks(context));
    if !args.first_run {
        checks.extend(deployment::ledger_checks(context).await?);
    }
    checks.extend(client_files::checks(args.client_config.as_deref(), context)?);
    Ok(checks)
}

fn show(checks: &[DoctorCheck]) -> Result<(), ExitError> {
    for check in checks {
        let code = check.code.map(|code| format!(" {code}")).unwrap_or_default();
        output::line(format!(
            "{:<4} {}{code}",
            check.level.as_str(),
            output::safe(&check.name)
        ))?;
        if check.level == CheckLevel::Pass {
            continue;
        }
        // The statements of a fix may be on lines of their own.
        for line in check.message.lines().chain(check.why.lines()) {
            output::line(format!("     {}", output::safe(line)))?;
        }
        for line in check.fix.iter().flat_map(|fix| fix.lines()) {
            output::line(format!("     fix: {}", output::statement(line)))?;
        }
    }
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    output::line(format!(
        "{} passed, {} warning(s), {} failed",
        count(CheckLevel::Pass),
        count(CheckLevel::Warn),
        count(CheckLevel::Fail)
    ))
}
