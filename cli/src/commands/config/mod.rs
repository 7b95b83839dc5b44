//! `config`: checks, shows and compares contracts. Starts nothing and needs no state directory.

mod diff;
mod migrate;
mod show;
mod validate;

use clap::Subcommand;
use synapsor_chassis::run::{Exit, ExitError};

use crate::Context;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Validate the contract and list every error with its path, code and fix
    #[command(
        after_help = "Example: synapsor-runner config validate --config synapsor.runner.json --json\n\
        Exit codes: 0 valid, 1 invalid or unreadable, 2 usage"
    )]
    Validate,
    /// Print the contract without secrets, or where each setting comes from
    #[command(after_help = "Examples:\n  synapsor-runner config show\n  \
        synapsor-runner config show --sources\n\n\
        Exit codes: 0 ok, 1 unreadable, 2 usage or not JSON")]
    Show(show::ShowArgs),
    /// Compare two contracts: what models can see, request or change under the second and not under the first
    #[command(
        after_help = "Example: synapsor-runner config diff deployed.json synapsor.runner.json\n\
        Exit codes: 0 no wider authority, 1 invalid or unreadable, 2 usage, 4 wider authority"
    )]
    Diff(diff::DiffArgs),
    /// Convert the contract to the newest version
    #[command(
        after_help = "Example: synapsor-runner config migrate --output migrated.runner.json\n\
        Exit codes: 0 ok, 1 invalid, unreadable, or the output exists, 2 usage"
    )]
    Migrate(migrate::MigrateArgs),
}

pub(crate) fn run(command: &Command, context: &Context) -> Result<Exit, ExitError> {
    match command {
        Command::Validate => validate::run(context),
        Command::Show(args) => show::run(args, context),
        Command::Diff(args) => diff::run(args, context),
        Command::Migrate(args) => migrate::run(args, context),
    }
}
