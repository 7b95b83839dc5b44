//! Shared body of every `main`: hardening, arguments, logs, runtime, exit code. Callers pass the argument parser
//! and the process body.

mod arguments;
mod failure;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use synapsor_codes::ErrorCode;
use tokio_util::sync::CancellationToken;

pub use arguments::parse_arguments;
pub use failure::ExitError;
pub use synapsor_codes::Exit;

use crate::settings::EnvVars;
use crate::telemetry::{self, LogSettings};
use crate::{harden, refusal_cause, run_file, shutdown};

/// Maximum time for blocking work to finish after the body has ended.
const RUNTIME_END_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs a process: hardens it, calls `parse`, starts logging on stderr (`default_level` unless
/// `SYNAPSOR_LOG_LEVEL` is set) and a runtime, then runs `body`. The token passed to `body` is canceled at SIGTERM
/// or SIGINT. An error is printed to stderr and sets the exit code.
pub fn run<A, F, Fut, T>(default_level: telemetry::Level, parse: impl FnOnce() -> A, body: F) -> ExitCode
where
    F: FnOnce(A, CancellationToken) -> Fut,
    Fut: Future<Output = Result<T, ExitError>>,
    T: Into<Exit>,
{
    run_confined(default_level, parse, |_| None, |_| Ok(()), body)
}

/// Runs like [`run`], with the step `enter_sandbox` between logging and runtime. The process still has one thread then,
/// so the restrictions apply to every later thread. An error is also written beside the run file that the arguments
/// name, where the parent process reads it.
pub fn run_confined<A, F, Fut, T>(
    default_level: telemetry::Level,
    parse: impl FnOnce() -> A,
    run_file_of: impl FnOnce(&A) -> Option<PathBuf>,
    enter_sandbox: impl FnOnce(&A) -> Result<(), ExitError>,
    body: F,
) -> ExitCode
where
    F: FnOnce(A, CancellationToken) -> Fut,
    Fut: Future<Output = Result<T, ExitError>>,
    T: Into<Exit>,
{
    if let Err(failure) = harden::harden_process() {
        return end(&failure);
    }
    let arguments = parse();
    let run_file_path = run_file_of(&arguments);
    if let Some(path) = &run_file_path {
        refusal_cause::keep_beside(path);
    }
    match start(default_level, arguments, enter_sandbox, body) {
        Ok(exit) => ExitCode::from(exit.into().number()),
        Err(failure) => {
            if let Some(path) = run_file_path {
                run_file::leave_error(&path, &failure);
            }
            end(&failure)
        }
    }
}

fn start<A, F, Fut, T>(
    default_level: telemetry::Level,
    arguments: A,
    enter_sandbox: impl FnOnce(&A) -> Result<(), ExitError>,
    body: F,
) -> Result<T, ExitError>
where
    F: FnOnce(A, CancellationToken) -> Fut,
    Fut: Future<Output = Result<T, ExitError>>,
{
    telemetry::init(LogSettings::from_environment(
        &EnvVars::of_process(),
        default_level,
    )?)?;
    // Read before the sandbox: the limits of a container are stored in files.
    let workers = workers();
    enter_sandbox(&arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(|e| {
            ExitError::new(
                ErrorCode::RuntimeUnavailable,
                format!("cannot start worker threads: {}", e.kind()),
            )
            .with_fix("raise the limit of processes or threads of this user")
        })?;
    let outcome = runtime.block_on(async {
        let stop = shutdown::on_signal()?;
        Box::pin(body(arguments, stop)).await
    });
    runtime.shutdown_timeout(RUNTIME_END_TIMEOUT);
    outcome
}

/// Returns half of the processors: a call passes several processes, which share the machine with each other and
/// often with the database. More threads than processors only cause extra wake-ups.
fn workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    processors.div_ceil(2)
}

fn end(failure: &ExitError) -> ExitCode {
    // A closed stderr must not turn an error into a panic.
    let _ = writeln!(std::io::stderr().lock(), "{failure}");
    ExitCode::from(failure.exit().number())
}
