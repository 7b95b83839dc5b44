//! Locates and reads the contract file of this machine. The domain interprets it.

use std::path::{Path, PathBuf};

use synapsor_chassis::files::{self, FileError};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::telemetry::redact;
use synapsor_codes::ErrorCode;
use synapsor_domain::contract::{Contract, ValidationIssue, ValidationReport};
use synapsor_domain::limits::FILE_BYTES_MAX;

use crate::{Global, output};

pub(crate) const NAME_DEFAULT: &str = "synapsor.runner.json";

/// A contract without errors, and the file that it came from.
#[derive(Debug)]
pub(crate) struct LoadedContract {
    /// The given path, or the default in the current directory.
    pub(crate) path: PathBuf,
    pub(crate) contract: Contract,
    pub(crate) warnings: Vec<ValidationIssue>,
}

pub(crate) fn path(global: &Global) -> PathBuf {
    global
        .config
        .clone()
        .unwrap_or_else(|| PathBuf::from(NAME_DEFAULT))
}

/// Reads the bytes of the contract file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ExitError> {
    files::read_bounded(path, FILE_BYTES_MAX as u64).map_err(|error| match error {
        FileError::Missing(path) => ExitError::new(
            ErrorCode::ConfigNotFound,
            format!("contract {} not found", path.display()),
        )
        .with_fix("pass its path with --config, or change to the directory that has synapsor.runner.json"),
        other => other.into(),
    })
}

/// Reads and validates the contract that the command line names.
pub(crate) fn load(global: &Global) -> Result<LoadedContract, ExitError> {
    let path = path(global);
    let bytes = read(&path)?;
    let checked = Contract::parse(&bytes).map_err(|report| invalid(&path, &report))?;
    Ok(LoadedContract {
        path,
        contract: checked.contract,
        warnings: checked.warnings,
    })
}

impl LoadedContract {
    /// Prints every warning on a line of its own.
    pub(crate) fn note_warnings(&self) {
        for warning in &self.warnings {
            output::note(warning_line(warning));
        }
    }
}

fn warning_line(warning: &ValidationIssue) -> String {
    output::safe(&format!(
        "warning {} at {}: {}",
        warning.code.as_str(),
        warning.path,
        warning.message
    ))
}

/// Returns the contract if it can be read; errors are not printed.
pub(crate) fn load_silently(global: &Global) -> Option<Contract> {
    let bytes = read(&path(global)).ok()?;
    Contract::parse(&bytes).ok().map(|checked| checked.contract)
}

/// Like [`load`], and rejects contracts that no process of this program can run.
pub(crate) fn load_runnable(global: &Global) -> Result<LoadedContract, ExitError> {
    let loaded = load(global)?;
    loaded.contract.runnable().map_err(|problem| {
        ExitError::new(
            problem.code,
            format!("{} at {}", loaded.path.display(), problem.path),
        )
        .with_fix(problem.message)
    })?;
    Ok(loaded)
}

/// Returns the error for a contract with access tokens on a transport other than HTTP; callers add the fix.
pub(crate) fn needs_http() -> ExitError {
    ExitError::new(
        ErrorCode::ContractNeedsHttp,
        "the contract takes tenant and principal from access tokens, which come over HTTP only",
    )
}

/// Prints every error on a line of its own, before the error that ends the command.
pub(crate) fn invalid(path: &Path, report: &ValidationReport) -> ExitError {
    for problem in &report.errors {
        let text = format!("{} {}: {}", problem.path, problem.code.as_str(), problem.message);
        output::note(format!("  {}", output::safe(&redact::redact(&text))));
    }
    ExitError::new(
        ErrorCode::ConfigInvalid,
        format!("{} has {} error(s)", path.display(), report.errors.len()),
    )
    .with_fix("fix the file, then check it with `synapsor-runner config validate`")
}
