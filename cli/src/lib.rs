//! Operator CLI: review, sign, apply, replay, verify; and the supervisor that starts the other processes on one
//! machine. Contains no database driver and opens no database.

mod arguments;
mod clients;
mod commands;
mod connection;
mod contract_file;
mod earlier_commands;
mod env_file;
mod local_writer;
mod mcp_client;
mod operator_key;
mod output;
mod pinned_checkpoint;
mod readable;
mod setting_origin;
mod sign;
mod state;
mod supervisor;
mod time_filter;
mod trust_edit;
mod workflows;

pub use arguments::{Cli, Global, parse_arguments};

use supervisor::CommandLogs;
use synapsor_chassis::run::{Exit, ExitError};
use synapsor_chassis::settings::EnvVars;
use synapsor_codes::ErrorCode;
use tokio_util::sync::CancellationToken;

/// Context of every command besides its own arguments.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) env: EnvVars,
    /// Canceled at the first SIGINT or SIGTERM.
    pub(crate) stop: CancellationToken,
    /// Logs of the processes that this command started.
    pub(crate) logs: CommandLogs,
}

impl Context {
    /// Runs `work` until the user interrupts. Processes started for it end with it.
    pub(crate) async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, ExitError>>,
    ) -> Result<T, ExitError> {
        tokio::select! {
            done = work => done,
            () = self.stop.cancelled() => Err(ExitError::new(ErrorCode::Interrupted, "interrupted before a response arrived")),
        }
    }
}

/// Runs one command.
///
/// # Errors
/// The error that ended the command, with its exit code.
pub async fn run(cli: Cli, stop: CancellationToken) -> Result<Exit, ExitError> {
    let env_file = cli
        .global
        .env_file
        .as_ref()
        .filter(|_| cli.command.reads_env_file());
    let context = Context {
        env: env_file::environment(env_file)?,
        global: cli.global,
        stop,
        logs: CommandLogs::default(),
    };
    let serves = cli.command.serves();
    let done = Box::pin(commands::run(cli.command, &context)).await;
    // The log of a service is read after its end; that of another command only if it failed.
    if !serves && matches!(done, Ok(Exit::Ok)) {
        context.logs.remove();
    }
    done
}
