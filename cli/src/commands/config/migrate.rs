//! `config migrate`: converts a contract to the newest version. Version 1 is the only one, so that the file stays as
//! it is.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use synapsor_chassis::files;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::contract::Contract;

use crate::{Context, contract_file, output};

#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    /// Write the result to a new file
    #[arg(long, visible_alias = "out", value_name = "PATH")]
    output: Option<PathBuf>,
    /// Replace the contract if it changes; the file before is kept beside it
    #[arg(long, conflicts_with = "output")]
    write: bool,
    /// Replace without a prompt
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(args: &MigrateArgs, context: &Context) -> Result<Exit, ExitError> {
    let path = contract_file::path(&context.global);
    let bytes = contract_file::read(&path)?;
    Contract::parse(&bytes).map_err(|report| contract_file::invalid(&path, &report))?;
    if let Some(copy) = &args.output {
        files::create_exclusive(copy, &bytes)?;
    }
    let copy = args.output.as_ref().map(|copy| copy.to_string_lossy());
    if context.global.json {
        let object = json!({
            "ok": true, "config_path": path.to_string_lossy(), "version": 1, "changed": false, "written": copy,
        });
        output::json(&object)?;
        return Ok(Exit::Ok);
    }
    let shown = output::safe(&path.to_string_lossy());
    output::line(format!("{shown}: version 1 is the newest; nothing changed"))?;
    if let Some(copy) = copy {
        output::line(format!("copied to {}", output::safe(&copy)))?;
    }
    Ok(Exit::Ok)
}
