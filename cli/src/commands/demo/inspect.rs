//! `demo inspect`: commands that continue in a kept demo directory.

use std::path::PathBuf;

use serde_json::json;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;

use super::workspace::{DATABASE, enter};
use crate::{Context, contract_file, output};

/// Commands in the order of the demo.
const COMMANDS: [&str; 7] = [
    "synapsor-runner tools preview",
    "synapsor-runner proposals list",
    "synapsor-runner proposals show latest",
    "synapsor-runner replay show latest",
    "synapsor-runner receipts list",
    "synapsor-runner events tail",
    "synapsor-runner ledger verify",
];

#[derive(Debug, clap::Args)]
pub(crate) struct InspectDemoArgs {
    /// Directory that `demo --keep` printed
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Rejected by name: this version is no npm package
    #[arg(long, hide = true)]
    npx: bool,
}

pub(super) fn run(args: &InspectDemoArgs, context: &Context) -> Result<Exit, ExitError> {
    if args.npx {
        let text = "--npx: not supported by this version";
        return Err(ExitError::new(ErrorCode::NotAvailable, text)
            .with_fix("run `synapsor-runner demo inspect`; the program needs no npm"));
    }
    let is_there = |name: &str| args.dir.join(name).exists();
    if !is_there(DATABASE) || !is_there(contract_file::NAME_DEFAULT) || !is_there(".synapsor") {
        let text = format!("{} is not a kept demo directory", args.dir.display());
        return Err(ExitError::new(ErrorCode::StateNotFound, text)
            .with_fix("run `synapsor-runner demo --keep`, and pass the directory that it prints"));
    }
    let dir = std::path::absolute(&args.dir).unwrap_or_else(|_| args.dir.clone());
    let enter = enter(&dir);
    if context.global.json {
        output::json(&json!({ "dir": dir.display().to_string(), "enter": enter, "commands": COMMANDS }))?;
        return Ok(Exit::Ok);
    }
    output::line(enter)?;
    for command in COMMANDS {
        output::line(command)?;
    }
    Ok(Exit::Ok)
}
