//! `shadow`: compares shadow proposals with what people did in their place.

mod comparison;
mod list;
mod record;

use clap::{Args, Subcommand};
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::proposal::ProposalMode;

use crate::Context;
use crate::connection::LedgerConnection;
use crate::workflows::ProposalView;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List shadow proposals, newest first
    #[command(after_help = "Example:\n  synapsor-runner shadow list --limit 50\n\n\
        Exit codes: 0 ok, 6 ledger unreachable, 10 tampered")]
    List(list::ShadowListArgs),
    /// Record what a person did in place of a shadow proposal, signed
    #[command(
        after_help = "Examples:\n  synapsor-runner shadow record-human-action latest --patch patch.json\n  \
        synapsor-runner shadow record-human-action wrp_4f2a --patch patch.json --notes \"agreed by phone\"\n\n\
        The file is one JSON object of columns and values, spelled as `patch` of `proposals show --json`; {} means that \
        nothing was changed. Nothing is written to a source database. A newer record replaces an older one in comparisons.\n\
        Exit codes: 0 ok, 1 not found, 2 usage, 4 not a shadow proposal or not permitted, 6 ledger unreachable, 10 tampered"
    )]
    RecordHumanAction(record::RecordArgs),
    /// Compare a shadow proposal with the newest human action
    #[command(after_help = "Example:\n  synapsor-runner shadow compare latest\n\n\
        Values are equal if type and text are: 5 is not \"5\".\n\
        Exit codes: 0 ok, 1 not found, 4 not a shadow proposal, 6 ledger unreachable, 10 tampered")]
    Compare(CompareArgs),
    /// Compare every shadow proposal, and count the results
    #[command(after_help = "Example:\n  synapsor-runner shadow report --json\n\n\
        Exit codes: 0 ok, 6 ledger unreachable, 10 tampered")]
    Report,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// Proposal id, id prefix, short code, or `latest`
    #[arg(default_value = "latest")]
    proposal: String,
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let session = LedgerConnection::open(context).await?;
    let done = match &command {
        Command::List(args) => list::list(args, &session, context).await,
        Command::RecordHumanAction(args) => record::record(args, &session, context).await,
        Command::Compare(args) => comparison::compare(&args.proposal, &session, context).await,
        Command::Report => comparison::report(&session, context).await,
    };
    session.close().await;
    done
}

/// Refuses a proposal that is not a shadow proposal.
fn check_shadow_mode(view: &ProposalView) -> Result<(), ExitError> {
    if view.attested.proposal().mode == ProposalMode::Shadow {
        return Ok(());
    }
    let text = format!(
        "{} is not a shadow proposal: what a person does with it is a decision",
        view.attested.proposal().id
    );
    Err(ExitError::new(ErrorCode::NotShadowProposal, text)
        .with_fix("list shadow proposals with `synapsor-runner shadow list`"))
}
