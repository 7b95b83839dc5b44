//! `proposals`: list, show, approve, reject.

mod decide;
mod list;
mod own_contract;
pub(super) mod page;
mod reject;
mod show;

pub(super) use list::FilterArgs;

use clap::Subcommand;
use synapsor_chassis::run::{Exit, ExitError};

use crate::Context;
use crate::connection::LedgerConnection;

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
        synapsor-runner proposals approve wrp_4f2a --yes --code ABCD-EFGH-IJKL --apply\n\n\
        Exit codes: 0 ok, 2 usage, 4 rejected, 6 unreachable, 10 tampered, 11 rolled back, 12 forked; \
        with --apply those of apply"
    )]
    Approve(decide::Approve),
    /// Reject proposals, even if an attempt may have started
    #[command(
        after_help = "Examples:\n  synapsor-runner proposals reject latest --reason \"wrong invoice\"\n  \
        synapsor-runner proposals reject wrp_4f2a wrp_51c0 --reason \"duplicates\"\n  \
        synapsor-runner proposals reject --principal support-agent --state pending_review --reason \"loop\"\n\n\
        Several proposals are rejected after one prompt, each with a signature of its own. Agents can read the reason.\n\
        Exit codes: 0 rejected, 1 unknown or ambiguous proposal, or no match, 2 usage, 4 too late: it had ended, 5 too late: commit in progress, outcome pending, 6 unreachable, 10 tampered"
    )]
    Reject(reject::Reject),
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    let mut session = LedgerConnection::open(context).await?;
    let done = match command {
        Command::List(args) => list::list(&args, &session, context).await,
        Command::Show(args) => show::show(&args, &session, context).await,
        Command::Approve(args) => Box::pin(decide::approve(&args, &mut session, context)).await,
        Command::Reject(args) => Box::pin(reject::reject(&args, &mut session, context)).await,
    };
    session.close().await;
    done
}
