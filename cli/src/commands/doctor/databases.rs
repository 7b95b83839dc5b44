//! Checks variables, credentials and databases of reader and writer.

use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::writeback::{FindingSeverity, PreflightFinding, PreflightReport};

use super::DoctorArgs;
use super::check::{CheckLevel, DoctorCheck};
use crate::Context;
use crate::commands::writeback::doctor::{RoleFindings, collect};
use crate::contract_file::LoadedContract;
use crate::supervisor::Process;

pub(super) async fn checks(
    args: &DoctorArgs,
    loaded: &LoadedContract,
    context: &Context,
) -> Result<Vec<DoctorCheck>, ExitError> {
    let (parts, failed) = match collect(args.check_db, loaded, context).await {
        Ok(parts) => (parts, None),
        Err(error) if error.code() == ErrorCode::Interrupted => return Err(error),
        // Without the databases, the variables may name the reason.
        Err(error) if args.check_db => match collect(false, loaded, context).await {
            Ok(parts) => (parts, Some(error)),
            Err(_) => (Vec::new(), Some(error)),
        },
        Err(error) => (Vec::new(), Some(error)),
    };
    let mut checks = Vec::new();
    for part in &parts {
        checks.extend(part.variables.iter().map(|finding| of_variable(finding, args)));
        checks.extend(part.sources.iter().flat_map(|source| of_source(part, source)));
    }
    match failed {
        Some(error) => checks.push(DoctorCheck::of_error("databases", &error)),
        None if !args.check_db => checks.push(DoctorCheck::finding(
            "databases",
            (CheckLevel::Warn, ErrorCode::NotProbed),
            "the databases were not opened",
            "wrong rights and changed tables are found only there",
            Some(context.global.command("doctor --check-db")),
        )),
        None => {}
    }
    Ok(checks)
}

/// Names a finding by what it is about.
fn of_variable(finding: &PreflightFinding, args: &DoctorArgs) -> DoctorCheck {
    let first = finding.text.split(' ').next().unwrap_or_default();
    let quoted = finding.text.split('`').nth(1).unwrap_or_default();
    match finding.code {
        ErrorCode::VariableSet | ErrorCode::VariableMissing => {
            DoctorCheck::of_preflight(format!("env:{first}"), finding)
        }
        ErrorCode::CredentialShared => {
            let mut check =
                DoctorCheck::of_preflight(format!("source:{quoted}:credential-separation"), finding);
            if !args.allow_shared_credential {
                check.level = CheckLevel::Fail;
                check.ok = false;
            }
            check
        }
        ErrorCode::WritebackDisabled => {
            DoctorCheck::of_preflight(format!("source:{quoted}:write-url-env"), finding)
        }
        ErrorCode::ClocksDiffer => DoctorCheck::of_preflight("clocks", finding),
        _ => DoctorCheck::of_preflight("service", finding),
    }
}

/// One check for the connection, and one for each finding.
fn of_source(part: &RoleFindings, source: &PreflightReport) -> Vec<DoctorCheck> {
    let name = match part.role {
        Process::Writer => format!("source:{}:writeback-probe", source.source_id),
        _ => format!("source:{}:read-connectivity", source.source_id),
    };
    let problems = source
        .findings
        .iter()
        .filter(|finding| finding.severity != FindingSeverity::Ok);
    let mut checks: Vec<_> = problems
        .map(|finding| DoctorCheck::of_preflight(name.clone(), finding))
        .collect();
    if checks.is_empty() {
        let product = if source.product.is_empty() {
            &source.engine
        } else {
            &source.product
        };
        checks.push(DoctorCheck::pass(name, format!("{product}: all checks passed")));
    }
    checks
}
