//! The reader's side of the ledger: everything that is answered to a model is filed here first, and the answer
//! counts only if the ledger continues what this reader has seen of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use synapsor_chassis::grpc_channel::with_deadline;
use synapsor_chassis::grpc_server::MESSAGE_BYTES_MAX;
use synapsor_chassis::random;
use synapsor_chassis::trace_context::TraceParent;
use synapsor_domain::error::PublicError;
use synapsor_domain::signing::DsseEnvelope;
use synapsor_domain::trust::TrustFile;
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::call_record::Record;
use synapsor_proto::ledger::v1::intake_service_client::IntakeServiceClient;
use synapsor_proto::ledger::v1::transparency_service_client::TransparencyServiceClient;
use synapsor_proto::status::from_status;
use tokio::sync::Mutex;
use tonic::Status;
use tonic::transport::Channel;

use super::submission_queue::{SubmissionQueue, SubmissionResult};
use synapsor_anchors::pinned_checkpoint::{CheckpointPinFile, CheckpointStatus};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Digits of a reader process's part of its request ids.
const PROCESS_ID_DIGITS: usize = 32;
/// Answers may overtake each other while the log grows; more often than this they do not in a row.
const REFRESH_ATTEMPTS_MAX: usize = 8;

/// The ledger as one reader talks to it.
#[derive(Debug, Clone)]
pub struct IntakeClient {
    queue: SubmissionQueue,
    transparency: TransparencyServiceClient<Channel>,
    witness: CheckpointPinFile,
    ids: RequestIds,
    /// One look at the ledger's newest state at a time; it serves all calls that wait.
    looking: Arc<Mutex<()>>,
}

/// What became of a filed proposal.
#[derive(Debug, Clone)]
pub(crate) struct SubmittedCall {
    /// The proposal that is open now, as the ledger gave it.
    pub(crate) proposal: DsseEnvelope,
    pub(crate) repeated: bool,
    pub(crate) state: String,
}

/// Ids that no other process and no other request has. They ascend, so that the ledger files them side by side.
#[derive(Debug, Clone)]
struct RequestIds {
    process: Arc<str>,
    next: Arc<AtomicU64>,
}

impl RequestIds {
    fn new() -> Self {
        Self {
            process: random::hex_id(PROCESS_ID_DIGITS).into(),
            next: Arc::default(),
        }
    }

    fn next(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("{}-{number:016x}", self.process)
    }
}

/// What a call brings along to the ledger: the files it is judged by, and its place in a trace.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubmissionContext<'a> {
    pub(crate) trust: &'a TrustFile,
    pub(crate) trace: Option<&'a TraceParent>,
}

impl IntakeClient {
    /// Returns when this client can file nothing any more.
    pub async fn ended(&self) {
        self.queue.ended().await;
    }

