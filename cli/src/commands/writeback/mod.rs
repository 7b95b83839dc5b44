//! `writeback`: the statements that a database's owner runs, the check that they did what they should, and stopping
//! and resuming all writers.

mod clocks;
mod doctor;
mod ledger_findings;
mod statements;
mod switch;

use clap::Subcommand;
use synapsor_chassis::run::{Exit, ExitError};

use crate::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the statements that create the receipt table; run nothing
    #[command(
        after_help = "Examples:\n  synapsor-runner writeback migration --engine sqlite | sqlite3 app.db\n  \
        synapsor-runner writeback migration --engine postgres --schema synapsor | psql \"$OWNER_URL\"\n\n\
        Without --engine, engine, schema and table are those of the contract's source.\n\
        Exit codes: 0 ok, 1 no such statements, 2 usage"
    )]
    Migration(statements::Migration),
    /// Print the statements that give reader and writer exactly what they need; run nothing
    #[command(
        after_help = "Examples:\n  synapsor-runner writeback grants --read-role app_read --writer-role app_write\n  \
        synapsor-runner writeback grants --engine mysql --schema shop --writer-role app_write@10.0.0.5\n\n\
        With a contract (--config, or without --engine) the columns of its tables are included.\n\
        Exit codes: 0 ok, 1 no such statements, 2 usage"
    )]
    Grants(statements::Grants),
    /// Check the variables of both roles, and with --check-db prove that writebacks can work
    #[command(after_help = "Examples:\n  synapsor-runner writeback doctor\n  \
        synapsor-runner writeback doctor --check-db --json\n\n\
        --check-db opens the databases under both credentials and tries every statement of a writeback in a\n\
        transaction that is rolled back; with --writer ADDR[,ADDR] or --reader ADDR the running services do it.\n\
        A service that is named is asked without --check-db too, and must answer.\n\
        The ledger of the state directory, or the one of --ledger ADDR, adds open incidents about receipts, freezes in\n\
        force and its clock.\n\
        Exit codes: 0 fine or warnings only, 1 problems, 2 usage, 6 a database or a named service cannot be\n\
        reached")]
    Doctor(doctor::Args),
    /// Stop all writeback of the deployment at once; signed, any operator key
    #[command(
        after_help = "Examples:\n  synapsor-runner writeback freeze --reason \"wrong fees\"\n  \
        synapsor-runner writeback freeze --writer 10.0.0.5:7443,10.0.0.6:7443\n  \
        synapsor-runner writeback freeze --unsigned\n\n\
        The freeze goes to every writer that --writer names, or without it to those that run here, to the ledger, and\n\
        into the receipt table of each source.\n\
        It holds until `writeback unfreeze`, also for writers that start later. With --unsigned nobody signs, and only\n\
        the writers that receive it stop, each for itself.\n\n\
        Exit codes: 0 every writer confirmed, 2 usage, 4 refused, 6 a writer did not confirm or the ledger does not have\n\
        it (what was ordered before can still happen there until the time that is shown)"
    )]
    Freeze(switch::FreezeArgs),
    /// End a freeze; signed, role applier
    #[command(after_help = "Examples:\n  synapsor-runner writeback unfreeze\n  \
        synapsor-runner writeback unfreeze sha256:4f2a...\n\n\
        Without a digest every freeze in force is ended, each by a lift of its own.\n\
        Exit codes: 0 every writer confirmed, 2 usage, 4 refused, 6 a writer did not confirm or the ledger does not have\n\
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
