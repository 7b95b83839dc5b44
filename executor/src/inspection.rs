//! Answers one question about a database as JSON on stdout, and serves nothing: its schema, or the preflight of
//! a role's credentials. For the CLI, which holds no driver.

use std::io::Write as _;
use std::sync::Arc;

use serde::Serialize;
use synapsor_chassis::clock::{Clock as _, SystemClock};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::secret::Secret;
use synapsor_chassis::settings::EnvVars;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Contract, EngineKind, Source};
use synapsor_domain::timestamp::Timestamp;
use synapsor_domain::writeback::{
    FindingSeverity, PreflightFinding, PreflightReport, RECEIPT_TABLE, table_targets,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::settings::{InspectFlags, PreflightFlags, RoleName, refuse_foreign_credentials};
use synapsor_anchors::trust::load_contract;
use synapsor_engine::open::kind_of_url;
use synapsor_engine::{Credential, EngineConfig, EngineLimits};
use synapsor_reader::inspect::{self, InspectFilter};
use synapsor_source::db_error_message::explain;
use synapsor_source::error::EngineError;
use synapsor_source::preflight;
use synapsor_source::{Engine, ReceiptTable};
use synapsor_writeback::Database;

/// Prints the error of a command as the JSON object `{"error": …}`, for the parent process.
pub(crate) fn answered(outcome: Result<(), ExitError>) -> Result<(), ExitError> {
    outcome.inspect_err(|error| {
        // The error is also printed to stderr, and the parent knows the exit code.
        let _ = print(&serde_json::json!({ "error": error }));
    })
}

/// Prints the schema catalog of the database that one variable names.
///
/// # Errors
/// A variable that is missing or holds no URL of a supported engine, and database errors; never the URL.
pub(crate) async fn inspect(flags: &InspectFlags, stop: CancellationToken) -> Result<(), ExitError> {
    let env = EnvVars::of_process();
    let name = &flags.from_env;
    let credential = Credential::of_variable(name, &env).with_authorities(flags.ssl_ca_env.as_deref());
    let engine = engine_of(credential.clone(), flags.engine.as_deref(), &env)?;
    let scope = InspectFilter {
        schema: flags.schema.as_deref(),
        table: None,
    };
    let now = Timestamp::from_unix_millis(SystemClock.now_ms());
    let found = tokio::select! {
        found = inspect::inspect(engine.as_ref(), scope, now) => found,
        () = stop.cancelled() => return Err(interrupted()),
    };
    let mut found = found.map_err(|error| refused(&error, name))?;
    found.ssl_mode = credential.required_mode();
    print(&found)
}

fn engine_of(
    credential: Credential,
    kind: Option<&str>,
    env: &EnvVars,
) -> Result<Arc<dyn Engine>, ExitError> {
    let name = credential.url_name().to_owned();
    let url = Secret::read(env, &name)?;
    let of_url = kind_of_url(&url);
    let wanted = match kind {
        None | Some("auto") => of_url,
        Some(word) => {
            let wanted = EngineKind::of_name(word).ok_or_else(|| {
                ExitError::new(ErrorCode::EngineNotAvailable, "unknown engine")
                    .with_fix("use postgres, mysql, sqlite or auto")
            })?;
            Some(wanted).filter(|wanted| of_url.is_none_or(|of_url| of_url == *wanted))
        }
    };
    let Some(kind) = wanted else {
        let text = format!("{name} does not hold a supported database URL");
        return Err(ExitError::new(ErrorCode::SourceUrlInvalid, text).with_fix(
            "start it with postgres://, mysql:// or sqlite:///, and omit --engine or pass the URL's engine",
        ));
    };
    let opening = EngineConfig {
        name,
        kind,
        credential,
        receipts: ReceiptTable {
            schema: None,
            table: RECEIPT_TABLE.to_owned(),
        },
        limits: EngineLimits::default(),
    };
    opening.open()
}

/// Error for the operator whose own variable it is.
fn refused(error: &EngineError, name: &str) -> ExitError {
    let explained = explain(error);
    let detail = match error.detail.as_str() {
        "" => error.reason(),
        detail => detail,
    };
    let text = format!("the database of {name} {} ({detail})", explained.text);
    ExitError::new(explained.code, text).with_fix(format!("{}; the URL is in {name}", explained.fix))
}

/// Prints the preflight findings of a role's credentials on the contract's sources.
///
/// # Errors
/// A contract that cannot be read, credentials of the other role, variables that are unreadable.
pub(crate) async fn preflight(flags: &PreflightFlags, stop: CancellationToken) -> Result<(), ExitError> {
    let env = EnvVars::of_process();
    let contract = Arc::new(load_contract(&flags.config)?);
    refuse_foreign_credentials(flags.credentials, &contract, &env)?;
    let found = tokio::select! {
        found = run_preflight(flags.credentials, contract, &env) => found,
        () = stop.cancelled() => return Err(interrupted()),
    };
    print(&found)
}

/// Tests the sources side by side, so that a silent one does not delay the others; the reports are in the order of the
/// contract.
async fn run_preflight(role: RoleName, contract: Arc<Contract>, env: &EnvVars) -> Vec<PreflightReport> {
    let mut running = JoinSet::new();
    for (number, source) in contract.sources().iter().enumerate() {
        let targets = table_targets(&contract, &source.name);
        let concerns = match role {
            RoleName::Reader => !targets.is_empty(),
            RoleName::Writer => targets.iter().any(|target| !target.writes.is_empty()),
        };
        if !concerns {
            continue;
        }
        let (source, contract, env) = (source.clone(), contract.clone(), env.clone());
        running.spawn(async move {
            let found = preflight_source(role, &source, &contract, &env).await;
            let report = found.unwrap_or_else(|error| Some(preflight::unopened(&source, unopened(&error))));
            (number, report)
        });
    }
    let mut found = running.join_all().await;
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().filter_map(|(_, report)| report).collect()
}

/// Tests the credential of a role on one source; no report if its variable is not set.
async fn preflight_source(
    role: RoleName,
    source: &Source,
    contract: &Contract,
    env: &EnvVars,
) -> Result<Option<PreflightReport>, ExitError> {
    Ok(match role {
        RoleName::Reader => {
            let credential = Credential::for_reading(source, env);
            if !credential.is_present()? {
                return Ok(None);
            }
            let engine = EngineConfig::of_source(source, credential, RECEIPT_TABLE).open()?;
            Some(preflight::reader(engine.as_ref(), &source.name, contract).await)
        }
        RoleName::Writer => match Database::of_source(source, env, RECEIPT_TABLE)? {
            Some(database) => Some(preflight_writer(&database, &source.name, contract).await),
            None => None,
        },
    })
}

fn unopened(error: &ExitError) -> PreflightFinding {
    PreflightFinding {
        severity: FindingSeverity::Error,
        code: error.code(),
        text: error.message().to_owned(),
        fix: error.fix().map(str::to_owned),
    }
}

/// Tests the write path of one source for the direct proposals of the contract.
pub(crate) async fn preflight_writer(
    database: &Database,
    source: &str,
    contract: &Contract,
) -> PreflightReport {
    let found = database.check(&preflight::write_targets(contract, source)).await;
    preflight::of_writer(database.reading(), source, contract, found).await
}

fn interrupted() -> ExitError {
    ExitError::new(
        ErrorCode::Interrupted,
        "interrupted before the database responded",
    )
}

fn print<T: Serialize>(answer: &T) -> Result<(), ExitError> {
    let failed = || ExitError::new(ErrorCode::OutputFailed, "stdout not writable");
    let bytes = serde_json::to_vec(answer).map_err(|_| failed())?;
    let mut out = std::io::stdout().lock();
    out.write_all(&bytes)
        .and_then(|()| out.flush())
        .map_err(|_| failed())
}
