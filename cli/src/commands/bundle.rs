//! `bundle verify`: verifies an exported bundle offline against a trust file.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use synapsor_chassis::files;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_domain::replay::{self, BUNDLE_BYTES_MAX};

use crate::output::{self, safe};
use crate::workflows::invalid_bundle;
use crate::{Context, state};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verify every signature, digest and proof of a bundle; needs no network and no state directory
    #[command(
        after_help = "Example:\n  synapsor-runner bundle verify replay.json --trust synapsor.trust.json\n\n\
        Exit codes: 0 verified, 1 failure, 10 tampered"
    )]
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// File written by `replay export` or `ledger prove`
    file: PathBuf,
    /// Also print the replay
    #[arg(long)]
    details: bool,
}

pub(crate) fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let Command::Verify(args) = command;
    // First, because a file that does not exist is the nearer error.
    let most = u64::try_from(BUNDLE_BYTES_MAX).expect("a bound of some megabytes fits");
    let bytes = files::read_bounded(&args.file, most + 1)?;
    let trust = state::load_trust(&state::trust_path(context)?)?;
    let verified = match replay::verify(&bytes, &trust) {
        Ok(verified) => verified,
        Err(error) if context.global.json => {
            output::json(
                &json!({ "verified": false, "code": error.code(), "error": safe(&error.to_string()) }),
            )?;
            return Ok(Exit::Tampered);
        }
        Err(error) => return Err(invalid_bundle(&error)),
    };
    let story = &verified.story;
    if context.global.json {
        output::json(&json!({
            "verified": true,
            "proposal_id": story.proposal_id,
            "state": story.state,
            "log": { "origin": verified.checkpoint.origin, "size": verified.checkpoint.size },
            "findings": verified.findings,
            "replay": story,
        }))?;
        return Ok(Exit::Ok);
    }
    if args.details {
        output::text(&super::replay::page(story))?;
    }
    output::line(format!("Verified: {} is `{}`", story.proposal_id, story.state))?;
    output::line(format!(
        "  {} events under a checkpoint of {} events",
        story.events.len(),
        verified.checkpoint.size
    ))?;
    output::line(format!(
        "  {} decision(s), {} order(s)",
        story.decisions.len(),
        story.orders.len()
    ))?;
    if let Some(receipt) = &story.receipt {
        output::line(format!(
            "  receipt {} {}",
            receipt.receipt.outcome, receipt.digest
        ))?;
    }
    for finding in &verified.findings {
        output::line(format!("  note: {}", safe(finding)))?;
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use synapsor_chassis::settings::EnvVars;
    use synapsor_codes::ErrorCode;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::Global;
    use crate::supervisor::CommandLogs;

    #[test]
    fn missing_bundle_is_reported_before_a_missing_state() {
        let folder = tempfile::tempdir().unwrap();
        let context = Context {
            global: Global {
                store: Some(folder.path().join("none").join("local.db")),
                ..Global::default()
            },
            env: EnvVars::fixed([("USER", "ann")]),
            stop: CancellationToken::new(),
            logs: CommandLogs::default(),
        };
        let code_of = |file: PathBuf| {
            let details = false;
            run(Command::Verify(Verify { file, details }), &context)
                .unwrap_err()
                .code()
        };
        let bundle = folder.path().join("bundle.json");
        assert_eq!(code_of(bundle.clone()), ErrorCode::FileNotFound);
        std::fs::write(&bundle, "{}").unwrap();
        assert_eq!(code_of(bundle), ErrorCode::StateNotFound);
    }
}
