//! `proposals`: list, show, review, approve, reject, writeback-job.

mod approve_several;
mod decide;
mod list;
mod own_contract;
pub(super) mod page;
mod reject;
mod review;
mod show;
mod writeback_job;

pub(super) use decide::reason;
pub(super) use list::FilterArgs;

use clap::Subcommand;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_codes::ErrorCode;
use synapsor_domain::proposal::ProposalMode;

use crate::Context;
use crate::connection::LedgerConnection;
use crate::workflows::ProposalView;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List proposals, newest first
    #[command(
        after_help = "Example:\n  synapsor-runner proposals list --state pending_review --tenant acme\n\n\
        Exit codes: 0 ok, 6 ledger unreachable, 10 tampered"
    )]
    List(list::List),
    /// Show and verify the review document of one proposal
    #[command(
        after_help = "Examples:\n  synapsor-runner proposals show latest\n  synapsor-runner proposals show wrp_4f --json\n  \
        synapsor-runner proposals show latest --full | less\n\n\
        Exit codes: 0 ok, 6 ledger unreachable, 10 tampered, 11 rolled back, 12 forked"
    )]
    Show(show::Show),
    /// Review and approve a proposal
    #[command(
        after_help = "Examples:\n  synapsor-runner proposals approve latest --reason \"customer is right\"\n  \
        synapsor-runner proposals approve wrp_4f2a --yes --code ABCD-EFGH-IJKL --apply\n  \
        synapsor-runner proposals approve wrp_4f2a wrp_51c0\n\n\
        Several proposals are printed and confirmed one after the other, each with a signature of its own.\n\
        Exit codes: 0 ok, 2 usage, 4 rejected, 6 unreachable, 10 tampered, 11 rolled back, 12 forked; \
        with --apply those of apply"
    )]
    Approve(decide::Approve),
    /// Walk the proposals that wait for review, one by one, on a terminal
    #[command(after_help = "Examples:\n  synapsor-runner proposals review\n  \
        synapsor-runner proposals review --capability billing.propose_late_fee_waiver --tenant acme\n\n\
        Each review is printed in full; then approve, reject, skip or quit. What arrives meanwhile is not included.\n\
        Exit codes: 0 ok, 2 usage or no terminal, 6 ledger unreachable, 10 tampered, 11 rolled back, 12 forked")]
    Review(review::Review),
    /// Reject proposals, even if an attempt may have started
    #[command(
        after_help = "Examples:\n  synapsor-runner proposals reject latest --reason \"wrong invoice\"\n  \
        synapsor-runner proposals reject wrp_4f2a wrp_51c0 --reason \"duplicates\"\n  \
        synapsor-runner proposals reject --principal support-agent --state pending_review --reason \"loop\"\n  \
        synapsor-runner proposals reject --all --capability billing.propose_late_fee_waiver --older-than 2d --reason \"stale\"\n\n\
        Several proposals are rejected after one prompt, each with a signature of its own. Agents can read the reason.\n\
        Exit codes: 0 rejected, 1 unknown or ambiguous proposal, or no match, 2 usage, 4 too late: it had ended, 5 too late: commit in progress, outcome pending, 6 unreachable, 10 tampered"
    )]
    Reject(reject::Reject),
    /// Export the writeback job of an approved proposal; this applies nothing
    #[command(
        after_help = "Example:\n  synapsor-runner proposals writeback-job latest --output job.json\n\n\
        The job is a copy for tools that read jobs of 0.1.x. The writer takes its jobs from the ledger only.\n\
        Exit codes: 0 ok, 1 not found or a shadow proposal, 2 usage, 4 not approved, 6 ledger unreachable, 10 tampered"
    )]
    WritebackJob(writeback_job::WritebackJobArgs),
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let mut session = LedgerConnection::open(context).await?;
    let done = match command {
        Command::List(args) => list::list(&args, &session, context).await,
        Command::Show(args) => show::show(&args, &session, context).await,
        Command::Approve(args) => Box::pin(decide::approve(&args, &mut session, context)).await,
        Command::Review(args) => Box::pin(review::review(&args, &mut session, context)).await,
        Command::WritebackJob(args) => writeback_job::export(&args, &session, context).await,
        Command::Reject(args) => Box::pin(reject::reject(&args, &mut session, context)).await,
    };
    session.close().await;
    done
}

/// Refuses a shadow proposal before anything about it is signed.
pub(super) fn check_review_mode(view: &ProposalView) -> Result<(), ExitError> {
    if view.attested.proposal().mode == ProposalMode::Review {
        return Ok(());
    }
    let text = "a shadow proposal is for comparison only and cannot be approved, rejected or applied";
    let fix = format!(
        "record what a person did instead with `synapsor-runner shadow record-human-action {}`",
        view.attested.proposal().id
    );
    Err(ExitError::new(ErrorCode::ShadowWritebackDisabled, text).with_fix(fix))
}
