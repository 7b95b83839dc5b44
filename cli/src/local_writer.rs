//! Finds the writers of the local state directory, or starts one for a command: a state directory has only one.

use std::time::{Duration, Instant};

use synapsor_chassis::grpc_channel::{self, Endpoint};
use synapsor_chassis::identity::Role;
use synapsor_chassis::run::ExitError;
use synapsor_chassis::run_file::RunFile;
use synapsor_chassis::tls::TlsMaterial;
use synapsor_codes::ErrorCode;

use crate::connection::{ServiceChannel, link, no_writer};
use crate::state::StateDir;
use crate::supervisor::{
    Child, ExecutorLaunch, Process, RunningLedger, StartPacing, Supervisor, missing, requirements,
};
use crate::{Context, contract_file};

const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout for another writer of the state directory to serve or to exit.
const OTHER_WRITER: Duration = Duration::from_secs(15);
const OTHER_WRITER_PAUSE: Duration = Duration::from_millis(100);

/// Writers of a state directory.
#[derive(Debug)]
pub(crate) struct WriterSearch<T> {
    pub(crate) running: Vec<T>,
    /// Why a writer that runs does not respond.
    silence: Option<ExitError>,
}

impl<T> Default for WriterSearch<T> {
    fn default() -> Self {
        Self {
            running: Vec::new(),
            silence: None,
        }
    }
}

/// Returns running writers of this state directory, at most `limit`.
pub(crate) async fn running(
    state: &StateDir,
    tls: &TlsMaterial,
    limit: usize,
) -> Result<WriterSearch<ServiceChannel>, ExitError> {
    let mut search = WriterSearch::default();
    let Ok(entries) = std::fs::read_dir(state.run_dir()) else {
        return Ok(search);
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(instance) = name
            .strip_prefix("writer-")
            .and_then(|rest| rest.strip_suffix(".json"))
        else {
            continue;
        };
        let Some(address) = RunFile::read(&entry.path())
            .filter(RunFile::is_alive)
            .and_then(|f| f.address)
        else {
            // A killed writer leaves its run file behind.
            let _ = std::fs::remove_file(entry.path());
            continue;
        };
        let target = Endpoint::new(Role::Writer, address.to_string()).of_instance(instance);
        let found = link(tls, target)?;
        match grpc_channel::check_health(&found.channel, &found.target, PROBE_TIMEOUT).await {
            Ok(()) => search.running.push(found),
            Err(failure) => search.silence = search.silence.or(Some(failure)),
        }
        if search.running.len() == limit {
            break;
        }
    }
    Ok(search)
}

/// Starts a writer, or finds one that another command started at the same time.
pub(crate) async fn start_or_find(
    context: &Context,
    state: &StateDir,
    ledger: &RunningLedger,
    tls: &TlsMaterial,
) -> Result<(Option<Child>, ServiceChannel), ExitError> {
    let begin = Instant::now();
    let pause = async || {
        tokio::time::sleep(OTHER_WRITER_PAUSE).await;
        begin.elapsed()
    };
    let start = async || start(context, state, ledger, tls).await;
    let find = async || running(state, tls, 1).await;
    match start_or_find_by(start, find, pause).await? {
        StartedOrFound::Started((child, link)) => Ok((Some(child), link)),
        StartedOrFound::Found(link) => Ok((None, link)),
    }
}

/// Result of [`start_or_find_by`].
#[derive(Debug, PartialEq, Eq)]
enum StartedOrFound<S, F> {
    Started(S),
    Found(F),
}

