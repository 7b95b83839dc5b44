//! The shared body of every `main`: harden, parse, logs, runtime, and one way to end. What a process does is
//! handed in; parsing its command line is the caller's.

mod failure;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use failure::{EXIT_FAILURE, EXIT_OK, EXIT_UNREACHABLE, EXIT_USAGE, ExitError};

use crate::settings::EnvVars;
use crate::telemetry::{self, LogSettings};
use crate::{harden, shutdown};

/// Blocking work that is still going on when the body has ended gets this long before the process ends anyway.
const RUNTIME_END_TIMEOUT: Duration = Duration::from_secs(2);

/// How a process ends when nothing went wrong. `()` is [`EXIT_OK`]; a number is itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(pub u8);

impl From<()> for Exit {
    fn from((): ()) -> Self {
        Self(EXIT_OK)
    }
}

impl From<u8> for Exit {
    fn from(code: u8) -> Self {
        Self(code)
    }
}

/// Runs a process: hardens it, calls `parse`, starts logs on stderr (`default_level` unless
/// `SYNAPSOR_LOG_LEVEL` says otherwise) and a runtime, then drives `body`. The token given to `body` is
/// cancelled at SIGTERM or SIGINT. A failure is printed to stderr and becomes the exit code.
pub fn run<A, F, Fut, T>(default_level: telemetry::Level, parse: impl FnOnce() -> A, body: F) -> ExitCode
where
    F: FnOnce(A, CancellationToken) -> Fut,
    Fut: Future<Output = Result<T, ExitError>>,
    T: Into<Exit>,
{
    run_confined(default_level, parse, |_| Ok(()), body)
}

/// As [`run`], with a step between logs and runtime, when the process still has one thread: what `confine` takes away
/// is taken away from every thread that is started later.
pub fn run_confined<A, F, Fut, T>(
    default_level: telemetry::Level,
    parse: impl FnOnce() -> A,
    confine: impl FnOnce(&A) -> Result<(), ExitError>,
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
    match start(default_level, arguments, confine, body) {
        Ok(exit) => ExitCode::from(exit.into().0),
        Err(failure) => end(&failure),
    }
}

fn start<A, F, Fut, T>(
    default_level: telemetry::Level,
    arguments: A,
    confine: impl FnOnce(&A) -> Result<(), ExitError>,
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
    // Counted first: the limits of a container are read from files.
    let workers = workers();
    confine(&arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(|e| {
            ExitError::new(
                "RUNTIME_UNAVAILABLE",
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

/// Half of the processors: a call goes through several of our processes, which share the machine with each other
/// and often with the database. More threads than processors only wake each other up.
fn workers() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    processors.div_ceil(2)
}

fn end(failure: &ExitError) -> ExitCode {
    // A closed stderr must not turn a clean error into a panic.
    let _ = writeln!(std::io::stderr().lock(), "{failure}");
    ExitCode::from(failure.exit())
}
