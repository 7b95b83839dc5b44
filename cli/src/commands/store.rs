//! `store reset`: deletes the ledger store of a dev deployment. The source databases are not changed.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use synapsor_chassis::files::FileLock;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::trust::DeploymentEnvironment;

use crate::{Context, output, state};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Delete the ledger store and its pinned checkpoints (`dev` only)
    #[command(after_help = "Example: synapsor-runner store reset --yes\n\
        Exit codes: 0 ok, 1 failure (a ledger is running, or not a dev deployment), 2 usage")]
    Reset {
        /// Confirm the deletion; required
        #[arg(long)]
        yes: bool,
        /// Accepted for 0.1.x; a running ledger is never deleted under its clients
        #[arg(long, hide = true)]
        force: bool,
    },
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, ExitError> {
    match command {
        Command::Reset { yes, force: _ } => reset(*yes, context),
    }
}

fn reset(yes: bool, context: &Context) -> Result<Exit, ExitError> {
    let state = state::find(context)?;
    let environment = state::load_trust(state.trust_path())?.environment;
    if environment != DeploymentEnvironment::Dev {
        let text = format!("the deployment of {} is {environment}", state.dir().display());
        return Err(ExitError::new(ErrorCode::StoreResetRefused, text)
            .with_fix("reset the store of a dev deployment only"));
    }
    if !yes {
        return Err(ExitError::new(
            ErrorCode::ConfirmationRequired,
            format!("this removes {}", state.store().display()),
        )
        .with_fix("pass --yes; proposals, decisions, receipts and evidence in it will be lost"));
    }
    let lock = beside(state.store(), ".lock");
    // Held until the files are deleted, so that no ledger starts on a part of them.
    let Some(_lock) = FileLock::try_exclusive(&lock)? else {
        return Err(
            ExitError::new(ErrorCode::StoreLocked, "a ledger is running on this store")
                .with_fix("stop `up` and MCP servers first; a ledger exits 5 seconds after its last client"),
        );
    };
    let mut files: Vec<PathBuf> = ["", "-wal", "-shm"]
        .map(|ending| beside(state.store(), ending))
        .to_vec();
    files.extend(witnesses(&state.witness_dir()));
    let mut removed = Vec::new();
    for file in files {
        match fs::remove_file(&file) {
            Ok(()) => removed.push(file.to_string_lossy().into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let text = format!("cannot remove {}: {}", file.display(), error.kind());
                return Err(ExitError::new(ErrorCode::StoreResetIncomplete, text)
                    .with_fix("remove the file, then run the command again"));
            }
        }
    }
    let store = state.store().to_string_lossy();
    if context.global.json {
        output::json(&json!({
            "ok": true, "store": store, "removed": removed, "source_database_changed": false,
        }))?;
    } else {
        output::line(format!(
            "removed {} file(s) of {}",
            removed.len(),
            output::safe(&store)
        ))?;
        output::line("The source databases were not changed.")?;
    }
    Ok(Exit::Ok)
}

fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Pinned checkpoints that reader, writer and CLI hold of the deleted log.
fn witnesses(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "witness"))
        .collect()
}
