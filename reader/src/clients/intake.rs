//! The reader's client of the ledger: each response to an agent is submitted here first, and counts only if the
//! ledger's log continues this reader's pinned checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use synapsor_chassis::grpc_channel::Channel;
use synapsor_chassis::grpc_channel::with_deadline;
use synapsor_chassis::grpc_server::MESSAGE_BYTES_MAX;
use synapsor_chassis::random;
use synapsor_chassis::trace_context::TraceParent;
use synapsor_codes::ErrorCode;
use synapsor_domain::error::PublicError;
use synapsor_domain::proposal::ProposalState;
use synapsor_domain::signing::{DsseEnvelope, ObjectKind, SigningKey};
use synapsor_domain::trust::TrustFile;
use synapsor_proto::common::v1 as common;
use synapsor_proto::convert::required;
use synapsor_proto::ledger::v1 as wire;
use synapsor_proto::ledger::v1::call_record::Record;
use synapsor_proto::ledger::v1::intake_service_client::IntakeServiceClient;
use synapsor_proto::ledger::v1::transparency_service_client::TransparencyServiceClient;
use synapsor_proto::status::from_status;
use tokio::sync::Mutex;
use tonic::Status;

use super::submission_queue::{SubmissionQueue, SubmissionResult};
use synapsor_anchors::pinned_checkpoint::{CheckpointPinFile, CheckpointStatus};

const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Digits of a request id that identify the reader process.
const PROCESS_ID_DIGITS: usize = 32;
const CONTINUITY_FIX: &str = "restore the newest copy of the ledger's store; for a local stack, \
    `synapsor-runner store reset --yes` discards its history instead";
/// Maximum number of consecutive refreshes that a growing log may overtake.
const REFRESH_ATTEMPTS_MAX: usize = 8;

/// Ledger client of one reader.
#[derive(Debug, Clone)]
pub struct IntakeClient {
    queue: SubmissionQueue,
    transparency: TransparencyServiceClient<Channel>,
    pinned: CheckpointPinFile,
    ids: RequestIds,
    /// Serializes refreshes of the checkpoint; one refresh serves all waiting calls.
    looking: Arc<Mutex<()>>,
}

/// Result of a submitted proposal.
#[derive(Debug, Clone)]
pub(crate) struct SubmittedCall {
    /// The proposal that is open now, as the ledger returned it.
    pub(crate) proposal: DsseEnvelope,
    pub(crate) repeated: bool,
    pub(crate) state: ProposalState,
}

/// Ids unique across processes and requests. They ascend, so that the ledger stores them adjacently.
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

/// Context of a call to the ledger: the files that verify it, and its trace position.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubmissionContext<'a> {
    pub(crate) trust: &'a TrustFile,
    pub(crate) trace: Option<&'a TraceParent>,
}

impl IntakeClient {
    /// Returns when this client can submit no more.
    pub async fn ended(&self) {
        self.queue.ended().await;
    }

