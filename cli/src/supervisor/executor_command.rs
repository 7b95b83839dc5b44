//! One-shot child that answers one database query, because this process has no driver. It gets only the
//! variables that the query needs.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use synapsor_chassis::run::ExitError;
use synapsor_codes::ErrorCode;
use synapsor_domain::inspection::INSPECTION_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::{binary, environment};
use crate::Context;

const BINARY: &str = "synapsor-executor";
/// Timeout from the start of the child to its output; its own database timeouts are shorter.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the executor with `arguments` and the variables of `names` that are set, and returns its output.
///
/// # Errors
/// The child's own error, with its exit code; `ANSWER_TIMEOUT` (exit 6); an interruption.
pub(crate) async fn run_executor_command(
    context: &Context,
    arguments: Vec<OsString>,
    names: &BTreeSet<String>,
) -> Result<Vec<u8>, ExitError> {
    let mut command = Command::new(binary::path(BINARY)?);
    command
        .args(arguments)
        .env_clear()
        .envs(environment::take(&context.env, names)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, answer(command, BINARY, "retry with one --schema"));
    context
        .unless_stopped(async {
            answer.await.unwrap_or_else(|_| {
                let text = format!("database did not respond within {} s", ANSWER_TIMEOUT.as_secs());
                Err(ExitError::new(ErrorCode::AnswerTimeout, text)
                    .with_fix("check that the server runs, and that the URL names its host and port"))
            })
        })
        .await
}

/// Output of a command that failed.
#[derive(Deserialize)]
struct Failed {
    error: ExitError,
}

/// Returns the output of a command that succeeds.
pub(super) async fn answer(mut command: Command, binary: &str, fix: &str) -> Result<Vec<u8>, ExitError> {
    let lost = |error: std::io::Error| {
        ExitError::new(
            ErrorCode::ChildNotStarted,
            format!("cannot run {binary}: {}", error.kind()),
        )
        .with_fix(binary::NOT_EXECUTABLE_FIX)
    };
    let mut child = command.spawn().map_err(lost)?;
    let stdout = child.stdout.take();
    let printed = bounded(stdout, INSPECTION_BYTES_MAX).await.map_err(lost)?;
    let status = child.wait().await.map_err(lost)?;
    if status.success() && printed.len() <= INSPECTION_BYTES_MAX {
        return Ok(printed);
    }
    let failed = serde_json::from_slice::<Failed>(&printed);
    Err(failed.map_or_else(
        |_| {
            let text = format!("{binary} exited without a valid result");
            ExitError::new(ErrorCode::ChildEnded, text).with_fix(fix)
        },
        |failed| failed.error,
    ))
}

/// Reads to the end, but at most one byte more than `bytes_max`.
async fn bounded(from: Option<impl AsyncRead + Unpin>, bytes_max: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(from) = from else { return Ok(bytes) };
    let mut limited = from.take(bytes_max as u64 + 1);
    limited.read_to_end(&mut bytes).await?;
    Ok(bytes)
}
