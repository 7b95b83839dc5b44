//! `writeback doctor`: checks the variables of both roles and, with `--check-db`, the write path under the
//! writer's credential and the privileges of the reader's. With a ledger it adds the ledger's findings. Each
//! finding has a code, a sentence and, where the database owner can fix it, the statements. Changes nothing.

use std::collections::BTreeSet;
use std::ffi::OsString;

use serde_json::json;
use synapsor_chassis::identity::Role;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_chassis::settings::EnvVars;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Contract, EngineKind};
use synapsor_domain::database_identity::{IdentityRelation, is_only_unreadable};
use synapsor_domain::writeback::{FindingSeverity, PreflightFinding, PreflightReport, table_targets};

use crate::clients::{SchemaClient, WriterClient, verification_failed};
use crate::contract_file::LoadedContract;
use crate::output::{self, safe};
use crate::supervisor::{Process, allowed, missing, requirements, run_executor_command};
use crate::{Context, connection, contract_file};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Open the databases and try every statement of a writeback in a transaction that is rolled back
    #[arg(long)]
    check_db: bool,
}

/// Findings about one role.
pub(in crate::commands) struct RoleFindings {
    pub(in crate::commands) role: Process,
    pub(in crate::commands) variables: Vec<PreflightFinding>,
    pub(in crate::commands) sources: Vec<PreflightReport>,
}

pub(super) async fn run(args: &Args, context: &Context) -> Result<Exit, ExitError> {
    let loaded = contract_file::load_runnable(&context.global)?;
    let parts = collect(args.check_db, &loaded, context).await?;
    let ledger = super::ledger_findings::findings(context).await?;
    let exit = exit(&parts, ledger.as_deref().unwrap_or_default());
    if context.global.json {
        print_json(&parts, ledger.as_deref(), exit)?;
    } else {
        show(&parts, args.check_db)?;
        if let Some(ledger) = &ledger {
            show_ledger(ledger)?;
        }
    }
    Ok(exit)
}

/// Returns the findings about reader and writer; `check_db` opens the databases.
pub(in crate::commands) async fn collect(
    check_db: bool,
    loaded: &LoadedContract,
    context: &Context,
) -> Result<Vec<RoleFindings>, ExitError> {
    let mut parts = Vec::new();
    for role in [Process::Reader, Process::Writer] {
        let mut part = RoleFindings {
            role,
            variables: variables(role, &loaded.contract, context)?,
            sources: Vec::new(),
        };
        part.sources = match role {
            Process::Writer => writer_side(check_db, loaded, &mut part.variables, context).await?,
            _ => reader_side(check_db, loaded, &mut part.variables, context).await?,
        };
        parts.push(part);
    }
    compare_identities(&mut parts);
    Ok(parts)
}

fn exit(parts: &[RoleFindings], ledger: &[PreflightFinding]) -> Exit {
    let mut findings = parts.iter().flat_map(|part| &part.variables).chain(ledger);
    let mut sources = parts.iter().flat_map(|part| &part.sources);
    let is_problem = findings.any(|finding| finding.severity == FindingSeverity::Error)
        || sources
            .clone()
            .any(|source| !is_unreachable(source) && source.has_problem());
    if is_problem {
        Exit::Failure
    } else if sources.any(is_unreachable) {
        Exit::Unreachable
    } else {
        Exit::Ok
    }
}

/// Whether the database of a source could not be used, so that its tables and rights are unknown.
fn is_unreachable(source: &PreflightReport) -> bool {
    let mut errors = source
        .findings
        .iter()
        .filter(|finding| finding.severity == FindingSeverity::Error);
    source.unavailable.is_some() || errors.any(|finding| finding.code.exit() == Exit::Unreachable)
}

