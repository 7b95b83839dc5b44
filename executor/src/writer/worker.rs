//! Pulls jobs: one lease stream, bounded concurrent attempts, reconnects with backoff, drains at shutdown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::retry::RetryPolicy;
use synapsor_chassis::{grpc_channel, random};
use synapsor_domain::error::PublicError;
use synapsor_domain::log::Checkpoint;
use synapsor_proto::status::from_status;
use synapsor_writeback::KnownReceipt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::writer::attempt;
use crate::writer::attempt::source::{self, AtSource};
use crate::writer::leased_sources::LeasedSources;
use crate::writer::ledger::client::{Capacity, LeaseMessage, LeasedJob};
use crate::writer::receipts::orders::digest_of;
use crate::writer::stops::{freeze, reject};
use crate::writer::{Writer, unusable_trust};

/// Maximum time for running attempts to end after the process is stopped.
const DRAIN: Duration = Duration::from_secs(25);
/// Unfinished jobs of one source that a stream may deliver: those at the database, and as many again that wait
/// for a lock, or are being announced or reported.
const JOBS_PER_SOURCE: usize = 24;
/// Maximum number of jobs in this process; jobs that a ledger sends beyond the requested number wait in its
/// stream.
const JOBS_MAX: usize = 64 * JOBS_PER_SOURCE;

/// Limits on the jobs in this process.
struct WorkerLimits {
    job_permits: Arc<Semaphore>,
    sources: BTreeMap<String, Arc<AtSource>>,
}

