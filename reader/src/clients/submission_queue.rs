//! Queue that batches the reader's submissions to the ledger. One request is in flight; submissions that arrive
//! meanwhile share the next one, so that a busy reader sends fewer requests than it receives. Responses are
//! verified elsewhere.

use std::sync::Arc;
use std::time::Duration;

use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::with_deadline;
use synapsor_domain::error::PublicError;
use synapsor_domain::log::PinnedCheckpoint;
use synapsor_domain::signing::{self, SigningKey};
use synapsor_proto::common::v1::ConsistencyProof;
use synapsor_proto::ledger::v1::intake_service_client::IntakeServiceClient;
use synapsor_proto::ledger::v1::{CallRecord, SubmitAccepted, SubmitRequest, call_record, submit_outcome};
use tokio::sync::{mpsc, oneshot};

use super::intake::{refused, unavailable};
use synapsor_anchors::pinned_checkpoint::CheckpointPinFile;

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Submissions per request; one signature covers the evidence of all of them.
const SUBMISSIONS_MAX: usize = signing::BATCH_OBJECTS_MAX;
/// Size of one request, in bytes; a single submission may be larger, up to the maximum message size.
const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Submissions that may wait; further calls block.
const QUEUE_MAX: usize = 256;

/// Queue that calls submit to.
#[derive(Debug, Clone)]
pub(super) struct SubmissionQueue(mpsc::Sender<PendingSubmission>);

#[derive(Debug)]
struct PendingSubmission {
    record: CallRecord,
    answer: oneshot::Sender<Result<SubmissionResult, PublicError>>,
}

/// The ledger's result of one submission, and its checkpoint after all submissions of the request.
#[derive(Debug)]
pub(super) struct SubmissionResult {
    /// Pinned checkpoint when the request was sent.
    pub(super) before: PinnedCheckpoint,
    pub(super) submitted: SubmitAccepted,
    pub(super) checkpoint: Arc<str>,
    pub(super) consistency: Arc<[ConsistencyProof]>,
}

impl SubmissionQueue {
    /// Starts the queue; it ends when the last clone is dropped.
    pub(super) fn start(
        intake: IntakeServiceClient<Channel>,
        pinned: CheckpointPinFile,
        key: Arc<SigningKey>,
    ) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(serve(queue, intake, pinned, key));
        Self(sender)
    }

    /// Returns when nothing is sent any longer: the sending task has panicked.
    pub(super) async fn ended(&self) {
        self.0.closed().await;
    }

    /// Submits and waits for the response. A call that ends before its submission was sent has no effect.
    ///
    /// # Errors
    /// The ledger's rejection, or that the ledger is unreachable.
    pub(super) async fn submit(&self, record: CallRecord) -> Result<SubmissionResult, PublicError> {
        let ended = || unavailable("submission queue closed".to_owned());
        let (answer, answered) = oneshot::channel();
        let waiting = PendingSubmission { record, answer };
        self.0.send(waiting).await.map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

async fn serve(
    mut queue: mpsc::Receiver<PendingSubmission>,
    mut intake: IntakeServiceClient<Channel>,
    pinned: CheckpointPinFile,
    key: Arc<SigningKey>,
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
        // Lets calls that are about to submit join the batch.
        tokio::task::yield_now().await;
        let mut bytes = size_of(&first.record);
        let mut batch = vec![first];
        while batch.len() < SUBMISSIONS_MAX
            && let Ok(waiting) = queue.try_recv()
        {
            bytes += size_of(&waiting.record);
            if bytes > REQUEST_BYTES_MAX {
                next = Some(waiting);
                break;
            }
            batch.push(waiting);
        }
        batch.retain(|waiting| !waiting.answer.is_closed());
        if !batch.is_empty() {
            send(&mut intake, &pinned.seen(), batch, &key).await;
        }
    }
}

async fn send(
    intake: &mut IntakeServiceClient<Channel>,
    before: &PinnedCheckpoint,
    batch: Vec<PendingSubmission>,
    key: &SigningKey,
) {
    let (mut records, callers): (Vec<_>, Vec<_>) = batch.into_iter().map(|w| (w.record, w.answer)).unzip();
    sign_evidence_of(&mut records, key);
    let request = SubmitRequest {
        records,
        known: Some(before.into()),
    };
    let sent = intake.submit(with_deadline(request, CALL_TIMEOUT)).await;
    let answer = sent.map_err(|status| refused(&status)).and_then(|answer| {
        let answer = answer.into_inner();
        if answer.outcomes.len() == callers.len() {
            Ok(answer)
        } else {
            Err(unavailable(
                "the ledger did not answer every submission".to_owned(),
            ))
        }
    });
    let answer = match answer {
        Ok(answer) => answer,
        Err(refusal) => {
            for caller in callers {
                // A caller that has gone needs no response.
                let _ = caller.send(Err(refusal.clone()));
            }
            return;
        }
    };
    let checkpoint: Arc<str> = answer.checkpoint.into();
    let consistency: Arc<[ConsistencyProof]> = answer.consistency.into();
    for (caller, outcome) in callers.into_iter().zip(answer.outcomes) {
        let answer = match outcome.outcome {
            Some(submit_outcome::Outcome::Accepted(submitted)) => Ok(SubmissionResult {
                before: before.clone(),
                submitted,
                checkpoint: checkpoint.clone(),
                consistency: consistency.clone(),
            }),
            Some(submit_outcome::Outcome::Error(no)) => Err(super::intake::judged(
                synapsor_proto::status::from_wire(&no.code, no.message),
            )),
            None => Err(unavailable("the ledger returned no outcome".to_owned())),
        };
        let _ = caller.send(answer);
    }
}

/// Signs all evidence of a request at once.
fn sign_evidence_of(records: &mut [CallRecord], key: &SigningKey) {
    let evidence = records.iter_mut().filter_map(|record| match &mut record.record {
        Some(call_record::Record::Read(read)) => read.evidence.as_mut(),
        Some(call_record::Record::Proposal(submitted)) => submitted.evidence.as_mut(),
        Some(call_record::Record::Failed(_)) | None => None,
    });
    let mut unsigned: Vec<_> = evidence.collect();
    let payloads = unsigned
        .iter_mut()
        .map(|evidence| std::mem::take(&mut evidence.payload));
    let signed = signing::sign_evidence(payloads.collect(), key);
    for (evidence, signed) in unsigned.into_iter().zip(signed) {
        *evidence = signed.into();
    }
}

/// Payload size of a submission, in bytes; its framing is small.
fn size_of(record: &CallRecord) -> usize {
    let signed = |signed: &Option<synapsor_proto::common::v1::DsseEnvelope>| {
        signed.as_ref().map_or(0, |signed| signed.payload.len())
    };
    match &record.record {
        Some(call_record::Record::Read(read)) => signed(&read.evidence) + read.audit.len(),
        Some(call_record::Record::Failed(refusal)) => refusal.audit.len(),
        Some(call_record::Record::Proposal(submitted)) => {
            signed(&submitted.proposal) + signed(&submitted.evidence) + submitted.audit.len()
        }
        None => 0,
    }
}
