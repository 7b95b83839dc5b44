//! `store`: upkeep of the ledger store. The source databases are not changed.

mod backup;
mod erase;
mod reset;
mod restore;
mod stats;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use synapsor_chassis::run::{Exit, ExitError};

use crate::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Count the records of the store and measure its file
    #[command(
        after_help = "Examples:\n  synapsor-runner store stats\n  synapsor-runner store stats --json\n\n\
        Reads the whole store; the ledger serves meanwhile.\n\
        Exit codes: 0 ok, 6 ledger unreachable"
    )]
    Stats,
    /// Give unused space of the store file back to the file system
    #[command(after_help = "Example: synapsor-runner store vacuum\n\n\
        Calls of agents and writers wait meanwhile: about a second for each 100 MB. Needs free space of twice the size \
        of the file.\n\
        Exit codes: 0 ok, 1 not enough space, 6 ledger unreachable")]
    Vacuum,
    /// Write a verified copy of the whole log to a file, while the ledger serves
    #[command(after_help = "Examples:\n  synapsor-runner store backup ledger.backup\n  \
        synapsor-runner --ledger ledger.internal:7443 store backup /backups/2026-11-30.backup\n\n\
        The file holds proposals, evidence and receipts with their values: keep it like the database. It holds no key.\n\
        Exit codes: 0 written and verified, 1 the file exists or cannot be written, 6 ledger unreachable, 10 tampered, \
        11 rolled back, 12 forked")]
    Backup(BackupArgs),
    /// Verify a backup file; needs no network
    #[command(
        after_help = "Example: synapsor-runner store verify ledger.backup --trust synapsor.trust.json\n\n\
        Exit codes: 0 verified, 1 the file is cut or unreadable, 2 no backup, 10 tampered"
    )]
    Verify(VerifyArgs),
    /// Build the store of this machine from a backup file
    #[command(after_help = "Examples:\n  synapsor-runner store restore ledger.backup\n  \
        synapsor-runner store restore ledger.backup --replace --yes\n\n\
        Reader, writer and this command remember how far they have seen the log, and refuse an older one.\n\
        Exit codes: 0 restored, 1 failure, 2 no backup, 10 tampered, 11 the backup is older than what was seen, \
        12 it is another log")]
    Restore(RestoreArgs),
    /// Erase what ended long ago; proofs stay valid
    #[command(after_help = "Examples:\n  synapsor-runner store prune --older-than 90d\n  \
        synapsor-runner store prune --older-than 90d --yes --reason 'retention of 90 days'\n\n\
        Without --yes it only counts. Erases ended proposals with their evidence, and records of calls. Keeps receipts, \
        open proposals, and the place of every event in the log. Needs the role `eraser`.\n\
        Exit codes: 0 ok, 2 usage, 4 refused, 6 ledger unreachable")]
    Prune(erase::PruneArgs),
    /// Erase everything of a tenant or about an object; proofs stay valid
    #[command(after_help = "Examples:\n  synapsor-runner store erase --tenant acme\n  \
        synapsor-runner store erase --object customer:C-17 --yes --reason 'request 4711'\n\n\
        Without --yes it only counts. Keeps what `store prune` keeps. Needs the role `eraser`.\n\
        Exit codes: 0 ok, 2 usage, 4 refused, 6 ledger unreachable")]
    Erase(Box<erase::EraseArgs>),
    /// Delete the ledger store and its pinned checkpoints (`dev` only)
    #[command(after_help = "Example: synapsor-runner store reset --yes\n\
        Exit codes: 0 ok, 1 failure (a ledger is in use, or not a dev deployment), 2 usage")]
    Reset {
        /// Confirm the deletion; required
        #[arg(long)]
        yes: bool,
        /// Accepted for 0.1.x; a running ledger is never deleted under its clients
        #[arg(long, hide = true)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// File to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace an existing file, once the new one is verified
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Backup file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Backup file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace an existing store; it is kept beside the new one under another name
    #[arg(long, requires = "yes")]
    replace: bool,
    /// Confirm --replace
    #[arg(long)]
    yes: bool,
    /// Restore although reader, writer or this command have seen later events, which are lost then
    #[arg(long)]
    accept_loss: bool,
}

pub(crate) async fn run(command: &Command, context: &Context) -> Result<Exit, ExitError> {
    match command {
        Command::Stats => stats::stats(context).await,
        Command::Vacuum => stats::vacuum(context).await,
        Command::Backup(args) => backup::back_up(args, context).await,
        Command::Verify(args) => backup::verify(args, context),
        Command::Restore(args) => restore::run(args, context).await,
        Command::Prune(args) => erase::prune(args, context).await,
        Command::Erase(args) => erase::erase(args, context).await,
        Command::Reset { yes, force: _ } => reset::run(*yes, context).await,
    }
}
