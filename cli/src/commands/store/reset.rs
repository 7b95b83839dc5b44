//! `store reset`: deletes the ledger store of a dev deployment. The source databases are not changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use synapsor_chassis::files::FileLock;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::trust::DeploymentEnvironment;

use crate::state::{self, StateDir};
use crate::{Context, output, supervisor};

/// Time in which the connections of commands that have ended are closed.
const ENDS_WITHIN: Duration = Duration::from_secs(2);
/// Pause between two tries for the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Deletes the store.
pub(super) async fn run(yes: bool, context: &Context) -> Result<Exit, ExitError> {
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
    let _lock = context.unless_stopped(unused(&lock, &state, context)).await?;
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

/// Takes the lock of the store, after ending a ledger on demand that has no other client.
pub(super) async fn unused(lock: &Path, state: &StateDir, context: &Context) -> Result<FileLock, ExitError> {
    let start = Instant::now();
    loop {
        if let Some(held) = FileLock::try_exclusive(lock)? {
            return Ok(held);
        }
        // A command that just ended may still have its connection.
        let ended = supervisor::end_unused_ledger(state, context).await;
        if start.elapsed() > ENDS_WITHIN && !ended {
            let text = "a ledger is in use on this store";
            return Err(ExitError::new(ErrorCode::StoreLocked, text)
                .with_fix("stop `up` and the MCP servers that use it first"));
        }
        tokio::time::sleep(LOCK_PAUSE).await;
    }
}

pub(super) fn beside(store: &Path, ending: &str) -> PathBuf {
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