/// `pause` returns the time since the begin. Starts again only after a growing time, and not while another writer runs,
/// responding or not: each start would fail, and the reason why that writer does not respond is the one to report.
async fn start_or_find_by<S, F>(
    start: impl AsyncFn() -> Result<S, ExitError>,
    find: impl AsyncFn() -> Result<WriterSearch<F>, ExitError>,
    pause: impl AsyncFn() -> Duration,
) -> Result<StartedOrFound<S, F>, ExitError> {
    let (mut elapsed, mut pacing) = (Duration::ZERO, StartPacing::default());
    let (mut in_use, mut silence) = (None, None);
    loop {
        if silence.is_none() && pacing.take(elapsed) {
            match start().await {
                Ok(started) => return Ok(StartedOrFound::Started(started)),
                Err(failure) if failure.code() == ErrorCode::StateDirInUse => in_use = Some(failure),
                Err(failure) => return Err(failure),
            }
        }
        let search = find().await?;
        if let Some(found) = search.running.into_iter().next() {
            return Ok(StartedOrFound::Found(found));
        }
        silence = search.silence;
        if elapsed >= OTHER_WRITER
            && let Some(failure) = silence.take().or(in_use.take())
        {
            return Err(failure);
        }
        elapsed = pause().await;
    }
}

async fn start(
    context: &Context,
    state: &StateDir,
    ledger: &RunningLedger,
    tls: &TlsMaterial,
) -> Result<(Child, ServiceChannel), ExitError> {
    let contract = contract_file::load_runnable(&context.global)?;
    let missing = missing(&context.env, requirements(Process::Writer, &contract.contract))?;
    if let Some(first) = missing.first() {
        let text = format!(
            "no local writer is running, and none can be started: {} is not set",
            first.name
        );
        return Err(no_writer(text).with_fix(format!(
            "run `synapsor-runner up` where {} is set, or here: export {}={}",
            first.name, first.name, first.example
        )));
    }
    let supervisor = Supervisor::new(context, state, &contract)?;
    let child = supervisor.executor(ExecutorLaunch::writer(ledger)).await?;
    let target =
        Endpoint::new(Role::Writer, child.address()?.to_string()).of_instance(supervisor.instance.id());
    let link = link(tls, target)?;
    Ok((child, link))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn in_use() -> ExitError {
        ExitError::new(
            ErrorCode::StateDirInUse,
            "state directory in use by another writer",
        )
    }

    fn found(running: &[u8], silence: Option<ExitError>) -> Result<WriterSearch<u8>, ExitError> {
        let running = running.to_vec();
        Ok(WriterSearch { running, silence })
    }

    /// Time that passes without waiting.
    fn clock() -> impl AsyncFn() -> Duration {
        let elapsed = Cell::new(Duration::ZERO);
        async move || {
            elapsed.set(elapsed.get() + OTHER_WRITER_PAUSE);
            elapsed.get()
        }
    }

    #[tokio::test]
    async fn silent_writer_is_reported_after_one_start() {
        let starts = Cell::new(0);
        let start = async || {
            starts.set(starts.get() + 1);
            Err::<(), _>(in_use())
        };
        let ended = || ExitError::new(ErrorCode::Unreachable, "its certificate ended");
        let find = async || found(&[], Some(ended()));
        assert_eq!(start_or_find_by(start, find, clock()).await, Err(ended()));
        assert_eq!(starts.get(), 1);
    }

    #[tokio::test]
    async fn writer_is_started_a_few_times_while_none_is_found() {
        let starts = Cell::new(0);
        let start = async || {
            starts.set(starts.get() + 1);
            Err::<(), _>(in_use())
        };
        let find = async || found(&[], None);
        assert_eq!(start_or_find_by(start, find, clock()).await, Err(in_use()));
        assert!((2..8).contains(&starts.get()), "{}", starts.get());
    }

    #[tokio::test]
    async fn writer_of_another_command_is_found_or_replaced() {
        let start = async || Err::<(), _>(in_use());
        let find = async || found(&[7], None);
        let outcome = start_or_find_by(start, find, clock()).await;
        assert_eq!(outcome, Ok(StartedOrFound::Found(7)));
        let ended = Cell::new(false);
        let start = async || ended.get().then_some(1).ok_or_else(in_use);
        let find = async || {
            ended.set(true);
            found(&[], None)
        };
        let outcome = start_or_find_by(start, find, clock()).await;
        assert_eq!(outcome, Ok(StartedOrFound::Started(1)));
    }
}
