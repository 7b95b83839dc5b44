//! The operator's hands: review, sign, apply, replay, prove; and the supervisor that starts the other processes on
//! one machine. Holds no database driver and opens no database.

mod arguments;
mod clients;
mod agent;
mod commands;
mod contract_file;
mod operations;
mod operator_key;
mod output;
mod session;
mod sign;
mod state;
mod supervisor;
mod trust_edit;
mod witness;

pub use arguments::{Cli, Global, parse_arguments};

use synapsor_chassis::run::{Exit, Failure};
use synapsor_chassis::settings::Environment;
use tokio_util::sync::CancellationToken;

/// What every command gets besides its own arguments.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) env: Environment,
    /// Cancelled at the first SIGINT or SIGTERM.
    pub(crate) stop: CancellationToken,
}

/// Runs one command.
///
/// # Errors
/// Whatever ended the command badly, with its exit code.
pub async fn run(cli: Cli, stop: CancellationToken) -> Result<Exit, Failure> {
    let context = Context { global: cli.global, env: Environment::of_process(), stop };
    Box::pin(commands::run(cli.command, &context)).await
}
