//! One-shot ledger that builds a store from a backup, because this process has no driver.

use std::ffi::OsString;
use std::process::Stdio;

use synapsor_chassis::run::ExitError;
use tokio::process::Command;

use super::environment::{self, Process};
use super::executor_command::answer;
use super::{binary, ledger};
use crate::Context;

/// Fix for a child that ended without a result.
const FIX: &str = "see whether memory and disk suffice, then run the command again";

/// Runs the ledger with `arguments`, and returns its output.
///
/// # Errors
/// The child's own error, with its exit code; an interruption.
pub(crate) async fn run_ledger_command(
    context: &Context,
    arguments: Vec<OsString>,
) -> Result<Vec<u8>, ExitError> {
    let allowed = environment::allowed(Process::Ledger, None, None);
    let mut command = Command::new(binary::path(ledger::BINARY)?);
    command
        .args(arguments)
        .env_clear()
        .envs(environment::take(&context.env, &allowed)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    context.unless_stopped(answer(command, ledger::BINARY, FIX)).await
}
