//! The one road of a reader's calls to the ledger. One request is under way at a time, and what comes meanwhile goes
//! together in the next, so that a busy reader asks less often than it is called. What the answers are worth is judged
//! elsewhere.

use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::grpc_channel::with_deadline;
use synapsor_domain::error::PublicError;
use synapsor_domain::log::PinnedCheckpoint;
use synapsor_proto::common::v1::ConsistencyProof;
use synapsor_proto::ledger::v1::intake_service_client::IntakeServiceClient;
use synapsor_proto::ledger::v1::{CallRecord, SubmitAccepted, SubmitRequest, call_record, submit_outcome};
use tokio::sync::{mpsc, oneshot};
use tonic::transport::Channel;

use super::intake::{refused, unavailable};
use synapsor_anchors::pinned_checkpoint::CheckpointPinFile;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Filings of one request.
const FILINGS_MAX: usize = 64;
/// Bytes of one request; a single filing may be larger, up to what a message may have.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Filings that may wait; more make their calls wait.
const QUEUE_MAX: usize = 256;

/// Where calls put what they file.
#[derive(Debug, Clone)]
pub(super) struct SubmissionQueue(mpsc::Sender<PendingSubmission>);

#[derive(Debug)]
struct PendingSubmission {
    filing: CallRecord,
    answer: oneshot::Sender<Result<SubmissionResult, PublicError>>,
}

/// What the ledger says of one filing, and of its log after all filings of the request.
#[derive(Debug)]
pub(super) struct SubmissionResult {
    /// What had been seen of the log when the request was sent.
    pub(super) before: PinnedCheckpoint,
    pub(super) filed: SubmitAccepted,
    pub(super) checkpoint: Arc<str>,
    pub(super) consistency: Arc<[ConsistencyProof]>,
}

impl SubmissionQueue {
    /// Begins to serve; ends when the last clone is dropped.
    pub(super) fn start(intake: IntakeServiceClient<Channel>, witness: CheckpointPinFile) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(serve(queue, intake, witness));
        Self(sender)
    }

    /// Returns when nothing is sent any more: the task that did has panicked.
    pub(super) async fn ended(&self) {
        self.0.closed().await;
    }

    /// Files and waits for the answer. A call that ends before its filing was sent leaves nothing behind.
    ///
    /// # Errors
    /// The ledger's refusal, or that it cannot be reached.
    pub(super) async fn file(&self, filing: CallRecord) -> Result<SubmissionResult, PublicError> {
        let ended = || unavailable("the road to the ledger is closed".to_owned());
        let (answer, answered) = oneshot::channel();
        let waiting = PendingSubmission { filing, answer };
        self.0.send(waiting).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

async fn serve(
    mut queue: mpsc::Receiver<PendingSubmission>,
    mut intake: IntakeServiceClient<Channel>,
    witness: CheckpointPinFile,
) {
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(first) => first,
            None => match queue.recv().await {
                Some(first) => first,
                None => return,
            },
        };
        // Calls that are about to file get there first.
        tokio::task::yield_now().await;
        let mut bytes = size_of(&first.filing);
        let mut batch = vec![first];
        while batch.len() < FILINGS_MAX
            && let Ok(waiting) = queue.try_recv()
        {
            bytes += size_of(&waiting.filing);
            if bytes > REQUEST_BYTES_MAX {
                next = Some(waiting);
                break;
            }
            batch.push(waiting);
        }
        batch.retain(|waiting| !waiting.answer.is_closed());
        if !batch.is_empty() {
            send(&mut intake, &witness.seen(), batch).await;
        }
    }
}

async fn send(
    intake: &mut IntakeServiceClient<Channel>,
    before: &PinnedCheckpoint,
    batch: Vec<PendingSubmission>,
) {
    let (filings, callers): (Vec<_>, Vec<_>) = batch.into_iter().map(|w| (w.filing, w.answer)).unzip();
    let request = SubmitRequest {
        records: filings,
        known: Some(before.into()),
    };
    let sent = intake.submit(with_deadline(request, CALL_TIMEOUT)).await;
    let answer = sent.map_err(|status| refused(&status)).and_then(|answer| {
        let answer = answer.into_inner();
        if answer.outcomes.len() == callers.len() {
            Ok(answer)
        } else {
            Err(unavailable("the ledger did not answer every filing".to_owned()))
        }
    });
    let answer = match answer {
        Ok(answer) => answer,
        Err(refusal) => {
            for caller in callers {
                // A caller that has gone needs no answer.
                let _ = caller.send(Err(refusal.clone()));
            }
            return;
        }
    };
    let checkpoint: Arc<str> = answer.checkpoint.into();
    let consistency: Arc<[ConsistencyProof]> = answer.consistency.into();
    for (caller, outcome) in callers.into_iter().zip(answer.outcomes) {
        let answer = match outcome.outcome {
            Some(submit_outcome::Outcome::Accepted(filed)) => Ok(SubmissionResult {
                before: before.clone(),
                filed,
                checkpoint: checkpoint.clone(),
                consistency: consistency.clone(),
            }),
            Some(submit_outcome::Outcome::Error(no)) => {
                Err(super::intake::judged(PublicError::from_peer(no.code, no.message)))
            }
            None => Err(unavailable("the ledger gave no outcome".to_owned())),
        };
        let _ = caller.send(answer);
    }
}

/// Bytes of what a filing carries; what frames it is small.
fn size_of(filing: &CallRecord) -> usize {
    let signed = |signed: &Option<synapsor_proto::common::v1::DsseEnvelope>| {
        signed.as_ref().map_or(0, |signed| signed.payload.len())
    };
    match &filing.record {
        Some(call_record::Record::Read(read)) => signed(&read.evidence) + read.audit.len(),
        Some(call_record::Record::Failed(refusal)) => refusal.audit.len(),
        Some(call_record::Record::Proposal(filed)) => {
            signed(&filed.proposal) + signed(&filed.evidence) + filed.audit.len()
        }
        None => 0,
    }
}