/// Reports which variables are set. A remote service has an environment of its own.
fn variables(
    role: Process,
    contract: &Contract,
    context: &Context,
) -> Result<Vec<PreflightFinding>, ExitError> {
    let remote = &context.global.remote;
    let is_elsewhere = match role {
        Process::Reader => remote.reader.is_some(),
        _ => remote.writer.is_some(),
    };
    if is_elsewhere {
        return Ok(Vec::new());
    }
    let needed = requirements(role, contract);
    let missing = missing(&context.env, needed.clone())?;
    let mut findings = Vec::new();
    for variable in needed {
        let (severity, code, text, fix) = if missing.contains(&variable) {
            let text = format!("{} ({}) is not set", variable.name, variable.purpose);
            let fix = format!("export {}={}", variable.name, variable.example);
            (
                FindingSeverity::Error,
                ErrorCode::VariableMissing,
                text,
                Some(fix),
            )
        } else {
            let text = format!("{} ({}) is set", variable.name, variable.purpose);
            (FindingSeverity::Ok, ErrorCode::VariableSet, text, None)
        };
        findings.push(finding(severity, code, text, fix));
    }
    if role == Process::Writer {
        findings.extend(no_write_url(contract));
        findings.extend(shared(contract, &context.env)?);
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    Ok(findings)
}

fn finding(
    severity: FindingSeverity,
    code: ErrorCode,
    text: String,
    fix: Option<String>,
) -> PreflightFinding {
    PreflightFinding {
        severity,
        code,
        text,
        fix,
    }
}

/// Sources with direct proposals that no writer serves.
fn no_write_url(contract: &Contract) -> Vec<PreflightFinding> {
    let sources = contract.sources().iter().filter(|source| {
        let targets = table_targets(contract, &source.name);
        source.write_url_env.is_none() && targets.iter().any(|target| !target.writes.is_empty())
    });
    sources
        .map(|source| {
            let text = format!(
                "the source `{}` has no `write_url_env`: proposals for it are not applied",
                source.name
            );
            finding(FindingSeverity::Error, ErrorCode::WritebackDisabled, text, None)
        })
        .collect()
}

/// Adds a finding to each source whose reader and writer open different databases.
fn compare_identities(parts: &mut [RoleFindings]) {
    let [reader, writer] = parts else { return };
    for source in &mut writer.sources {
        let read = reader
            .sources
            .iter()
            .find(|read| read.source_id == source.source_id);
        let Some(read) = read.filter(|read| !read.database_identity.is_empty()) else {
            continue;
        };
        if source.database_identity.is_empty() {
            continue;
        }
        let found = difference(
            &source.source_id,
            &read.database_identity,
            &source.database_identity,
        );
        if let Some(found) = found {
            source.findings.insert(0, found);
        }
    }
}

/// Returns why the writer applies no proposal of the reader, by the identities of their databases.
fn difference(source: &str, reader: &str, writer: &str) -> Option<PreflightFinding> {
    let why = match IdentityRelation::of(reader, writer) {
        IdentityRelation::Same | IdentityRelation::Weaker => return None,
        IdentityRelation::LaterTimeline | IdentityRelation::EarlierTimeline => {
            "they are on different timelines: one of them is an old primary or a promoted copy"
        }
        IdentityRelation::Different if is_only_unreadable(reader, writer) => {
            let text = format!(
                "the writer of the source `{source}` may not read the database's system identifier, and its reader may, \
                 so that no proposal can be applied"
            );
            let fix =
                "GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system() to the writer's role".to_owned();
            let code = ErrorCode::IdentityWeak;
            return Some(finding(FindingSeverity::Error, code, text, Some(fix)));
        }
        IdentityRelation::Different => {
            "another server, another database, or a replica of MySQL or MariaDB, which has an identity of its own"
        }
    };
    let text = format!(
        "reader and writer of the source `{source}` open different databases, so that no proposal can be applied: {why}"
    );
    let fix = "give the read URL and the write URL the same server and the same database or file".to_owned();
    let code = ErrorCode::SourceDiffers;
    Some(finding(FindingSeverity::Error, code, text, Some(fix)))
}

/// Reader and writer must not share a credential, except for a database file, which has only one.
fn shared(contract: &Contract, env: &EnvVars) -> Result<Vec<PreflightFinding>, ExitError> {
    let mut findings = Vec::new();
    for source in contract
        .sources()
        .iter()
        .filter(|s| s.engine != EngineKind::Sqlite)
    {
        let Some(write) = &source.write_url_env else {
            continue;
        };
        let read = &source.read_url_env;
        let mut is_same = read == write;
        for form in ["", "_FILE"] {
            let (one, other) = (
                env.get(&format!("{read}{form}"))?,
                env.get(&format!("{write}{form}"))?,
            );
            is_same |= one.is_some() && one == other;
        }
        if is_same {
            let text = format!(
                "reader and writer of the source `{}` share one credential: the reader can write",
                source.name
            );
            let fix = "create one role for each: synapsor-runner writeback grants".to_owned();
            findings.push(finding(
                FindingSeverity::Warning,
                ErrorCode::CredentialShared,
                text,
                Some(fix),
            ));
        }
    }
    Ok(findings)
}

/// Runs the writer's preflight: by each writer that the command line names, by a one-shot process with the
/// writer's variables, or, if those are not set, by a local running writer. Without `--check-db` a named writer
/// returns its clocks only.
async fn writer_side(
    check_db: bool,
    loaded: &LoadedContract,
    variables: &mut Vec<PreflightFinding>,
    context: &Context,
) -> Result<Vec<PreflightReport>, ExitError> {
    let mut links = Vec::new();
    for address in context.global.remote.named_writers()? {
        links.push(connection::remote(context, Role::Writer, address).await?);
    }
    if links.is_empty() && check_db && has_missing(variables) {
        links.extend(connection::local_writer(context).await?);
    }
    if links.is_empty() {
        if let Some(running) = connection::local_writer(context).await? {
            variables.extend(state_of(&mut WriterClient::at(&running), context).await?);
        }
        return match check_db {
            true => run_preflight("writer", Process::Writer, loaded, context).await,
            false => Ok(Vec::new()),
        };
    }
    // The writer has the variables that this shell lacks.
    variables.retain(|finding| finding.code != ErrorCode::VariableMissing);
    let mut reports = Vec::new();
    for link in &links {
        let mut writer = WriterClient::at(link);
        if check_db {
            reports.extend(context.unless_stopped(writer.preflight()).await?);
        } else {
            variables.push(answered(writer.address()));
        }
        variables.extend(state_of(&mut writer, context).await?);
    }
    Ok(reports)
}

/// Reports why a running writer accepts no jobs, and clock differences.
async fn state_of(writer: &mut WriterClient, context: &Context) -> Result<Vec<PreflightFinding>, ExitError> {
    let state = context.unless_stopped(writer.state()).await?;
    let mut findings = super::clocks::findings(&state.times);
    if let Some(code) = state.problem {
        let text = format!(
            "the {} accepts no jobs: it cannot persist its freeze state",
            writer.address()
        );
        let fix = "make its state directory writable and free disk space there; it then resumes by itself"
            .to_owned();
        findings.push(finding(FindingSeverity::Error, code, text, Some(fix)));
    }
    if state.is_frozen {
        let text = format!("the {} is frozen: it applies nothing", writer.address());
        let fix = "synapsor-runner writeback unfreeze".to_owned();
        findings.push(finding(
            FindingSeverity::Warning,
            ErrorCode::WritebackFrozen,
            text,
            Some(fix),
        ));
    }
    Ok(findings)
}

fn answered(service: String) -> PreflightFinding {
    finding(
        FindingSeverity::Ok,
        ErrorCode::ServiceAnswers,
        format!("the {service} is reachable"),
        None,
    )
}

fn has_missing(findings: &[PreflightFinding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.code == ErrorCode::VariableMissing)
}

async fn reader_side(
    check_db: bool,
    loaded: &LoadedContract,
    variables: &mut Vec<PreflightFinding>,
    context: &Context,
) -> Result<Vec<PreflightReport>, ExitError> {
    let Some(address) = &context.global.remote.reader else {
        return match check_db {
            true => run_preflight("reader", Process::Reader, loaded, context).await,
            false => Ok(Vec::new()),
        };
    };
    // Opening the connection checks the health of the reader.
    let link = connection::remote(context, Role::Reader, address).await?;
    if !check_db {
        variables.push(answered(link.target.to_string()));
        return Ok(Vec::new());
    }
    let mut reader = SchemaClient::at(&link);
    context.unless_stopped(reader.preflight()).await
}

async fn run_preflight(
    role: &str,
    process: Process,
    loaded: &LoadedContract,
    context: &Context,
) -> Result<Vec<PreflightReport>, ExitError> {
    let mut arguments: Vec<OsString> = ["preflight", "--as", role, "--config"]
        .map(OsString::from)
        .to_vec();
    arguments.push(loaded.path.clone().into_os_string());
    let names: BTreeSet<String> = allowed(process, Some(&loaded.contract), None);
    let printed = run_executor_command(context, arguments, &names).await?;
    serde_json::from_slice(&printed).map_err(|_| {
        verification_failed(
            ErrorCode::PreflightAnswerMalformed,
            "findings missing or malformed",
        )
    })
}

fn print_json(
    parts: &[RoleFindings],
    ledger: Option<&[PreflightFinding]>,
    exit: Exit,
) -> Result<(), ExitError> {
    let parts: Vec<_> = parts
        .iter()
        .map(|part| {
            json!({ "role": part.role.as_str(), "variables": part.variables, "sources": part.sources })
        })
        .collect();
    output::json(&json!({ "ok": exit == Exit::Ok, "roles": parts, "ledger": ledger }))
}

fn show(parts: &[RoleFindings], is_checked: bool) -> Result<(), ExitError> {
    for part in parts {
        output::line(part.role.as_str())?;
        for finding in &part.variables {
            show_finding(finding)?;
        }
        for source in &part.sources {
            let engine = if source.product.is_empty() {
                &source.engine
            } else {
                &source.product
            };
            output::line(format!("  source {}: {}", safe(&source.source_id), safe(engine)))?;
            if source.findings.is_empty() {
                output::line("  ok       all checks passed")?;
            }
            for finding in &source.findings {
                show_finding(finding)?;
            }
        }
    }
    if !is_checked {
        output::line("databases not opened; use --check-db")?;
    }
    Ok(())
}

fn show_ledger(findings: &[PreflightFinding]) -> Result<(), ExitError> {
    output::line("ledger")?;
    if findings.is_empty() {
        output::line("  ok       no open incidents and no freeze in force")?;
    }
    findings.iter().try_for_each(show_finding)
}

fn show_finding(finding: &PreflightFinding) -> Result<(), ExitError> {
    let PreflightFinding {
        severity,
        code,
        text,
        fix,
    } = finding;
    // The statements of a fix may be on lines of their own.
    let mut lines = text.lines();
    let first = safe(lines.next().unwrap_or_default());
    output::line(format!("  {:<8} {}: {first}", severity.as_str(), code))?;
    for line in lines.chain(fix.iter().flat_map(|fix| fix.lines())) {
        output::line(format!("           {}", output::statement(line)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_identity_is_not_reported_as_another_database() {
        let reader = "postgres:7431:00000001:16384:app";
        let of =
            |writer: &str| difference("crm", reader, writer).map(|found| (found.code, found.fix.unwrap()));
        let (code, fix) = of("postgres:unknown:00000001:16384:app").unwrap();
        assert_eq!(code, ErrorCode::IdentityWeak);
        assert!(
            fix.contains("GRANT EXECUTE ON FUNCTION pg_catalog.pg_control_system()"),
            "{fix}"
        );
        for other in [
            "postgres:7432:00000001:16384:app",
            "postgres:7431:00000001:16385:old",
        ] {
            let (code, fix) = of(other).unwrap();
            assert_eq!(code, ErrorCode::SourceDiffers);
            assert!(fix.contains("the same server and the same database"), "{fix}");
        }
        assert_eq!(of(reader), None);
    }
}