    /// Must run within a runtime, which sends the submissions. `key` signs the evidence in them.
    pub fn new(channel: Channel, pinned: CheckpointPinFile, key: Arc<SigningKey>) -> Self {
        let intake = IntakeServiceClient::new(channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let transparency = TransparencyServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Self {
            queue: SubmissionQueue::start(intake, pinned.clone(), key),
            transparency,
            pinned,
            ids: RequestIds::new(),
            looking: Arc::default(),
        }
    }

    /// Submits a read that found its row, with its evidence in canonical form.
    pub(crate) async fn record_read(
        &self,
        evidence: Vec<u8>,
        audit: Vec<u8>,
        submission: SubmissionContext<'_>,
    ) -> Result<(), PublicError> {
        let record = wire::ReadCall {
            evidence: Some(unsigned(evidence)),
            audit,
        };
        self.submit(Record::Read(record), submission).await.map(drop)
    }

    /// Submits a rejected call.
    pub(crate) async fn record_refusal(
        &self,
        audit: Vec<u8>,
        submission: SubmissionContext<'_>,
    ) -> Result<(), PublicError> {
        let record = Record::Failed(wire::FailedCall { audit });
        self.submit(record, submission).await.map(drop)
    }

    /// Submits a proposal with its evidence in canonical form, all or nothing.
    pub(crate) async fn submit_proposal(
        &self,
        proposal: &DsseEnvelope,
        evidence: Vec<u8>,
        audit: Vec<u8>,
        submission: SubmissionContext<'_>,
    ) -> Result<SubmittedCall, PublicError> {
        let record = wire::ProposalCall {
            proposal: Some(proposal.into()),
            evidence: Some(unsigned(evidence)),
            audit,
        };
        let submitted = self.submit(Record::Proposal(record), submission).await?;
        let state = submitted.state().try_into()?;
        let proposal = required("proposal", submitted.proposal)?.try_into()?;
        Ok(SubmittedCall {
            proposal,
            repeated: submitted.already_open,
            state,
        })
    }

    async fn submit(
        &self,
        record: Record,
        submission: SubmissionContext<'_>,
    ) -> Result<wire::SubmitAccepted, PublicError> {
        let answer = self
            .queue
            .submit(wire::CallRecord {
                request_id: self.ids.next(),
                traceparent: submission.trace.map(ToString::to_string).unwrap_or_default(),
                record: Some(record),
            })
            .await?;
        self.verify_response(&answer, submission.trust).await?;
        Ok(answer.submitted)
    }

    /// Requests the ledger's newest checkpoint and the proof that it continues the pinned one.
    ///
    /// # Errors
    /// `LEDGER_UNAVAILABLE` if the ledger does not answer or fails verification.
    pub async fn refresh_checkpoint(&self, trust: &TrustFile) -> Result<(), PublicError> {
        let _turn = self.looking.lock().await;
        self.refresh_once(trust).await
    }

    async fn refresh_once(&self, trust: &TrustFile) -> Result<(), PublicError> {
        for _ in 0..REFRESH_ATTEMPTS_MAX {
            let before = self.pinned.seen();
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
                .pinned
                .verify_response_checkpoint(&before, &answer.checkpoint, answer.consistency.as_slice(), trust)
                .map_err(|e| verification_failed(&e.to_string()))?;
            if followed == CheckpointStatus::Verified {
                return Ok(());
            }
        }
        Err(verification_failed(
            "no consistency proof obtained: the log grew on every retry",
        ))
    }

    /// Accepts a response whose checkpoint the ledger signed and whose log provably grew since the request was
    /// sent. A log that did not grow was rolled back: the request itself made it grow. The response includes the
    /// proof, unless other processes submitted so much in between that none of its proofs fits; then the reader
    /// requests it.
    async fn verify_response(&self, answer: &SubmissionResult, trust: &TrustFile) -> Result<(), PublicError> {
        let (before, note) = (&answer.before, &answer.checkpoint);
        let size = size_of(note).ok_or_else(|| verification_failed("invalid checkpoint"))?;
        if size <= before.size {
            tracing::error!(seen = before.size, now = size, "ledger rollback");
            return Err(verification_failed(
                "ledger rollback: the log is smaller than before",
            ));
        }
        let followed = self
            .pinned
            .verify_response_checkpoint(before, note, &answer.consistency, trust)
            .map_err(|e| verification_failed(&e.to_string()))?;
        if let CheckpointStatus::Unproven { size } = followed {
            let _turn = self.looking.lock().await;
            if self.pinned.seen().size < size {
                self.refresh_once(trust).await?;
            }
        }
        let kept = self.pinned.keep().await;
        kept.map_err(not_kept)
    }
}

/// Returns evidence for the queue, which signs it together with the other evidence of its request.
fn unsigned(payload: Vec<u8>) -> common::DsseEnvelope {
    common::DsseEnvelope {
        payload_type: ObjectKind::Evidence.payload_type().to_owned(),
        payload,
        signatures: Vec::new(),
    }
}

/// Returns the tree size that a note states, without verifying its signature.
fn size_of(note: &str) -> Option<u64> {
    note.lines().nth(1)?.parse().ok()
}

/// Reason why nothing was submitted.
pub(super) fn refused(status: &Status) -> PublicError {
    judged(from_status(status))
}

/// Returns the ledger's own error if it concerns the call; else reports the ledger as unavailable.
pub(super) fn judged(refusal: PublicError) -> PublicError {
    match refusal.code {
        ErrorCode::OpenProposalsExceeded | ErrorCode::SecretMaterialRejected => refusal,
        ErrorCode::LedgerRolledBack => verification_failed(&refusal.public),
        code => {
            let more = refusal.detail.map(|detail| format!(" {detail}"));
            let detail = format!("{code}: {}{}", refusal.public, more.unwrap_or_default());
            let unavailable = unavailable(detail);
            match refusal.operator_fix {
                Some(fix) => unavailable.with_operator_fix(fix),
                None => unavailable,
            }
        }
    }
}

fn verification_failed(why: &str) -> PublicError {
    tracing::error!(why, "ledger response failed verification; rejecting calls");
    unavailable(why.to_owned()).with_operator_fix(CONTINUITY_FIX)
}

/// Returns the error for a response that is verified, but whose checkpoint this process cannot pin.
fn not_kept(refusal: PublicError) -> PublicError {
    tracing::error!(fix = refusal.operator_fix, "{}; rejecting calls", refusal.public);
    PublicError {
        operator_fix: refusal.operator_fix.clone(),
        ..unavailable(refusal.to_string())
    }
}

/// Returns the error for a call that the ledger did not record.
pub(crate) fn unavailable(detail: String) -> PublicError {
    PublicError::new(
        ErrorCode::LedgerUnavailable,
        "The ledger is unavailable, so the call was not served; try again later.",
    )
    .with_detail(detail)
}
