//! `validate`: checks a job file.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use synapsor_chassis::run::{Exit, ExitError};

use super::job_file;
use crate::{Context, output};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  synapsor-runner validate --job job.json\n\n\
    Reads both shapes of 0.1.x: `synapsor.writeback-job.v1`, and `protocol_version` 1.0. The contract is checked by \
    `config validate`.\n\
    Exit codes: 0 valid, 1 invalid, 2 usage")]
pub(crate) struct ValidateArgs {
    /// Job file
    #[arg(long, value_name = "FILE")]
    job: PathBuf,
}

pub(crate) fn run(args: &ValidateArgs, context: &Context) -> Result<Exit, ExitError> {
    let read = job_file::read(&args.job)?;
    let errors = read.as_ref().err();
    if context.global.json {
        let job = read.as_ref().ok();
        output::json(&json!({
            "ok": errors.is_none(),
            "proposal_id": job.map(|job| &job.proposal_id),
            "expires_at": job.map(|job| job.expires_at),
            "errors": errors.map_or(&[][..], Vec::as_slice),
        }))?;
    } else if let Some(errors) = errors {
        for issue in errors {
            output::line(format!("error {}", job_file::line(issue)))?;
        }
        output::line(format!("job invalid: {} error(s)", errors.len()))?;
    } else {
        output::line("job valid")?;
    }
    Ok(if errors.is_none() { Exit::Ok } else { Exit::Failure })
}