/// Works until stopped.
pub(crate) async fn run(writer: Arc<Writer>, stop: CancellationToken) {
    let limits = WorkerLimits {
        job_permits: Arc::new(Semaphore::new(JOBS_MAX)),
        sources: source::all(&writer),
    };
    let mut attempts = JoinSet::new();
    let backoff = RetryPolicy::default().backoff;
    let mut failures: u32 = 0;
    let mut durable = writer.switches.durable();
    while !stop.is_cancelled() {
        // A switch that is not durable is a stop that a restart would lose: the writer takes no work until it is
        // durable.
        tokio::select! {
            () = stop.cancelled() => break,
            is_durable = durable.wait_for(|is_durable| *is_durable) => if is_durable.is_err() { break },
        }
        let streamed = tokio::select! {
            () = stop.cancelled() => break,
            streamed = stream(&writer, &limits, &mut attempts, &stop) => streamed,
        };
        match streamed {
            Ok(()) => failures = 0,
            Err(end) => {
                failures += 1;
                end.log();
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(backoff.pause(failures.saturating_sub(1), random::number())) => {}
        }
    }
    let drained = async { while attempts.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!("shutdown timeout with attempts running; they are reconciled at the next start");
    }
}

/// End of a stream by an error.
enum StreamEnd {
    /// It was open, and its connection ended: at the end of a certificate, or with the ledger. If the ledger stays
    /// unreachable, the next stream is not opened.
    Disconnected,
    /// It was open, and the ledger or a check of this process ended it, or it was not opened.
    Failed(PublicError),
}

impl StreamEnd {
    fn of(status: &tonic::Status) -> Self {
        if grpc_channel::is_unreachable(status) {
            return Self::Disconnected;
        }
        Self::Failed(from_status(status))
    }

    fn log(&self) {
        match self {
            Self::Disconnected => tracing::info!("connection of the lease stream ended; opening another one"),
            Self::Failed(refusal) => {
                tracing::warn!(code = %refusal.code, "lease stream not open: {}", refusal.public);
            }
        }
    }
}

impl From<PublicError> for StreamEnd {
    fn from(refusal: PublicError) -> Self {
        Self::Failed(refusal)
    }
}

/// Handles one stream from opening to end.
async fn stream(
    writer: &Arc<Writer>,
    limits: &WorkerLimits,
    attempts: &mut JoinSet<()>,
    stop: &CancellationToken,
) -> Result<(), StreamEnd> {
    let (_, trust_digest) = (writer.trust)()?;
    // Switches in force are applied before the first job.
    let in_force = writer.ledger.switches().await?;
    freeze::apply_sent(writer, in_force).await;
    let seals = writer
        .contract
        .capabilities()
        .iter()
        .map(|c| c.contract_digest(&writer.contract).to_string())
        .collect();
    let sources = LeasedSources::of(writer.core.databases());
    let capacity = (JOBS_PER_SOURCE * sources.names().len()).clamp(1, JOBS_MAX);
    let capacity = Capacity {
        all: u32::try_from(capacity).unwrap_or(1),
        per_source: u32::try_from(JOBS_PER_SOURCE).unwrap_or(1),
    };
    let mut jobs = writer
        .ledger
        .lease(
            sources.names().to_vec(),
            capacity,
            trust_digest.to_string(),
            seals,
        )
        .await?;
    tracing::info!("lease stream open");
    let mut durable = writer.switches.durable();
    let mut another_opens = std::pin::pin!(sources.another_opens());
    loop {
        let next = tokio::select! {
            // The next stream names the opened source too.
            () = &mut another_opens => return Ok(()),
            next = jobs.message() => next.map_err(|status| StreamEnd::of(&status))?,
            _ = durable.wait_for(|is_durable| !is_durable) => {
                writer.switches.check_durable()?;
                continue;
            }
        };
        let Some(answer) = next else { return Ok(()) };
        writer.ledger.learn_time(answer.ledger_now_ms);
        let message = match LeaseMessage::try_from(answer) {
            Ok(message) => message,
            Err(refusal) => {
                tracing::error!(code = %refusal.code, "malformed job: {}", refusal.public);
                continue;
            }
        };
        // Stops are applied before the job that comes with them.
        for (proposal, decision) in message.stops.rejections {
            reject::apply_sent(writer, proposal, &decision).await;
        }
        freeze::apply_sent(writer, message.stops.switches).await;
        let Some(job) = message.job else { continue };
        freeze::apply_sent(writer, job.switches.clone()).await;
        take_newest_receipt(writer, &job);
        // In the order of arrival, so that the pinned checkpoint only moves forward.
        let checkpoint = verify_checkpoint(writer, &job);
        let Ok(permit) = Arc::clone(&limits.job_permits).acquire_owned().await else {
            return Ok(());
        };
        let (writer, at) = (Arc::clone(writer), limits.sources.get(&job.source).cloned());
        let stop = stop.clone();
        attempts.spawn(async move {
            let remembered = writer.ledger.persist_checkpoint().await;
            let checkpoint = checkpoint.and_then(|checkpoint| remembered.map(|()| checkpoint));
            attempt::run(&writer, job, checkpoint, at.as_deref(), &stop).await;
            drop(permit);
        });
        while attempts.try_join_next().is_some() {}
    }
}

/// Takes the newest receipt of a job's source, which the source must hold. One without a valid writer signature
/// proves nothing.
fn take_newest_receipt(writer: &Writer, job: &LeasedJob) {
    let Some(envelope) = &job.newest_receipt else {
        return;
    };
    let known = writer.core.known();
    if known.has(&job.source, digest_of(envelope)) {
        return;
    }
    let verified = (writer.trust)().and_then(|(trust, _)| KnownReceipt::verify(envelope, &trust));
    match verified {
        Ok(newest) => known.show(&job.source, newest),
        Err(refusal) => {
            tracing::warn!(source = job.source, code = %refusal.code, "newest receipt failed verification: {}", refusal.public);
        }
    }
}

fn verify_checkpoint(writer: &Writer, job: &LeasedJob) -> Result<Checkpoint, PublicError> {
    let (trust, _) = (writer.trust)().map_err(|refusal| unusable_trust(&refusal))?;
    writer.ledger.accept(job, &trust)
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    #[test]
    fn end_of_a_connection_is_no_failure_of_the_stream() {
        let aborted = std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
        let ended = StreamEnd::of(&Status::from_error(Box::new(aborted)));
        assert!(matches!(ended, StreamEnd::Disconnected));
        let rejected = StreamEnd::of(&Status::unavailable("the ledger stops"));
        assert!(matches!(rejected, StreamEnd::Failed(_)));
    }
}
