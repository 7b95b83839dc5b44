//! State directory: the parent of the ledger store, with the trust file, keys, development certificates, run
//! files and pinned checkpoints of one local deployment. `create` makes it; this module starts no process.

mod create;
mod trust;

use std::path::{Path, PathBuf};

use synapsor_chassis::files::{self, FileError};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::tls::dev_ca::DevCa;
use synapsor_codes::ErrorCode;

pub(crate) use create::{complete, operator_person, wait_for_lock};
pub(crate) use trust::{load_trust, trust_path};

use crate::{Context, contract_file};

const STORE_DEFAULT: &str = "./.synapsor/local.db";
const TRUST_FILE: &str = "synapsor.trust.json";
const AUTHORITY: &str = "ca";
const KEYS: &str = "keys";
const CERTIFICATES: &str = "certs";
const RUN: &str = "run";
const WITNESSES: &str = "witness";
const LOGS: &str = "logs";
/// Webhooks of the local ledger, if the operator wrote the file.
const WEBHOOKS: &str = "webhooks.json";

/// A state directory that exists.
#[derive(Debug, Clone)]
pub(crate) struct StateDir {
    dir: PathBuf,
    store: PathBuf,
    trust: PathBuf,
}

/// Keys of our own processes in the state directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceKeyName {
    Reader,
    Writer,
    Ledger,
}

impl ServiceKeyName {
    const ALL: [Self; 3] = [Self::Reader, Self::Writer, Self::Ledger];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Ledger => "ledger",
        }
    }
}

/// Returns the state directory of this command line, which must exist.
///
/// # Errors
/// `STATE_NOT_FOUND` with the directory: a command in the wrong directory creates no new deployment.
pub(crate) fn find(context: &Context) -> Result<StateDir, ExitError> {
    let state = locate(context)?;
    match files::check_private_dir(&state.dir) {
        Ok(()) if state.dir.join(TRUST_FILE).is_file() => Ok(state),
        Ok(()) | Err(FileError::Missing(_)) => Err(not_found(&state.dir)),
        Err(other) => Err(other.into()),
    }
}

/// Returns the state directory of this command line; creates it if missing.
pub(crate) fn find_or_create(context: &Context) -> Result<StateDir, ExitError> {
    let state = locate(context)?;
    if context.global.store.is_none() {
        // A contract may place its store in directories that do not exist yet; on a command line a missing
        // directory is likely a typing error.
        create::make_parents(&state.dir)?;
    }
    create::ensure(&state.dir, &context.env)?;
    Ok(state)
}

/// Returns the state directory's path; it need not exist.
pub(crate) fn locate(context: &Context) -> Result<StateDir, ExitError> {
    let mut state = StateDir::of_store(&store_path(context)?)?;
    if let Some(trust) = &context.global.trust {
        state.trust.clone_from(trust);
    }
    Ok(state)
}

/// Resolves the store path: `--store`, then `SYNAPSOR_LOCAL_STORE`, then the contract, then the default.
fn store_path(context: &Context) -> Result<PathBuf, ExitError> {
    if let Some(store) = &context.global.store {
        return Ok(store.clone());
    }
    let default = PathBuf::from(STORE_DEFAULT);
    if context.global.config.is_none() && !contract_file::path(&context.global).exists() {
        return Ok(default);
    }
    let loaded = contract_file::load(&context.global)?;
    Ok(loaded.contract.sqlite_path().map_or(default, PathBuf::from))
}

fn not_found(dir: &Path) -> ExitError {
    ExitError::new(ErrorCode::StateNotFound, format!("no state directory at {}", dir.display())).with_fix(
        "change to the contract's directory or pass --config or --store; `synapsor-runner up` creates a new state directory",
    )
}

impl StateDir {
    fn of_store(store: &Path) -> Result<Self, ExitError> {
        let unusable = |why: &str| {
            ExitError::new(
                ErrorCode::StorePathInvalid,
                format!("the store path {} {why}", store.display()),
            )
            .with_fix("use a file path, such as ./.synapsor/local.db")
        };
        let store = std::path::absolute(store).map_err(|_| unusable("cannot be made absolute"))?;
        if store.to_str().is_none() {
            return Err(unusable("is not UTF-8"));
        }
        let dir = store
            .parent()
            .filter(|_| store.file_name().is_some())
            .ok_or_else(|| unusable("is not a file path"))?;
        Ok(Self {
            dir: dir.to_owned(),
            trust: dir.join(TRUST_FILE),
            store,
        })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Path of the ledger store; it may not exist yet.
    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    /// `--trust`, else the trust file of this directory.
    pub(crate) fn trust_path(&self) -> &Path {
        &self.trust
    }

    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.dir.join(KEYS)
    }

    pub(crate) fn operator_key(&self, person: &str) -> PathBuf {
        self.keys_dir().join(format!("operator-{person}.pem"))
    }

    pub(crate) fn service_key(&self, name: ServiceKeyName) -> PathBuf {
        self.keys_dir().join(format!("{}.pem", name.as_str()))
    }

    /// Path of the pinned checkpoint of `name`.
    pub(crate) fn pinned(&self, name: &str) -> PathBuf {
        self.witness_dir().join(name)
    }

    pub(crate) fn witness_dir(&self) -> PathBuf {
        self.dir.join(WITNESSES)
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir.join(RUN)
    }

    pub(crate) fn certs_dir(&self) -> PathBuf {
        self.dir.join(CERTIFICATES)
    }

    /// Directory of certificates from `certs issue`; those of started processes are stored separately.
    pub(crate) fn issued_certs_dir(&self) -> PathBuf {
        self.certs_dir().join("issued")
    }

    /// File with the webhooks of the local ledger; the operator writes it.
    pub(crate) fn webhooks(&self) -> PathBuf {
        self.dir.join(WEBHOOKS)
    }

    pub(crate) fn logs_dir(&self) -> PathBuf {
        self.dir.join(LOGS)
    }

    /// The development CA of this deployment.
    pub(crate) fn authority(&self) -> Result<DevCa, ExitError> {
        Ok(DevCa::load(&self.dir.join(AUTHORITY))?)
    }
}

#[cfg(test)]
mod tests;
