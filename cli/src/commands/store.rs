//! `store reset`: throws the ledger's store of a development deployment away. The source databases are not touched.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;
use synapsor_chassis::files::FileLock;
use synapsor_chassis::run::{EXIT_OK, Exit, ExitError};
use synapsor_domain::trust::DeploymentEnvironment;

use crate::{Context, output, state};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Remove the ledger's store and every witness of it (`dev` only)
    #[command(after_help = "Example: synapsor-runner store reset --yes\n\
        Exit codes: 0 ok, 1 failure (a ledger runs, not a dev deployment), 2 usage")]
    Reset {
        /// Do it; without this nothing is removed
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, ExitError> {
    match command {
        Command::Reset { yes } => reset(*yes, context),
    }
}

fn reset(yes: bool, context: &Context) -> Result<Exit, ExitError> {
    let state = state::find(context)?;
    let environment = state::load_trust(state.trust_path())?.environment;
    if environment != DeploymentEnvironment::Dev {
        let text = format!("the deployment of {} is {environment}", state.dir().display());
        return Err(ExitError::new("STORE_RESET_REFUSED", text)
            .with_fix("only a dev deployment can forget its record"));
    }
    if !yes {
        return Err(ExitError::usage(
            "CONFIRMATION_MISSING",
            format!("this removes {}", state.store().display()),
        )
        .with_fix("add --yes; proposals, decisions, receipts and evidence kept there are lost"));
    }
    let lock = beside(state.store(), ".lock");
    // Held until the files are gone, so that no ledger starts on half of them.
    let Some(_lock) = FileLock::try_exclusive(&lock)? else {
        return Err(ExitError::new("STORE_LOCKED", "a ledger runs on this store")
            .with_fix("end `up` and MCP servers first; a ledger ends 5 seconds after its last user"));
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
                return Err(ExitError::new("STORE_RESET_INCOMPLETE", text)
                    .with_fix("remove the file and run it again"));
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
    Ok(Exit(EXIT_OK))
}

fn beside(store: &Path, ending: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// What reader, writer and this program remember of the log that is thrown away.
fn witnesses(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "witness"))
        .collect()
}
