//! One child process: environment, log, stdin for shutdown, readiness and exit.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use synapsor_chassis::refusal_cause::{self, RefusalCause};
use synapsor_chassis::run::ExitError;
use synapsor_chassis::run_file::{self, RunFile};
use synapsor_codes::ErrorCode;
use tokio::process::{ChildStdin, Command};

use super::binary;
use super::environment::Process;
use super::logs::LogFile;

/// Timeout from the start of a child to its readiness.
pub(super) const READY_TIMEOUT: Duration = Duration::from_secs(15);
/// A child drains for at most 10 seconds; then it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(12);
pub(super) const POLL_PAUSE: Duration = Duration::from_millis(10);

/// Settings for the start of a child.
#[derive(Debug)]
pub(super) struct ChildSpec {
    pub(super) process: Process,
    pub(super) binary: &'static str,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: BTreeMap<String, String>,
    /// Log file for its stderr; `None` shares this process's stderr.
    pub(super) log: Option<PathBuf>,
    pub(super) run_file: PathBuf,
}

/// A child of this process. Dropping it closes its stdin, which makes it exit.
#[derive(Debug)]
pub(crate) struct Child {
    process: Process,
    pid: u32,
    address: Option<SocketAddr>,
    posture: Option<String>,
    environment: Vec<String>,
    log: Option<LogFile>,
    run_file: PathBuf,
    handle: tokio::process::Child,
    lifeline: Option<ChildStdin>,
}

/// Builds the command of a child, with a cleared environment and its stderr in the log, which it returns too.
pub(super) fn command(spec: &ChildSpec) -> Result<(Command, Option<LogFile>), ExitError> {
    let mut command = Command::new(binary::path(spec.binary)?);
    command.args(&spec.arguments).env_clear().envs(&spec.environment);
    let log = spec.log.as_deref().map(LogFile::open).transpose()?;
    command.stderr(match &log {
        Some(log) => log.stderr()?,
        None => Stdio::inherit(),
    });
    Ok((command, log))
}

impl Child {
    /// Starts a child that exits when its stdin closes, in a process group of its own: Ctrl-C reaches this
    /// process only, which ends the children in order.
    pub(super) fn start(spec: &ChildSpec) -> Result<Self, ExitError> {
        Self::spawn(spec, Stdio::piped())
    }

    /// Starts a child that decides by itself when to exit.
    pub(super) fn start_detached(spec: &ChildSpec) -> Result<Self, ExitError> {
        Self::spawn(spec, Stdio::null())
    }

    fn spawn(spec: &ChildSpec, stdin: Stdio) -> Result<Self, ExitError> {
        let (mut command, log) = command(spec)?;
        command.stdin(stdin).stdout(Stdio::null()).process_group(0);
        let mut handle = command.spawn().map_err(|error| not_started(spec, &error))?;
        Ok(Self {
            process: spec.process,
            pid: handle.id().unwrap_or_default(),
            address: None,
            posture: None,
            environment: spec.environment.keys().cloned().collect(),
            log,
            run_file: spec.run_file.clone(),
            lifeline: handle.stdin.take(),
            handle,
        })
    }

    /// Waits until the child has published its run file.
    pub(super) async fn wait_ready(&mut self) -> Result<(), ExitError> {
        let start = Instant::now();
        loop {
            if let Some(found) = RunFile::read(&self.run_file).filter(|found| found.pid == self.pid) {
                self.address = found.address;
                self.posture = found.posture;
                return Ok(());
            }
            if let Some(failure) = self.ended() {
                return Err(failure);
            }
            if start.elapsed() > READY_TIMEOUT {
                let text = format!(
                    "the {} is not ready after {} s",
                    self.name(),
                    READY_TIMEOUT.as_secs()
                );
                return Err(ExitError::new(ErrorCode::ChildNotReady, text).with_fix(format!(
                    "check {}",
                    self.log().unwrap_or(Path::new("its log")).display()
                )));
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.process.as_str()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Its sandbox level, as it reports it.
    pub(crate) fn posture(&self) -> Option<&str> {
        self.posture.as_deref()
    }

    /// Its listen address.
    ///
    /// # Errors
    /// When it is not ready or does not listen.
    pub(crate) fn address(&self) -> Result<SocketAddr, ExitError> {
        self.address.ok_or_else(|| {
            ExitError::new(
                ErrorCode::ChildNotListening,
                format!("the {} does not listen", self.name()),
            )
        })
    }

    /// Log file of its stderr, which stays after its end.
    pub(crate) fn log(&self) -> Option<&Path> {
        self.log.as_ref().map(LogFile::path)
    }

    /// Names of all its variables, sorted.
    pub(crate) fn environment(&self) -> &[String] {
        &self.environment
    }

    /// Returns the exit error, if it has exited.
    pub(crate) fn ended(&mut self) -> Option<ExitError> {
        match self.handle.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(self.last_failure(Some(status))),
            Err(error) => Some(ExitError::new(
                ErrorCode::ChildLost,
                format!("cannot wait for the {}: {}", self.name(), error.kind()),
            )),
        }
    }

    /// Waits for its exit, without a timeout.
    pub(crate) async fn wait_end(&mut self) -> ExitError {
        let status = self.handle.wait().await.ok();
        self.last_failure(status)
    }

    /// Returns the newest cause that it recorded, of this call if its id is known.
    pub(crate) fn cause(&self, correlation_id: Option<&str>) -> Option<RefusalCause> {
        refusal_cause::newest(&self.run_file, self.pid, correlation_id)
    }

    fn last_failure(&self, status: Option<ExitStatus>) -> ExitError {
        last_failure(&self.run_file, self.pid, self.log(), self.name(), status)
    }

    /// Lets it drain and exit, or kills it.
    pub(crate) async fn stop(mut self) {
        if self.lifeline.take().is_none() {
            self.terminate();
        }
        if tokio::time::timeout(END_TIMEOUT, self.handle.wait())
            .await
            .is_err()
        {
            // The drain timeout has passed; an error here means that the process is already gone.
            let _ = self.handle.kill().await;
        }
        let _ = fs::remove_file(&self.run_file);
        refusal_cause::remove(&self.run_file, self.pid);
    }

    fn terminate(&self) {
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid.filter(|_| self.handle.id().is_some()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
}

pub(super) fn not_started(spec: &ChildSpec, error: &std::io::Error) -> ExitError {
    ExitError::new(
        ErrorCode::ChildNotStarted,
        format!("cannot start {}: {}", spec.binary, error.kind()),
    )
    .with_fix(binary::NOT_EXECUTABLE_FIX)
}

/// Returns the error with which a child ended, as it wrote it beside its run file.
pub(super) fn last_failure(
    own_run_file: &Path,
    pid: u32,
    log: Option<&Path>,
    name: &str,
    status: Option<ExitStatus>,
) -> ExitError {
    if let Some(signal) = status.and_then(|status| status.signal()) {
        return ExitError::new(
            ErrorCode::ChildKilled,
            format!("the {name} was killed by signal {signal}"),
        );
    }
    if let Some(error) = run_file::take_error(own_run_file, pid) {
        return error.of_process(name);
    }
    let hint = log.map_or_else(|| "its message above".to_owned(), |log| log.display().to_string());
    ExitError::new(ErrorCode::ChildEnded, format!("the {name} ended")).with_fix(format!("check {hint}"))
}
