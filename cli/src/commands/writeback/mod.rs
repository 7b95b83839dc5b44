//! `writeback`: prints the database setup statements, checks their effect, and freezes and unfreezes all
//! writers.

mod clocks;
pub(super) mod doctor;
pub(super) mod ledger_findings;
mod statements;
mod switch;

use clap::Subcommand;
use synapsor_chassis::run::{Exit, ExitError};

use crate::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the statements that create the receipt table, without running them
    #[command(
        after_help = "Examples:\n  synapsor-runner writeback migration --engine sqlite | sqlite3 app.db\n  \
        synapsor-runner writeback migration --engine postgres --schema synapsor | psql \"$OWNER_URL\"\n\n\
        Without --engine, engine, schema and table are those of the contract's source.\n\
        Exit codes: 0 ok, 1 statements not available, 2 usage"
    )]
    Migration(statements::Migration),
    /// Print the statements that grant reader and writer the minimum privileges, without running them
    #[command(
        after_help = "Examples:\n  synapsor-runner writeback grants --read-role app_read --writer-role app_write\n  \
        synapsor-runner writeback grants --engine mysql --schema shop --writer-role app_write@10.0.0.5\n\n\
        With a contract (--config, or without --engine) the columns of its tables are included.\n\
        Exit codes: 0 ok, 1 statements not available, 2 usage"
    )]
    Grants(statements::Grants),
    /// Check the variables of both roles, and with --check-db the write path
    #[command(after_help = "Examples:\n  synapsor-runner writeback doctor\n  \
        synapsor-runner writeback doctor --check-db --json\n\n\
        --check-db opens the databases under both credentials and tries every statement of a writeback in a\n\
        transaction that is rolled back; with --writer ADDR[,ADDR] or --reader ADDR the running services run the checks.\n\
        A named service is called without --check-db too, and must respond.\n\
        The ledger of the state directory, or the one of --ledger ADDR, adds open incidents about receipts, freezes in\n\
        force and its clock.\n\
        Exit codes: 0 ok or warnings only, 1 errors, 2 usage, 6 a database or a named service cannot be\n\
        reached")]
    Doctor(doctor::Args),
    /// Freeze all writeback of the deployment; signed, any operator key
    #[command(
        after_help = "Examples:\n  synapsor-runner writeback freeze --reason \"wrong fees\"\n  \
        synapsor-runner writeback freeze --writer 10.0.0.5:7443,10.0.0.6:7443\n  \
        synapsor-runner writeback freeze --unsigned\n\n\
        The freeze goes to every writer in --writer, or by default to every local running writer, to the ledger, and\n\
        into the receipt table of each source.\n\
        It is in force until `writeback unfreeze`, also for writers that start later. With --unsigned there is no\n\
        signature, and each writer that receives it freezes only itself.\n\n\
        Exit codes: 0 every writer confirmed, 2 usage, 4 rejected, 6 a writer did not confirm or the ledger does not have\n\
        it (earlier apply orders can still be applied there until the printed time)"
    )]
    Freeze(switch::FreezeArgs),
    /// End a freeze; signed, role applier
    #[command(after_help = "Examples:\n  synapsor-runner writeback unfreeze\n  \
        synapsor-runner writeback unfreeze sha256:4f2a...\n\n\
        Without a digest the command ends every freeze in force, each with a signed unfreeze.\n\
        Exit codes: 0 every writer confirmed, 2 usage, 4 rejected, 6 a writer did not confirm or the ledger does not have\n\
        it")]
    Unfreeze(switch::UnfreezeArgs),
}

pub(crate) async fn run(command: Command, context: &Context) -> Result<Exit, ExitError> {
    match command {
        Command::Migration(args) => statements::migration(&args, context),
        Command::Grants(args) => statements::grants(args, context),
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Freeze(args) => switch::freeze(&args, context).await,
        Command::Unfreeze(args) => switch::unfreeze(&args, context).await,
    }
}