    /// Within a runtime, which sends what is filed.
    pub fn new(channel: Channel, witness: CheckpointPinFile) -> Self {
        let intake = IntakeServiceClient::new(channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let transparency = TransparencyServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self {
            queue: SubmissionQueue::start(intake, witness.clone()),
            transparency,
            witness,
            ids: RequestIds::new(),
            looking: Arc::default(),
        }
    }

    /// Files a read that found its row.
    pub(crate) async fn record_read(
        &self,
        evidence: &DsseEnvelope,
        audit: Vec<u8>,
        filing: SubmissionContext<'_>,
    ) -> Result<(), PublicError> {
        let record = wire::ReadCall {
            evidence: Some(evidence.into()),
            audit,
        };
        self.file(Record::Read(record), filing).await.map(drop)
    }

    /// Files a call that was refused.
    pub(crate) async fn record_refusal(
        &self,
        audit: Vec<u8>,
        filing: SubmissionContext<'_>,
    ) -> Result<(), PublicError> {
        let record = Record::Failed(wire::FailedCall { audit });
        self.file(record, filing).await.map(drop)
    }

    /// Files a proposal with its evidence, all or nothing.
    pub(crate) async fn file_proposal(
        &self,
        proposal: &DsseEnvelope,
        evidence: &DsseEnvelope,
        audit: Vec<u8>,
        filing: SubmissionContext<'_>,
    ) -> Result<SubmittedCall, PublicError> {
        let record = wire::ProposalCall {
            proposal: Some(proposal.into()),
            evidence: Some(evidence.into()),
            audit,
        };
        let filed = self.file(Record::Proposal(record), filing).await?;
        let proposal = required("proposal", filed.proposal)?.try_into()?;
        Ok(SubmittedCall {
            proposal,
            repeated: filed.already_open,
            state: filed.state,
        })
    }

    async fn file(
        &self,
        record: Record,
        filing: SubmissionContext<'_>,
    ) -> Result<wire::SubmitAccepted, PublicError> {
        let answer = self
            .queue
            .file(wire::CallRecord {
                request_id: self.ids.next(),
                traceparent: filing.trace.map(ToString::to_string).unwrap_or_default(),
                record: Some(record),
            })
            .await?;
        self.verify_response(&answer, filing.trust).await?;
        Ok(answer.filed)
    }

    /// Asks for the ledger's newest state and for the proof that it continues the one remembered here.
    ///
    /// # Errors
    /// `LEDGER_UNAVAILABLE` if it does not answer or is not to be believed.
    pub async fn refresh_checkpoint(&self, trust: &TrustFile) -> Result<(), PublicError> {
        let _turn = self.looking.lock().await;
        self.look_once(trust).await
    }

    async fn look_once(&self, trust: &TrustFile) -> Result<(), PublicError> {
        for _ in 0..REFRESH_ATTEMPTS_MAX {
            let before = self.witness.seen();
            let request = wire::GetCheckpointRequest {
                known: Some((&before).into()),
                retired_at: Vec::new(),
            };
            let answer = self
                .transparency
                .clone()
                .get_checkpoint(with_deadline(request, CALL_TIMEOUT))
                .await;
            let answer = answer.map_err(|s| refused(&s))?.into_inner();
            let followed = self
                .witness
                .verify_response_checkpoint(&before, &answer.checkpoint, answer.consistency.as_slice(), trust)
                .map_err(|e| verification_failed(&e.to_string()))?;
            if followed == CheckpointStatus::Verified {
                return Ok(());
            }
        }
        Err(verification_failed("the ledger grows faster than it proves to"))
    }

    /// Believes an answer whose checkpoint is signed by the ledger and proven to have grown since the request was
    /// sent. A log that did not grow was rolled back: the request itself made it grow. The answer brings the proof
    /// along, except when other processes filed so much in between that none of its proofs fits; then it is
    /// asked for.
    async fn verify_response(&self, answer: &SubmissionResult, trust: &TrustFile) -> Result<(), PublicError> {
        let (before, note) = (&answer.before, &answer.checkpoint);
        let size = size_of(note).ok_or_else(|| verification_failed("the checkpoint does not read"))?;
        if size <= before.size {
            tracing::error!(seen = before.size, now = size, "the ledger was rolled back");
            return Err(verification_failed("the ledger is shorter than it was"));
        }
        let followed = self
            .witness
            .verify_response_checkpoint(before, note, &answer.consistency, trust)
            .map_err(|e| verification_failed(&e.to_string()))?;
        if let CheckpointStatus::Unproven { size } = followed {
            let _turn = self.looking.lock().await;
            if self.witness.seen().size < size {
                self.look_once(trust).await?;
            }
        }
        let kept = self.witness.keep().await;
        kept.map_err(|e| verification_failed(&e.to_string()))
    }
}

/// The size that a note states; whether it is signed is another question.
fn size_of(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}

/// Why nothing was filed at all.
pub(super) fn refused(status: &Status) -> PublicError {
    judged(from_status(status))
}

/// The ledger's own word where it is about the call; else that it is not available.
pub(super) fn judged(refusal: PublicError) -> PublicError {
    match refusal.code.as_ref() {
        "OPEN_PROPOSALS_EXCEEDED" | "SECRET_MATERIAL_REJECTED" => refusal,
        code => {
            let detail = format!(
                "{code}: {} {}",
                refusal.public,
                refusal.detail.as_deref().unwrap_or_default()
            );
            unavailable(detail)
        }
    }
}

fn verification_failed(why: &str) -> PublicError {
    tracing::error!(why, "the ledger is not believed; nothing is answered until it is");
    unavailable(why.to_owned())
}

pub(super) fn unavailable(detail: String) -> PublicError {
    PublicError::new(
        "LEDGER_UNAVAILABLE",
        "The ledger cannot take the record of this call.",
    )
    .with_detail(detail)
}
